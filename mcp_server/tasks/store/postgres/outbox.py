"""Ends that somebody wants to be told of, in Postgres: a line in the commit that ends the task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from mcp_server.clock import Clock
from mcp_server.domain.task import Task
from mcp_server.tasks.store.notices import Notice
from mcp_server.tasks.store.postgres.connections import Connection, Connections, row, run


async def put(connection: Connection, channels: Sequence[str], before: Task, after: Task) -> None:
    """A line for each channel, where the change ends the task."""
    if not after.finished or after.state == before.state:
        return
    for channel in channels:
        await run(
            connection,
            "INSERT INTO notices (task_id, channel, state, at) VALUES (%s, %s, %s, %s)",
            [after.id, channel, after.state, after.updated_at],
        )


@dataclass
class PostgresOutbox:
    """`Outbox` in the database; workers that take at once take different lines."""

    connections: Connections
    clock: Clock = field(default_factory=Clock)

    async def take(self, channel: str, *, hold_s: float) -> Notice | None:
        now = self.clock.now()
        async with self.connections.transaction() as connection:
            found = await row(
                connection,
                "UPDATE notices SET attempts = attempts + 1, due = %s, done_at = %s, outcome = 'begun' WHERE id = "
                "(SELECT id FROM notices WHERE done_at IS NULL AND channel = %s AND due <= %s ORDER BY due, id LIMIT 1 "
                "FOR UPDATE SKIP LOCKED) RETURNING id, task_id, channel, state, at, attempts",
                [now + hold_s, None if hold_s else now, channel, now],
            )
        return None if found is None else Notice(**found)

    async def waiting(self, channel: str) -> bool:
        query = "SELECT 1 AS due FROM notices WHERE done_at IS NULL AND channel = %s AND due <= %s LIMIT 1"
        async with self.connections.transaction() as connection:
            return await row(connection, query, [channel, self.clock.now()]) is not None

    async def done(self, notice: Notice, outcome: str) -> None:
        await self._write("done_at = %s, outcome = %s", [self.clock.now(), outcome, notice.id])

    async def later(self, notice: Notice, wait_s: float, outcome: str) -> None:
        await self._write("due = %s, outcome = %s", [self.clock.now() + wait_s, outcome, notice.id])

    async def _write(self, changes: str, values: list[object]) -> None:
        async with self.connections.transaction() as connection:
            await run(connection, f"UPDATE notices SET {changes} WHERE id = %s", values)  # noqa: S608
