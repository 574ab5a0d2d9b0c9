"""The store in one SQLite file, shared by every process of this user."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Unpack

from mcp_server.clock import Clock
from mcp_server.domain.task import State, Task
from mcp_server.errors import LocalError, UnknownTaskError
from mcp_server.tasks.store.admission import reserve, same_order, twins
from mcp_server.tasks.store.base import Budget, Changes, Filter, Lease, NewTask, Spent, day_of
from mcp_server.tasks.store.heartbeat import Heartbeats, place
from mcp_server.tasks.store.rows import apply, leased_by, note, read_task, save
from mcp_server.tasks.store.schema import INSERT, OPEN, NewerFileError, migrate, row_of, task_from, task_of
from mcp_server.tasks.store.search import added, where_of
from mcp_server.tasks.store.writer_thread import BUSY_MS, WriterThread, busy

SAMPLE = 40
"""So many past clips say how long the next one takes."""
_CHUNK = 500
"""Ids in one query; SQLite takes at least 999 values."""


@dataclass
class SqliteStore:
    """`TaskStore` in a file; the file is made by the first thing written."""

    path: Path
    clock: Clock = field(default_factory=Clock)
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    _writer: WriterThread = field(init=False)
    _heartbeats: Heartbeats = field(init=False)
    _registered: bool = field(default=False, init=False)
    _given_up: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._writer = WriterThread(self._open)
        self._heartbeats = Heartbeats(self.clock.monotonic)

    async def create(self, new: NewTask, budget: Budget) -> tuple[Lease, bool]:
        return await self._writer.do(lambda db: self._create(db, new, budget), "money")

    async def get(self, task_id: str, owner: str | None = None) -> Task:
        for task in await self.many([task_id]):
            if owner is None or task.owner == owner:
                return task
        raise UnknownTaskError(
            f"There is no task {task_id!r} in this record",
            why="it was bought elsewhere, under another KLING_HOME, or the id is misspelt",
            next_step="list_tasks shows every task of this record",
        )

    async def many(self, ids: Iterable[str]) -> list[Task]:
        wanted = list(ids)
        if not wanted or not self._exists():
            return []

        def read(db: sqlite3.Connection) -> list[Task]:
            rows: list[Task] = []
            for start in range(0, len(wanted), _CHUNK):
                some = wanted[start : start + _CHUNK]
                marks = ",".join("?" * len(some))
                rows += map(task_from, db.execute(f"SELECT * FROM tasks WHERE id IN ({marks})", some))  # noqa: S608
            return rows

        return await self._writer.do(read, "read")

    async def find(self, wanted: Filter) -> list[Task]:
        if not self._exists():
            return []
        where, values = where_of(wanted)
        query = f"SELECT * FROM tasks {where} ORDER BY created_at DESC, id DESC LIMIT ?"  # noqa: S608
        return await self._writer.do(
            lambda db: [task_from(row) for row in db.execute(query, [*values, wanted.limit])], "read"
        )

    async def sending(self, lease: Lease, at: float, sent_as: str = "") -> bool:
        def write(db: sqlite3.Connection) -> bool:
            task = leased_by(db, lease, self.process)
            # A call that left before may leave again only where a vendor's idempotency key makes it the same purchase.
            if task is None or task.state != "submitting" or (task.sent_at and not task.call.get("idempotency_key")):
                return False
            sent = replace(task, sent_at=at, sent_as=sent_as, attempts=task.attempts + 1)
            save(db, sent, task, self.clock.now(), "the paid call leaves")
            return True

        return await self._writer.do(write, "money")

    async def change(
        self, lease: Lease, what: str = "", *, money: bool = False, **changes: Unpack[Changes]
    ) -> Task | None:
        def write(db: sqlite3.Connection) -> Task | None:
            task = leased_by(db, lease, self.process)
            return None if task is None or task.finished else apply(db, task, changes, self.clock.now(), what)

        return await self._writer.do(write, "money" if money else "write")

    async def still_leased(self, lease: Lease) -> bool:
        def read(db: sqlite3.Connection) -> bool:
            task = leased_by(db, lease, self.process)
            return task is not None and not task.finished

        return await self._writer.do(read, "read")

    async def decide(
        self, task_id: str, expected: Iterable[State], what: str, **changes: Unpack[Changes]
    ) -> Task | None:
        states = frozenset(expected)

        def write(db: sqlite3.Connection) -> Task | None:
            task = read_task(db, task_id)
            if task is None or task.state not in states:
                return None
            changed = apply(db, task, changes, self.clock.now(), what)
            db.execute("UPDATE tasks SET holder = NULL, claim = claim + 1 WHERE id = ?", [task_id])
            return changed

        return await self._writer.do(write, "money")

    async def withdraw(self, task_id: str) -> Task | None:
        def write(db: sqlite3.Connection) -> Task | None:
            task = read_task(db, task_id)
            if task is None or task.state != "submitting" or task.sent_at is not None or task.job_id:
                return None
            return apply(
                db,
                task,
                {"state": "cancelled", "reserved_usd": Decimal(0), "note": "Cancelled before anything was sent."},
                self.clock.now(),
                "cancelled before it was sent",
            )

        return await self._writer.do(write, "money")

    async def take_over(self) -> list[Lease]:
        if not self._exists() or not await self._writer.do(self._orphaned, "read"):
            return []
        return await self._writer.do(self._take_over, "write")

    async def leased(self) -> set[str]:
        query = f"SELECT id FROM tasks WHERE holder = ? AND {OPEN}"  # noqa: S608
        return await self._writer.do(lambda db: {row["id"] for row in db.execute(query, [self.process])}, "read")

    async def heartbeat(self) -> bool:
        if not self._registered:
            return True

        def write(db: sqlite3.Connection) -> bool:
            found = db.execute(
                "UPDATE processes SET beat = beat + 1, beat_at = ? WHERE id = ?", [self.clock.now(), self.process]
            )
            given_up = self._given_up or not found.rowcount
            self._given_up = False
            self._registered = bool(found.rowcount)
            return not given_up

        return await self._writer.do(write, "write")

    async def release(self, task_ids: Iterable[str] | None = None) -> None:
        if not self._registered:
            return
        ids = None if task_ids is None else list(task_ids)

        def write(db: sqlite3.Connection) -> None:
            if ids is None:
                db.execute("UPDATE tasks SET holder = NULL WHERE holder = ?", [self.process])
                db.execute("DELETE FROM processes WHERE id = ?", [self.process])
                self._registered = False
            else:
                free = "UPDATE tasks SET holder = NULL WHERE id = ? AND holder = ?"
                db.executemany(free, [(task_id, self.process) for task_id in ids])

        await self._writer.do(write, "write")

    async def version(self) -> int:
        if not self._exists():
            return -1
        return await self._writer.do(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]), "read")

    async def durations(self, offer_id: str, *, simulated: bool, length: int | None = None) -> list[float]:
        query = (
            "SELECT took_s, json_extract(bought, '$.ordered.duration') AS length FROM tasks "
            "WHERE offer_id = ? AND simulated = ? AND took_s IS NOT NULL ORDER BY created_at DESC LIMIT ?"
        )

        def read(db: sqlite3.Connection) -> list[float]:
            rows = db.execute(query, [offer_id, int(simulated), 4 * SAMPLE]).fetchall()
            same = [row["took_s"] for row in rows if row["length"] == length]
            return (same if len(same) >= 3 else [row["took_s"] for row in rows])[:SAMPLE]

        return await self._writer.do(read, "read")

    async def spent(self, since_day: str, owner: str | None = None) -> list[Spent]:
        if not self._exists():
            return []

        def read(db: sqlite3.Connection) -> list[Spent]:
            query = "SELECT * FROM tasks WHERE day >= ? AND simulated = 0 AND (? IS NULL OR owner = ?) ORDER BY day, id"
            sums: dict[tuple[str, str, str], Spent] = {}
            for row in db.execute(query, [since_day, owner, owner]):
                key = (row["day"], row["provider"], row["model"])
                sums[key] = added(sums.get(key), task_from(row), row["day"])
            return list(sums.values())

        return await self._writer.do(read, "read")

    async def close(self) -> None:
        await self._writer.close()

    def _exists(self) -> bool:
        return self.path.exists()

    def _open(self) -> sqlite3.Connection:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The file holds prompts and signed links: for this user's eyes.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        end = time.monotonic() + 30
        while True:
            db = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
            try:
                return _ready(db)
            except sqlite3.OperationalError as error:
                # Several processes that open a new file at once can meet where SQLite does not wait by itself.
                db.close()
                if not busy(error) or time.monotonic() > end:
                    raise
                time.sleep(0.01)
            except sqlite3.DatabaseError:
                db.close()
                raise
            except NewerFileError as error:
                db.close()
                raise LocalError(
                    f"{self.path} was written by a later version of kling-video (format {error})",
                    next_step="Update kling-video, or set KLING_HOME to another folder",
                ) from None

    def _create(self, db: sqlite3.Connection, new: NewTask, budget: Budget) -> tuple[Lease, bool]:
        if new.idempotency_key is not None:
            query = "SELECT * FROM tasks WHERE owner = ? AND idempotency_key = ?"
            row = db.execute(query, [new.owner, new.idempotency_key]).fetchone()
            if row is not None:
                return Lease(same_order(task_from(row), new), row["claim"]), False
        now = self.clock.now()
        reserved = reserve(db, new, budget, day_of(now))
        task = task_of(new, now, (*new.warnings, *twins(db, new, now)), reserved)
        self._register(db)
        db.execute(INSERT, row_of(task, self.process, 1))
        note(db, task, now, "ordered")
        return Lease(task, 1), True

    def _register(self, db: sqlite3.Connection) -> None:
        # The heartbeat moves here too: whoever saw it stand still while we had nothing to do must not think us dead.
        row = db.execute(
            "INSERT INTO processes (id, pid, place, beat, beat_at) VALUES (?, ?, ?, 0, ?) "
            "ON CONFLICT (id) DO UPDATE SET beat = beat + 1, beat_at = excluded.beat_at RETURNING beat",
            [self.process, os.getpid(), place(), self.clock.now()],
        ).fetchone()
        # A row that has to be made a second time was taken away in between, and the tasks with it.
        self._given_up = self._given_up or (self._registered and row["beat"] == 0)
        self._registered = True

    def _orphaned(self, db: sqlite3.Connection) -> list[str | None]:
        """Holders of unfinished tasks whose lease is over: dead processes, and none."""
        holders = [row["holder"] for row in db.execute(f"SELECT DISTINCT holder FROM tasks WHERE {OPEN}")]  # noqa: S608
        others = [holder for holder in holders if holder != self.process or not self._registered]
        if not others:
            return []
        known = {row["id"]: row for row in db.execute("SELECT * FROM processes")}
        return [
            holder
            for holder in others
            if holder is None or holder not in known or not self._heartbeats.alive(known[holder])
        ]

    def _take_over(self, db: sqlite3.Connection) -> list[Lease]:
        gone = self._orphaned(db)
        if not gone:
            return []
        self._register(db)
        dead = [holder for holder in gone if holder is not None and holder != self.process]
        for holder in gone:
            db.execute(
                f"UPDATE tasks SET holder = ?, claim = claim + 1 WHERE holder IS ? AND {OPEN}",  # noqa: S608
                [f"{self.process}+", holder],
            )
        db.executemany("DELETE FROM processes WHERE id = ?", [(holder,) for holder in dead])
        rows = db.execute("SELECT * FROM tasks WHERE holder = ?", [f"{self.process}+"]).fetchall()
        db.execute("UPDATE tasks SET holder = ? WHERE holder = ?", [self.process, f"{self.process}+"])
        return [Lease(task_from(row), row["claim"]) for row in rows]


def _ready(db: sqlite3.Connection) -> sqlite3.Connection:
    db.row_factory = sqlite3.Row
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db)
    return db
