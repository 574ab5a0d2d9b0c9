from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.databases import cluster, database  # noqa: F401 - fixtures
from support.followers import process  # noqa: F401 - a fixture
from support.stub_vendor import ManualClock

from mcp_server.tasks.store.base import Budget, Lease, NewTask, TaskStore
from mcp_server.tasks.store.sqlite import SqliteStore


@dataclass
class Record:
    """One record, of either kind, and as many processes at it as wanted."""

    kind: str
    where: Any
    clock: ManualClock = field(default_factory=ManualClock)
    _open: list[Any] = field(default_factory=list)

    def store(self) -> TaskStore:
        if self.kind == "sqlite":
            made: Any = SqliteStore(self.where, self.clock)  # type: ignore[arg-type]
        else:
            from mcp_server.tasks.store.postgres.connections import Connections
            from mcp_server.tasks.store.postgres.store import PostgresStore

            made = PostgresStore(Connections(self.where), self.clock)  # type: ignore[arg-type]
        self._open.append(made)
        return made

    async def lease(self, store: Any, new: NewTask, budget: Budget | None = None) -> Lease:
        """The order written down, and leased to the process of this store."""
        lease, created = await store.create(new, budget or Budget())
        assert created
        return lease if self.kind == "sqlite" else await self.again(store, lease.task.id)

    async def again(self, store: Any, task_id: str) -> Lease:
        """The task, taken by this process from wherever it waits for one."""
        if self.kind == "sqlite":
            return next(lease for lease in await store.take_over() if lease.task.id == task_id)
        (job,) = await self.query(store, f"SELECT follow_job AS one FROM tasks WHERE id = '{task_id}'")
        return (await store.take({job: task_id}))[job].lease

    async def query(self, store: Any, sql: str) -> list[Any]:
        """The column `one` of what the database answers."""
        if self.kind == "sqlite":
            return await store._writer.do(lambda db: [row["one"] for row in db.execute(sql)], "read")
        from mcp_server.tasks.store.postgres.connections import rows

        async with store.connections.transaction() as connection:
            return [row["one"] for row in await rows(connection, sql)]

    async def close(self) -> None:
        for store in self._open:
            await store.close()


@pytest.fixture(params=["sqlite", "postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Any]:
    """Each kind of record, and where an empty one is."""
    if request.param == "sqlite":
        return request.param, tmp_path / "tasks.db"
    return request.param, request.getfixturevalue("database")


@pytest.fixture
async def record(where: tuple[str, Any]) -> AsyncIterator[Record]:
    made = Record(*where)
    yield made
    await made.close()
