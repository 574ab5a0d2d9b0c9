"""Processes that follow tasks at a database of many machines, several of them in one test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import new_task

from mcp_server.clock import Clock
from mcp_server.domain.task import Task
from mcp_server.tasks.store.base import Budget, Lease
from mcp_server.tasks.store.postgres.connections import Connections, rows
from mcp_server.tasks.store.postgres.following import Following
from mcp_server.tasks.store.postgres.notices import Notices
from mcp_server.tasks.store.postgres.store import PostgresStore

LIMIT_S = 20.0


@dataclass
class Process:
    """One process at the database, and what it was handed."""

    store: PostgresStore
    following: Following
    leases: dict[str, Lease] = field(default_factory=dict)

    async def listen(self) -> Process:
        """Hear what others change from now on."""
        await self.following.notices.take()
        await until(lambda: self.following.notices._hears)
        return self

    async def holds(self, count: int) -> dict[str, Lease]:
        """What it has been handed, once it is so many."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                self.following.woken.clear()
                self.leases |= {lease.task.id: lease for lease in await self.following.take_over()}
                if len(self.leases) >= count:
                    return self.leases
                await self.following.woken.wait()

    async def end(self, task_id: str) -> Task:
        ended = await self.store.change(self.leases[task_id], state="failed", reserved_usd=Decimal(0))
        assert ended is not None
        self.following.told(ended)
        return ended

    async def fall_silent(self) -> None:
        """As after SIGSTOP: nothing runs, and the heartbeat stands still until it is older than the silence."""
        await self.following._engine.stop()
        assert self.following._rounds is not None
        self.following._rounds.cancel()
        await self.ask("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '11 s' WHERE id = %s "
                       "RETURNING id", self.following._worker)  # fmt: skip

    async def ask(self, query: str, *values: Any) -> list[Any]:
        async with self.store.connections.transaction() as connection:
            return [tuple(row.values()) for row in await rows(connection, query, values)]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def process(database: str) -> AsyncIterator[Callable[..., Process]]:
    made: list[Process] = []

    def begin(clock: Clock | None = None, **changes: Any) -> Process:
        store = PostgresStore(Connections(database), clock or Clock())
        made.append(Process(store, Following(store, Notices(database, store.process), **changes)))
        return made[-1]

    yield begin
    for each in made:
        await each.following.release()
        await each.store.close()


async def ordered(process: Process, count: int) -> list[str]:
    made = [(await process.store.create(new_task(), Budget()))[0] for _ in range(count)]
    return [lease.task.id for lease in made]
