"""The store in one SQLite file, shared by every process of this user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import ClassVar, Unpack

from mcp_server.clock import Clock
from mcp_server.domain.task import FINISHED, State, Task
from mcp_server.errors import LocalError, UnknownTaskError
from mcp_server.metrics import Reading
from mcp_server.tasks.store import budgets, notices, prompt_index
from mcp_server.tasks.store.admission import standing
from mcp_server.tasks.store.base import Budget, Changes, Filter, Lease, NewTask, Spent, day_of
from mcp_server.tasks.store.films import SqliteFilms
from mcp_server.tasks.store.heartbeat import Heartbeats, place
from mcp_server.tasks.store.moves import LEAVES, WITHDRAWN, leaving, withdrawable
from mcp_server.tasks.store.notices import Outbox, SqliteOutbox
from mcp_server.tasks.store.posts import Posts
from mcp_server.tasks.store.rows import apply, leased_by, note, read_task, readable, save, twins
from mcp_server.tasks.store.schema import INSERT, MOVED, OPEN, NewerFileError, migrate, row_of, task_from, task_of
from mcp_server.tasks.store.search import SAMPLE, SHORT_NAME, alike, kinds, totals, where_of
from mcp_server.tasks.store.writer_thread import BUSY_MS, OpeningError, WriterThread, busy

ASIDE = "set aside"
"""How a line of history begins that says why nobody follows a task here; `doctor` looks for it."""
MAKING_S = 60.0
STOPS_KEPT_S = 7 * 86_400.0
_FEW = 4
"""So many rows are read at once without keeping the loop from others."""
_ENDED = ", ".join(repr(state) for state in sorted(FINISHED))
_CHUNK = 500
"""Ids in one query; SQLite takes at least 999 values."""


class EmptyRecordError(LocalError):
    """The record is a file of zero bytes: it was cut off, and what it said is nowhere else."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"The record {path} is empty: a file of 0 bytes",
            why="it was cut off or copied wrongly, and a new one over it would forget what was bought",
            next_step="Put a copy of it back; or move it away, and a new record begins",
            money="unknown",
        )


