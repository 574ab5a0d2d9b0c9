"""One thread that does the SQLite work of a process, and writes down together what comes in together.

A transaction costs one wait for the disk, however many changes are in it: under load the waits are shared,
alone a change waits for nobody. Every change keeps its own fate (a savepoint): one that is refused takes no other down.
A look at single rows needs no thread: it costs less than the way there and back.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
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
Kind = Literal["read", "write", "soon", "money"]
"""`money`: on the disk, past a power cut, before the answer. `write`: past the end of this process. `soon`: the same as
`write` before the answer, and as `money` a moment later, or with the next `money`, whichever comes first."""
SOON_S = 0.02
"""That moment: whoever buys one clip after the other never waits for it."""

_NEXT = "Check that the folder KLING_HOME names exists, has room and may be written to"
TOGETHER = 200
"""Changes in one transaction at most: other processes wait meanwhile."""
PATIENCE_S = 30.0
"""How long to wait for other processes' transactions before calling it an error."""
BUSY_MS = 30_000
"""The same where SQLite waits by itself: while a record is opened or recovered, and at every commit without a
write-ahead log."""


class OpeningError(LocalError):
    """The record could not even be opened: nothing was written in it, and nothing sent."""

    @classmethod
    def of(cls, error: Exception) -> Exception:
        """The same in words, where it is the machine's and not a refusal of ours."""
        if not isinstance(error, (sqlite3.Error, OSError)):
            return error
        made = cls(f"The record of tasks cannot be used: {error}", next_step=_NEXT, money="unknown")
        made.__cause__ = error
        return made


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
    _reader: sqlite3.Connection | None = None
    """For looks, once the record is open; it never waits for anybody."""
    _level: str = ""
    _patience_ms: int = BUSY_MS
    """How long SQLite waits by itself now, as it was opened."""
    _logged: bool = False
    """Whether there is a write-ahead log: then who has begun to write waits for nobody any more."""
    _sync_by: float | None = None
    """When what was written as `soon` has to be on the disk."""

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

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """A read of a few rows, found by their keys: here and now where that is possible, else as `do` does it."""
        if self._reader is not None and not self._closed:
            # What keeps it from reading now is the thread's to wait for, and to put into words.
            with contextlib.suppress(sqlite3.Error):
                return work(self._reader)
        return await self.do(work, "read")

    async def close(self) -> None:
        """Finish what is waiting, then close the connection."""
        self._closed = True
        if self._thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _run(self) -> None:
        db: sqlite3.Connection | None = None
        while (operation := self._next(db)) is not None:
            operations, last = self._together(operation)
            try:
                if db is None:
                    db = self.open()
                    self._logged = db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
                    self._reader = _reader(db)
            except Exception as error:
                for each in operations:
                    each.error = OpeningError.of(error)
            else:
                for reading, some in groupby(operations, key=lambda each: each.kind == "read"):
                    work = self._read if reading else self._write
                    work(db, list(some))
            _hand_back(operations)
            if last:
                break
        if self._reader is not None:
            self._reader.close()
        if db is not None:
            self._sync(db)
            db.close()

    def _next(self, db: sqlite3.Connection | None) -> _Operation | None:
        """What comes next, None at the end; while nothing comes, what has to be on the disk soon gets there."""
        if db is not None and self._sync_by is not None:
            with contextlib.suppress(Empty):
                if (left := self._sync_by - time.monotonic()) > 0:
                    return self._waiting.get(timeout=left)
            self._sync(db)
        return self._waiting.get()

    def _sync(self, db: sqlite3.Connection) -> None:
        """Wait for the disk to have what stands in the write-ahead log."""
        if self._sync_by is None:
            return
        self._sync_by = None
        # The locks are on the other two files: this one may be opened and closed by anybody. Where it cannot be
        # waited for, the next `money` is.
        with contextlib.suppress(OSError, sqlite3.Error):
            log = os.open(f"{db.execute('PRAGMA database_list').fetchone()[2]}-wal", os.O_RDWR)
            try:
                os.fsync(log)
            finally:
                os.close(log)

    def _write(self, db: sqlite3.Connection, operations: list[_Operation]) -> None:
        kinds = {operation.kind for operation in operations}
        try:
            self._wait_for_disk(db, "FULL" if "money" in kinds else "NORMAL")
            self._wait_for_others(db, 0)
            begin(db)
            if not self._logged:
                self._wait_for_others(db, BUSY_MS)
            if len(operations) > 1:
                _each_in_turn(db, operations)
            else:
                _alone(db, operations[0])
            if db.in_transaction:
                db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            for operation in operations:
                operation.error = operation.error or error
        else:
            if "money" in kinds:
                self._sync_by = None
            elif "soon" in kinds and self._sync_by is None:
                self._sync_by = time.monotonic() + SOON_S

    def _wait_for_disk(self, db: sqlite3.Connection, level: str) -> None:
        # FULL waits for the disk at commit, NORMAL at the next checkpoint (sqlite.org/pragma.html#pragma_synchronous).
        if level != self._level:
            db.execute(f"PRAGMA synchronous = {level}")
            self._level = level

    def _wait_for_others(self, db: sqlite3.Connection, patience_ms: int) -> None:
        if patience_ms != self._patience_ms:
            db.execute(f"PRAGMA busy_timeout = {patience_ms}")
            self._patience_ms = patience_ms

    def _read(self, db: sqlite3.Connection, operations: list[_Operation]) -> None:
        self._wait_for_others(db, BUSY_MS)
        for operation in operations:
            try:
                operation.value = operation.work(db)
            except Exception as error:
                operation.error = error

    def _together(self, first: _Operation) -> tuple[list[_Operation], bool]:
        operations = [first]
        with contextlib.suppress(Empty):
            while len(operations) < TOGETHER:
                operation = self._waiting.get_nowait()
                if operation is None:
                    return operations, True
                operations.append(operation)
        return operations, False


def _alone(db: sqlite3.Connection, operation: _Operation) -> None:
    try:
        operation.value = operation.work(db)
    except Exception as error:
        operation.error = error
        db.execute("ROLLBACK")


def _each_in_turn(db: sqlite3.Connection, operations: list[_Operation]) -> None:
    for operation in operations:
        db.execute("SAVEPOINT operation")
        try:
            operation.value = operation.work(db)
        except Exception as error:
            operation.error = error
            db.execute("ROLLBACK TO operation")
        db.execute("RELEASE operation")


def _reader(db: sqlite3.Connection) -> sqlite3.Connection | None:
    """A second connection to the same file, which changes nothing; None where one cannot be had."""
    try:
        made = sqlite3.connect(
            db.execute("PRAGMA database_list").fetchone()[2], timeout=0, isolation_level=None, check_same_thread=False
        )
        made.row_factory = sqlite3.Row
        made.execute("PRAGMA query_only = ON")
    except sqlite3.Error:
        return None
    return made


def begin(db: sqlite3.Connection) -> None:
    """Start writing; waits its turn among the processes, where SQLite itself is not to wait.

    Its own waiting sleeps up to 100 ms between tries, which under five writers is most of the latency.
    """
    end = time.monotonic() + PATIENCE_S
    pause = 0.0002
    while True:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if not busy(error) or time.monotonic() > end:
                raise
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads waiters, keeps no secret
            pause = min(pause * 1.5, 0.01)
        else:
            return


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
        next_step=_NEXT,
        money="unknown",
    )
    wrapped.__cause__ = error
    return wrapped
