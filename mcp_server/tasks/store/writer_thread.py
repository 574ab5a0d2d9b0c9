"""One thread that does all SQLite work of a process, and writes down together what comes in together.

A transaction costs one wait for the disk, however many changes are in it: under load the waits are shared,
alone a change waits for nobody. Every change keeps its own fate (a savepoint): one that is refused takes no other down.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from queue import Empty, SimpleQueue
from typing import Any, Literal, TypeVar

from mcp_server.errors import KlingError, LocalError

T = TypeVar("T")
Kind = Literal["read", "write", "money"]
"""`money`: on the disk, past a power cut, before the answer. `write`: past the end of this process."""

TOGETHER = 200
"""Changes in one transaction at most: other processes wait meanwhile."""
PATIENCE_S = 30.0
"""How long to wait for other processes' transactions before calling it an error."""
BUSY_MS = 30_000
"""The same for the rare moments in which SQLite waits by itself (opening, recovering)."""


@dataclass
class _Operation:
    work: Callable[[sqlite3.Connection], Any]
    kind: Kind
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Any]
    value: Any = None
    error: BaseException | None = None


@dataclass
class WriterThread:
    """Runs operations in the order they came, those that write together in one transaction."""

    open: Callable[[], sqlite3.Connection]
    """Called in the thread, at the first operation."""
    _waiting: SimpleQueue[_Operation | None] = field(default_factory=SimpleQueue[_Operation | None])
    _thread: threading.Thread | None = None
    _closed: bool = False

    async def do(self, work: Callable[[sqlite3.Connection], T], kind: Kind) -> T:
        """Have the work done; cancelling the wait does not cancel the work."""
        if self._closed:
            raise LocalError("The record is closed", money="unknown")
        loop = asyncio.get_running_loop()
        operation = _Operation(work, kind, loop, loop.create_future())
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="kling-store", daemon=True)
            self._thread.start()
        self._waiting.put(operation)
        done: T = await operation.answer
        return done

    async def close(self) -> None:
        """Finish what is waiting, then close the connection."""
        self._closed = True
        if self._thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while (operation := self._waiting.get()) is not None:
            operations, last = self._together(operation)
            try:
                db = db or self.open()
            except Exception as error:
                for each in operations:
                    each.error = error
            else:
                for reading, some in groupby(operations, key=lambda each: each.kind == "read"):
                    (_read if reading else _write)(db, list(some))
            _hand_back(operations)
            if last:
                break
        if db is not None:
            db.close()

    def _together(self, first: _Operation) -> tuple[list[_Operation], bool]:
        operations = [first]
        with contextlib.suppress(Empty):
            while len(operations) < TOGETHER:
                operation = self._waiting.get_nowait()
                if operation is None:
                    return operations, True
                operations.append(operation)
        return operations, False


def _read(db: sqlite3.Connection, operations: list[_Operation]) -> None:
    for operation in operations:
        try:
            operation.value = operation.work(db)
        except Exception as error:
            operation.error = error


def _write(db: sqlite3.Connection, operations: list[_Operation]) -> None:
    # FULL waits for the disk at commit, NORMAL at the next checkpoint (sqlite.org/pragma.html#pragma_synchronous).
    level = "FULL" if any(operation.kind == "money" for operation in operations) else "NORMAL"
    try:
        db.execute(f"PRAGMA synchronous = {level}")
        begin(db)
        for operation in operations:
            db.execute("SAVEPOINT operation")
            try:
                operation.value = operation.work(db)
            except Exception as error:
                operation.error = error
                db.execute("ROLLBACK TO operation")
            db.execute("RELEASE operation")
        db.execute("COMMIT")
    except sqlite3.Error as error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        for operation in operations:
            operation.error = operation.error or error


def begin(db: sqlite3.Connection) -> None:
    """Start writing; waits its turn among the processes.

    SQLite's own waiting sleeps up to 100 ms between tries, which under five writers is most of the latency.
    """
    end = time.monotonic() + PATIENCE_S
    pause = 0.0002
    db.execute("PRAGMA busy_timeout = 0")
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not busy(error) or time.monotonic() > end:
                raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads waiters, keeps no secret
            pause = min(pause * 1.5, 0.01)
        else:
            break
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def busy(error: sqlite3.OperationalError) -> bool:
    """Whether another process is in the way, and only that."""
    return error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _hand_back(operations: list[_Operation]) -> None:
    for loop, some in groupby(operations, key=lambda each: each.loop):
        batch = list(some)
        # A loop that is gone has nobody left to tell; the work is done all the same.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(_deliver, batch)


def _deliver(operations: list[_Operation]) -> None:
    for operation in operations:
        if operation.answer.done():
            continue
        if operation.error is None:
            operation.answer.set_result(operation.value)
        else:
            operation.answer.set_exception(_in_words(operation.error))


def _in_words(error: BaseException) -> BaseException:
    if isinstance(error, KlingError) or not isinstance(error, (sqlite3.Error, OSError)):
        return error
    wrapped = LocalError(
        f"The record of tasks cannot be used: {error}",
        next_step="Check that the folder KLING_HOME names exists, has room and may be written to",
        money="unknown",
    )
    wrapped.__cause__ = error
    return wrapped
