"""What the vendors remember, in one SQLite file: it outlives the process, and several may share it."""

from __future__ import annotations

import json
import os
import secrets
import sqlite3
import sys
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from time import sleep
from typing import Any, Final

from mcp_server.sandbox.jobs import ClipOrder, SandboxJob

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, vendor TEXT NOT NULL, account TEXT NOT NULL, accepted REAL NOT NULL, starts REAL NOT NULL,
    ends REAL NOT NULL, ending TEXT NOT NULL, words TEXT NOT NULL, price TEXT, defect TEXT NOT NULL, cancelled REAL,
    "order" TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS jobs_of_account ON jobs (vendor, account);
CREATE TABLE IF NOT EXISTS reserved (
    vendor TEXT NOT NULL, account TEXT NOT NULL, amount TEXT NOT NULL, PRIMARY KEY (vendor, account)
);
CREATE TABLE IF NOT EXISTS promises (
    vendor TEXT NOT NULL, account TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL, job TEXT NOT NULL,
    PRIMARY KEY (vendor, account, key)
);
CREATE TABLE IF NOT EXISTS uploads (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, name TEXT NOT NULL, size INTEGER NOT NULL, checksum TEXT NOT NULL,
    made REAL NOT NULL, data BLOB, source TEXT NOT NULL DEFAULT '', confirmed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS faults (
    vendor TEXT NOT NULL, kind TEXT NOT NULL, remaining INTEGER, value TEXT NOT NULL, PRIMARY KEY (vendor, kind)
);
CREATE TABLE IF NOT EXISTS journal (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, vendor TEXT NOT NULL, action TEXT NOT NULL, method TEXT NOT NULL,
    path TEXT NOT NULL, status INTEGER, job TEXT NOT NULL, accepted INTEGER NOT NULL, fault TEXT NOT NULL,
    facts TEXT NOT NULL
);
"""
JOURNAL_ROWS: Final = 20_000
OPEN_ATTEMPTS: Final = 500
KEPT_S: Final = 30 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """A file that was announced, and its bytes once they came."""

    id: str
    account: str
    name: str
    size: int
    checksum: str
    made: float
    data: bytes | None
    source: str = ""
    """The address it was registered from, where no bytes came."""
    confirmed: bool = False


def _for_this_user(path: Path) -> None:
    """Make the file, or take it back from everybody else: it holds prompts, uploads and the key of the control API."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if path.stat().st_mode & 0o077 and sys.platform != "win32":
        path.chmod(0o600)


class KeyTakenError(Exception):
    """The idempotency key already stands for another body."""


class Store:
    """The record of all vendors. Its calls take well under a millisecond and are made from the event loop."""

    def __init__(self, path: Path | str, *, now: float) -> None:
        self.path = path
        if path != ":memory:":
            _for_this_user(Path(path))
        self._db = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        if path != ":memory:":
            _use_wal(self._db)
            # Enough to survive a killed process, which is what is rehearsed; not a power cut.
            self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)
        self._db.execute("INSERT OR IGNORE INTO meta VALUES ('secret', ?)", (secrets.token_hex(16),))
        self.secret = str(self._db.execute("SELECT value FROM meta WHERE name = 'secret'").fetchone()[0])
        self._tidy(now)

    def close(self) -> None:
        self._db.close()

    def add(self, job: SandboxJob, *, key: str = "", digest: str = "") -> tuple[SandboxJob, bool]:
        """Accept the job, or find the one this key already stands for; whether it is new."""
        with self._transaction():
            if key:
                row = self._db.execute(
                    "SELECT digest, job FROM promises WHERE vendor = ? AND account = ? AND key = ?",
                    (job.order.vendor, job.account, key),
                ).fetchone()
                if row is not None:
                    if row["digest"] != digest:
                        raise KeyTakenError(key)
                    return self._job(str(row["job"])), False
                self._db.execute(
                    "INSERT INTO promises VALUES (?, ?, ?, ?, ?)", (job.order.vendor, job.account, key, digest, job.id)
                )
            self._db.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    job.id,
                    job.order.vendor,
                    job.account,
                    job.accepted,
                    job.starts,
                    job.ends,
                    job.ending,
                    job.words,
                    None if job.price is None else str(job.price),
                    job.defect,
                    None,
                    job.order.to_json(),
                ),
            )
            if job.price is not None:
                amount = self.reserved(job.order.vendor, job.account) + job.price
                self._db.execute(
                    "INSERT OR REPLACE INTO reserved VALUES (?, ?, ?)", (job.order.vendor, job.account, str(amount))
                )
        return job, True

    def reserved(self, vendor: str, account: str) -> Decimal:
        """Everything an account ever ordered, also what was rolled back: never less than what it owes."""
        row = self._db.execute(
            "SELECT amount FROM reserved WHERE vendor = ? AND account = ?", (vendor, account)
        ).fetchone()
        return Decimal(row[0]) if row is not None else Decimal(0)

    def find(self, vendor: str, job_id: str, account: str | None = None) -> SandboxJob | None:
        """A vendor's job; with `account`, only its owner's."""
        row = self._db.execute("SELECT * FROM jobs WHERE id = ? AND vendor = ?", (job_id, vendor)).fetchone()
        if row is None or (account is not None and row["account"] != account):
            return None
        return _job(row)

    def cancel(self, job_id: str, now: float) -> bool:
        """Stop a job that still waits; whether that was in time."""
        done = self._db.execute(
            "UPDATE jobs SET cancelled = ? WHERE id = ? AND starts > ? AND cancelled IS NULL", (now, job_id, now)
        )
        return done.rowcount == 1

    def bills(self, vendor: str, account: str) -> Iterator[tuple[Decimal, float, float, str, bool]]:
        """Price, acceptance, end, ending and whether cancelled of every priced job."""
        rows = self._db.execute(
            "SELECT price, accepted, ends, ending, cancelled FROM jobs "
            "WHERE vendor = ? AND account = ? AND price IS NOT NULL",
            (vendor, account),
        )
        for row in rows:
            yield Decimal(row["price"]), row["accepted"], row["ends"], row["ending"], row["cancelled"] is not None

    def put_upload(self, upload: Upload) -> None:
        """Remember a file, or what changed about it."""
        self._db.execute(
            "INSERT OR REPLACE INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                upload.id,
                upload.account,
                upload.name,
                upload.size,
                upload.checksum,
                upload.made,
                upload.data,
                upload.source,
                upload.confirmed,
            ),
        )

    def upload(self, upload_id: str) -> Upload | None:
        row = self._db.execute("SELECT * FROM uploads WHERE id = ?", (upload_id,)).fetchone()
        if row is None:
            return None
        facts: dict[str, Any] = {**dict(row), "confirmed": bool(row["confirmed"])}
        return Upload(**facts)

    def set_fault(self, vendor: str, kind: str, count: int | None, value: str) -> None:
        """Arm a fault for the next `count` times, or for good."""
        self._db.execute("INSERT OR REPLACE INTO faults VALUES (?, ?, ?, ?)", (vendor, kind, count, value))

    def clear_faults(self, vendor: str = "*") -> None:
        self._db.execute("DELETE FROM faults WHERE ? IN ('*', vendor)", (vendor,))

    def faults(self) -> list[dict[str, Any]]:
        """Every fault that will still happen, by vendor and kind."""
        rows = self._db.execute("SELECT * FROM faults WHERE remaining IS NULL OR remaining > 0 ORDER BY vendor, kind")
        return [dict(row) for row in rows]

    def take_fault(self, vendor: str, kinds: Iterable[str]) -> tuple[str, str] | None:
        """Use up one armed fault of these kinds, the first that is there: its kind and value."""
        armed = self._db.execute(
            "SELECT kind, vendor FROM faults WHERE vendor IN (?, '*') AND (remaining IS NULL OR remaining > 0)",
            (vendor,),
        ).fetchall()
        if not armed:
            return None
        owner = {str(row["kind"]): str(row["vendor"]) for row in armed}
        for kind in kinds:
            if kind in owner:
                # Another process may have used the last one between the two statements.
                taken = self._db.execute(
                    "UPDATE faults SET remaining = remaining - 1 WHERE vendor = ? AND kind = ? "
                    "AND (remaining IS NULL OR remaining > 0) RETURNING value",
                    (owner[kind], kind),
                ).fetchall()
                if taken:
                    return kind, str(taken[0][0])
        return None

    def note(self, row: Mapping[str, Any]) -> None:
        """Write one line of the journal."""
        self._db.execute(
            "INSERT INTO journal (at, vendor, action, method, path, status, job, accepted, fault, facts) "
            "VALUES (:at, :vendor, :action, :method, :path, :status, :job, :accepted, :fault, :facts)",
            {**row, "facts": json.dumps(row["facts"], ensure_ascii=False)},
        )

    def journal(self, **wanted: str) -> list[dict[str, Any]]:
        """The journal's lines, oldest first, filtered by vendor, action or job."""
        names = [name for name in ("vendor", "action", "job") if wanted.get(name)]
        where = " AND ".join(f"{name} = :{name}" for name in names) or "1"
        rows = self._db.execute(f"SELECT * FROM journal WHERE {where} ORDER BY number", wanted)  # noqa: S608 - fixed names
        return [
            {**dict(row), "accepted": bool(row["accepted"]), "facts": json.loads(row["facts"])}
            for row in rows.fetchall()
        ]

    def clear_journal(self) -> None:
        self._db.execute("DELETE FROM journal")

    def _job(self, job_id: str) -> SandboxJob:
        return _job(self._db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())

    def _tidy(self, now: float) -> None:
        self._db.execute("DELETE FROM journal WHERE number <= (SELECT max(number) FROM journal) - ?", (JOURNAL_ROWS,))
        for table, column in (("jobs", "accepted"), ("uploads", "made")):
            self._db.execute(f"DELETE FROM {table} WHERE {column} < ?", (now - KEPT_S,))  # noqa: S608 - fixed names
        self._db.execute("DELETE FROM promises WHERE job NOT IN (SELECT id FROM jobs)")

    @contextmanager
    def _transaction(self) -> Generator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")


def _use_wal(db: sqlite3.Connection) -> None:
    """Switch to the log; SQLite does not wait by itself when several processes do this to a new file at once."""
    for attempt in range(OPEN_ATTEMPTS):
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if attempt == OPEN_ATTEMPTS - 1:
                raise
            sleep(0.01)
        else:
            return


def _job(row: sqlite3.Row) -> SandboxJob:
    return SandboxJob(
        id=row["id"],
        order=ClipOrder.from_json(row["order"]),
        account=row["account"],
        accepted=row["accepted"],
        starts=row["starts"],
        ends=row["ends"],
        ending=row["ending"],
        words=row["words"],
        price=None if row["price"] is None else Decimal(row["price"]),
        defect=row["defect"],
        cancelled=row["cancelled"],
    )