@dataclass
class SqliteStore:
    """`TaskStore` and `Ownership` in a file; the file is made by the first thing written."""

    limits: ClassVar[None] = None
    """A vendor's account is this user's alone, and its calls are counted in this process."""
    path: Path
    clock: Clock = field(default_factory=Clock)
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    channels: tuple[str, ...] = ()
    """On which an end that is written here shall be told."""
    films: SqliteFilms = field(init=False)
    woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set by a vendor's post to this process; for all else, who shares a file looks into it every second."""
    _posts: Posts = field(default_factory=Posts, init=False)
    _posted: set[str] = field(default_factory=set[str], init=False)
    _version: int = field(default=-2, init=False)
    outbox: Outbox = field(init=False)
    _writer: WriterThread = field(init=False)
    _heartbeats: Heartbeats = field(init=False)
    _registered: bool = field(default=False, init=False)
    _given_up: bool = field(default=False, init=False)
    _aside: set[str] = field(default_factory=set[str], init=False)
    """Tasks this process cannot work on and leaves to others."""

    def __post_init__(self) -> None:
        self._writer = WriterThread(self._open)
        self._heartbeats = Heartbeats(self.clock.monotonic)
        self.outbox = SqliteOutbox(self._writer, self._exists, self.clock)
        self.films = SqliteFilms(
            writer=self._writer,
            clock=self.clock,
            process=self.process,
            exists=self._exists,
            register=self._register,
            alive=self._lives,
            create=self._create,
        )

    @property
    def ownership(self) -> SqliteStore:
        """Leases stand in the rows themselves."""
        return self

    @property
    def at_once(self) -> bool:
        return True

    @property
    def workers(self) -> int:
        """One: processes that share a file are one user's, and few."""
        return 1

    async def posted(self, task_id: str, post_id: str) -> bool:
        """Heard by this process alone: with a file one process serves and follows, and what it forgets it polls."""
        if not self._posts.new(post_id, self.clock.monotonic()):
            return False
        self._posted.add(task_id)
        self.woken.set()
        return True

    def posted_about(self) -> frozenset[str]:
        found, self._posted = frozenset(self._posted), set()
        return found

    def wished_stopped(self) -> frozenset[str]:
        """None: every process of one user has the same keys, and asks the vendor itself."""
        return frozenset()

    async def wish_stopped(self, task_id: str) -> bool:  # noqa: ARG002 - as in the protocol
        return False

    async def wish_answer(self, task_id: str) -> tuple[bool, str] | None:  # noqa: ARG002 - as in the protocol
        return None

    async def answer_wish(self, task_id: str, words: str, *, done: bool) -> None:
        """Nothing: nobody wished."""

    async def create(self, new: NewTask, budget: Budget) -> tuple[Lease, bool]:
        (lease,), created = await self.create_all([new], budget)
        return lease, created

    async def create_all(self, order: Sequence[NewTask], budget: Budget) -> tuple[list[Lease], bool]:
        try:
            # On the disk at the latest with the note that the paid call leaves, which nothing leaves without.
            return await self._writer.do(lambda db: self._create(db, order, budget), "soon")
        except (OpeningError, EmptyRecordError) as error:
            error.money = "not_spent"
            raise

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
                rows += map(task_from, db.execute(f"SELECT * FROM tasks WHERE id IN ({marks})", some).fetchall())  # noqa: S608
            return rows

        return await (self._writer.look(read) if len(wanted) <= _FEW else self._writer.do(read, "read"))

    async def find(self, wanted: Filter) -> list[Task]:
        if not self._exists():
            return []
        words = (wanted.text or "").split()

        def read(db: sqlite3.Connection) -> tuple[list[Task], bool]:
            among, behind = prompt_index.among(db, words) if words else (None, False)
            query, values = _newest(wanted, among)
            return list(readable(db.execute(query, values))), behind

        found, behind = await self._writer.do(read, "read")
        # Where the index cannot be had, every prompt is looked through.
        with contextlib.suppress(LocalError):
            while behind:
                behind = await self._writer.do(prompt_index.extend, "write")
        return found

    async def sending(self, lease: Lease, at: float, sent_as: str = "") -> bool:
        def write(db: sqlite3.Connection) -> bool:
            task, now = leased_by(db, lease, self.process), self.clock.now()
            sent = None if task is None else leaving(task, at, sent_as, now)
            if task is None or sent is None:
                return False
            save(db, sent, task, now, LEAVES)
            return True

        return await self._writer.do(write, "money")

    async def change(
        self, lease: Lease, what: str = "", *, money: bool = False, **changes: Unpack[Changes]
    ) -> Task | None:
        def write(db: sqlite3.Connection) -> Task | None:
            task = leased_by(db, lease, self.process)
            return None if task is None or task.finished else apply(db, task, changes, self.clock.now(), what)

        return await self._writer.do(write, "soon" if money else "write")

    async def still_leased(self, lease: Lease) -> bool:
        query = f"SELECT 1 FROM tasks WHERE id = ? AND holder = ? AND claim = ? AND state NOT IN ({_ENDED})"  # noqa: S608
        values = [lease.task.id, self.process, lease.number]
        return await self._writer.look(lambda db: db.execute(query, values).fetchone() is not None)

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
            if task is None or not withdrawable(task):
                return None
            return apply(db, task, WITHDRAWN, self.clock.now(), "cancelled before it was sent")

        return await self._writer.do(write, "money")

    async def take_over(self) -> list[Lease]:
        if not self._exists() or not await self._writer.do(self._orphaned, "read"):
            return []
        return await self._writer.do(self._take_over, "write")

    async def set_aside(self, lease: Lease, why: str) -> None:
        self._aside.add(lease.task.id)

        def write(db: sqlite3.Connection) -> None:
            task = leased_by(db, lease, self.process)
            if task is not None and task.note != why:
                apply(db, task, {"note": why}, self.clock.now(), f"{ASIDE}: {why}")
            db.execute("UPDATE tasks SET holder = NULL WHERE id = ? AND holder = ?", [lease.task.id, self.process])

        await self._writer.do(write, "write")

    async def leased(self) -> set[str]:
        """Ids of the unfinished tasks this process has the lease of."""
        query = f"SELECT id FROM tasks WHERE holder = ? AND {OPEN}"  # noqa: S608
        return await self._writer.do(lambda db: {row["id"] for row in db.execute(query, [self.process])}, "read")

    async def lost(self, task_ids: Set[str]) -> set[str]:
        return set(task_ids) - await self.leased()

    async def moved(self) -> frozenset[str] | None:
        before, self._version = self._version, await self.version()
        return frozenset() if before == self._version else None

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

    def told(self, task: Task) -> None:
        """Nothing: an end stands in the row."""

    async def leave(self, keep: Set[str]) -> None:
        """Nothing: who is ending is given up by `release`."""

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

    async def readings(self) -> list[Reading]:
        """Nothing: who looks after a file counts for itself."""
        await self.find(Filter(limit=1))
        return []

    async def stopped(self, why: str) -> None:
        def write(db: sqlite3.Connection) -> None:
            # Made when it is first needed: the version before opens the file as it is.
            db.execute("CREATE TABLE IF NOT EXISTS stops (at REAL NOT NULL, pid INTEGER NOT NULL, why TEXT NOT NULL)")
            db.execute("INSERT INTO stops (at, pid, why) VALUES (?, ?, ?)", [self.clock.now(), os.getpid(), why])
            db.execute("DELETE FROM stops WHERE at < ?", [self.clock.now() - STOPS_KEPT_S])

        await self._writer.do(write, "write")

    async def version(self) -> int:
        """A number that moves when another process changed anything."""
        if not self._exists():
            return -1
        return await self._writer.do(lambda db: int(db.execute("PRAGMA data_version").fetchone()[0]), "read")

    async def durations(self, offer_id: str, *, simulated: bool, length: int | None = None) -> list[float]:
        query = (
            "SELECT took_s, CASE WHEN json_valid(bought) THEN json_extract(bought, '$.ordered.duration') END AS length "
            "FROM tasks WHERE offer_id = ? AND simulated = ? AND took_s IS NOT NULL AND typeof(took_s) = 'real' "
            "ORDER BY created_at DESC LIMIT ?"
        )

        def read(db: sqlite3.Connection) -> list[float]:
            rows = db.execute(query, [offer_id, int(simulated), 4 * SAMPLE]).fetchall()
            return alike([(row["took_s"], row["length"]) for row in rows], length)

        return await self._writer.do(read, "read")

    async def spent(self, since_day: str, owner: str | None = None) -> list[Spent]:
        if not self._exists():
            return []

        query = kinds(
            "day >= ? AND (? IS NULL OR owner = ?) AND json_valid(became)",
            job_id="json_extract(became, '$.job_id')",
            money="json_extract(became, '$.error.money')",
            settled="json_extract(became, '$.settlement.usd')",
        )
        return await self._writer.do(lambda db: totals(db.execute(query, [since_day, owner, owner])), "read")

    async def close(self) -> None:
        await self._writer.close()

    def _exists(self) -> bool:
        return self.path.exists()

    def _open(self) -> sqlite3.Connection:
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._refuse_emptied()
        # The file holds prompts and signed links: for this user's eyes.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        end = time.monotonic() + 30
        while True:
            db = sqlite3.connect(self.path, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
            try:
                ready = _ready(db)
                notices.watch(ready, self.channels)
                return ready
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
                if error.args == (MOVED,):
                    raise LocalError(
                        f"The purchases of {self.path} were moved into a shared record",
                        next_step="Set KLING_DATABASE_URL to that database, or KLING_HOME to another folder",
                    ) from None
                raise LocalError(
                    f"{self.path} was written by a later version of kling-video (format {error})",
                    next_step="Update kling-video, or set KLING_HOME to another folder",
                ) from None

    def _refuse_emptied(self) -> None:
        """Nothing, or the refusal of a record of zero bytes: SQLite would begin a new one over what was bought."""
        with contextlib.suppress(FileNotFoundError):
            seen = self.path.stat()
            # While another process makes the file it is empty, too, for a moment.
            if seen.st_size == 0 and time.time() - seen.st_mtime > MAKING_S and not _holds(self.path, "-wal"):
                raise EmptyRecordError(self.path)

    def _create(self, db: sqlite3.Connection, order: Sequence[NewTask], budget: Budget) -> tuple[list[Lease], bool]:
        query = "SELECT * FROM tasks WHERE owner = ? AND idempotency_key = ?"
        keyed = [(new.owner, new.idempotency_key) for new in order if new.idempotency_key is not None]
        rows = [row for values in keyed if (row := db.execute(query, values).fetchone()) is not None]
        if rows:
            return standing([(task_from(row), row["claim"]) for row in rows], order), False
        now = self.clock.now()
        reserved = budgets.admit(db, order, budget, day_of(now))
        counted = budgets.known(db, order[0].owner, day_of(now))
        warnings = tuple(twins(db, order[0], now))
        self._register(db)
        leases: list[Lease] = []
        for new, taken in zip(order, reserved, strict=True):
            task = task_of(new, now, (*new.warnings, *warnings), taken)
            db.execute(INSERT, row_of(task, self.process, 1))
            note(db, task, now, "ordered")
            leases.append(Lease(task, 1))
        budgets.count(db, counted, sum(reserved, Decimal(0)))
        return leases, True

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
        query = f"SELECT DISTINCT holder FROM tasks WHERE {OPEN} {self._but_aside()}"  # noqa: S608
        holders = [row["holder"] for row in db.execute(query, list(self._aside))]
        others = [holder for holder in holders if holder != self.process or not self._registered]
        if not others:
            return []
        known = {row["id"]: row for row in db.execute("SELECT * FROM processes")}
        return [
            holder
            for holder in others
            if holder is None or holder not in known or not self._heartbeats.alive(known[holder])
        ]

    def _lives(self, db: sqlite3.Connection, holder: str | None) -> bool:
        """Whether the process that holds a lease lives."""
        if holder is None or holder == self.process:
            return holder is not None and self._registered
        row = db.execute("SELECT * FROM processes WHERE id = ?", [holder]).fetchone()
        return row is not None and self._heartbeats.alive(row)

    def _but_aside(self) -> str:
        return f"AND id NOT IN ({','.join('?' * len(self._aside))})" if self._aside else ""

    def _take_over(self, db: sqlite3.Connection) -> list[Lease]:
        gone = self._orphaned(db)
        if not gone:
            return []
        self._register(db)
        dead = [holder for holder in gone if holder is not None and holder != self.process]
        for holder in gone:
            query = f"SELECT * FROM tasks WHERE holder IS ? AND {OPEN} {self._but_aside()}"  # noqa: S608
            rows = db.execute(query, [holder, *self._aside]).fetchall()
            known = {task.id for task in readable(rows)}
            # What cannot be read here stays as it is: a later version may have written it, and goes on with it.
            self._aside |= {row["id"] for row in rows} - known
            db.executemany(
                "UPDATE tasks SET holder = ?, claim = claim + 1 WHERE id = ?",
                [(f"{self.process}+", task_id) for task_id in known],
            )
        db.executemany("DELETE FROM processes WHERE id = ?", [(holder,) for holder in dead])
        taken = db.execute("SELECT * FROM tasks WHERE holder = ?", [f"{self.process}+"]).fetchall()
        db.execute("UPDATE tasks SET holder = ? WHERE holder = ?", [self.process, f"{self.process}+"])
        return [Lease(task_from(row), row["claim"]) for row in taken]


def _newest(wanted: Filter, among: prompt_index.Among | None = None) -> tuple[str, list[object]]:
    """The query of a filter. Of several states each is looked for by itself: an index has them in order."""
    parts: list[str] = []
    values: list[object] = []
    source, rows = ("tasks", list[object]()) if among is None else among.source
    if wanted.owner is not None and len(wanted.ending or "") == SHORT_NAME:
        # By itself SQLite would go through all of the owner's, which stand in the order that is asked for.
        source, rows = "tasks INDEXED BY task_endings", []
    for state in wanted.states or (None,):
        where, given = where_of(replace(wanted, states=() if state is None else (state,)))
        parts.append(f"SELECT * FROM (SELECT * FROM {source} {where} ORDER BY created_at DESC, id DESC LIMIT ?)")  # noqa: S608
        values += [*rows, *given, wanted.limit]
    return f"{' UNION ALL '.join(parts)} ORDER BY created_at DESC, id DESC LIMIT ?", [*values, wanted.limit]


def _holds(path: Path, ending: str) -> bool:
    try:
        return path.with_name(path.name + ending).stat().st_size > 0
    except OSError:
        return False


def _ready(db: sqlite3.Connection) -> sqlite3.Connection:
    db.row_factory = sqlite3.Row
    if db.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA foreign_keys = ON")
    migrate(db)
    return db
