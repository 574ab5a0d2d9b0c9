"""The outbox: a line for every end that somebody wants to be told of, written in the transaction that ends the task.

A trigger of this connection writes the lines: whatever ends a task here, and whether the process dies the moment after,
the line is there, once. Only a process that was told where to send notices has the trigger, so nobody who sets a
variable later is told of all that ever ended.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from mcp_server.clock import Clock
from mcp_server.domain.task import FINISHED
from mcp_server.tasks.store.writer_thread import WriterThread

TABLE: Final = """
    CREATE TABLE notices (
      id INTEGER PRIMARY KEY,
      task_id TEXT NOT NULL,
      channel TEXT NOT NULL,
      state TEXT NOT NULL,
      at REAL NOT NULL,
      due REAL NOT NULL DEFAULT 0,
      attempts INTEGER NOT NULL DEFAULT 0,
      done_at REAL,
      outcome TEXT NOT NULL DEFAULT ''
    );
    CREATE INDEX notices_due ON notices (channel, due) WHERE done_at IS NULL;
    """
_ENDS: Final = ", ".join(repr(state) for state in sorted(FINISHED))


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One end of one task, to be told once on one channel."""

    id: int
    task_id: str
    channel: str
    state: str
    at: float
    attempts: int
    """This one counted."""


def watch(db: sqlite3.Connection, channels: Sequence[str]) -> None:
    """From now on, every end that this connection writes leaves a line for each channel."""
    for channel in channels:
        # A name of ours, and triggers take no parameters.
        db.execute(
            f"CREATE TEMP TRIGGER ended_{channel} AFTER UPDATE OF state ON main.tasks "  # noqa: S608
            f"WHEN NEW.state IN ({_ENDS}) AND NEW.state IS NOT OLD.state BEGIN "
            f"INSERT INTO notices (task_id, channel, state, at) "
            f"VALUES (NEW.id, '{channel}', NEW.state, NEW.updated_at); END"
        )


class Outbox(Protocol):
    """What is still to be told; any process that is told where to may take a line, and one at a time does."""

    async def take(self, channel: str, *, hold_s: float) -> Notice | None:
        """The oldest line that is due, nobody else's for this long; with 0 it is done with, whatever comes of it."""
        ...

    async def waiting(self, channel: str) -> bool:
        """Whether a line of this channel is due; asked every second, and writes nothing."""
        ...

    async def done(self, notice: Notice, outcome: str) -> None:
        """It was told, or nobody tries any more."""
        ...

    async def later(self, notice: Notice, wait_s: float, outcome: str) -> None:
        """It could not be told now."""
        ...


@dataclass
class SqliteOutbox:
    """`Outbox` in the file."""

    writer: WriterThread
    exists: Callable[[], bool]
    clock: Clock = field(default_factory=Clock)

    async def take(self, channel: str, *, hold_s: float) -> Notice | None:
        if not self.exists():
            return None
        now = self.clock.now()

        def work(db: sqlite3.Connection) -> Notice | None:
            row = db.execute(
                "UPDATE notices SET attempts = attempts + 1, due = ?, done_at = ?, outcome = 'begun' WHERE id = "
                "(SELECT id FROM notices WHERE done_at IS NULL AND channel = ? AND due <= ? ORDER BY due, id LIMIT 1) "
                "RETURNING id, task_id, channel, state, at, attempts",
                [now + hold_s, None if hold_s else now, channel, now],
            ).fetchone()
            return None if row is None else Notice(**dict(row))

        # On the disk before anything leaves: a power cut must not make a second command of one end.
        return await self.writer.do(work, "money") if await self.waiting(channel) else None

    async def waiting(self, channel: str) -> bool:
        now = self.clock.now()
        query = "SELECT 1 FROM notices WHERE done_at IS NULL AND channel = ? AND due <= ? LIMIT 1"
        if not self.exists():
            return False
        return await self.writer.do(lambda db: db.execute(query, [channel, now]).fetchone() is not None, "read")

    async def done(self, notice: Notice, outcome: str) -> None:
        await self._write("done_at = ?, outcome = ?", [self.clock.now(), outcome, notice.id])

    async def later(self, notice: Notice, wait_s: float, outcome: str) -> None:
        await self._write("due = ?, outcome = ?", [self.clock.now() + wait_s, outcome, notice.id])

    async def _write(self, changes: str, values: list[object]) -> None:
        await self.writer.do(lambda db: db.execute(f"UPDATE notices SET {changes} WHERE id = ?", values), "write")  # noqa: S608
