"""A worker that took more than its even share of a fleet's jobs lets the others have the next, and none waits for long."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.followers import Process, ordered, until

from mcp_server.clock import Clock
from mcp_server.tasks.store.postgres import following
from mcp_server.tasks.store.postgres.share import PATIENCE_S

BEATS = "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 hour') RETURNING id"
"""A worker that lives and takes nothing."""
MANY = 20


@dataclass
class Patience:
    """Time in which others have their turn: it lasts until it is called over."""

    over: asyncio.Event = field(default_factory=asyncio.Event)
    waits: int = 0

    async def sleep(self, seconds: float) -> None:
        if seconds != PATIENCE_S:
            await asyncio.sleep(seconds)
            return
        self.waits += 1
        await self.over.wait()


@pytest.fixture
async def greedy(process: Callable[..., Process], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A worker that began alone and took all that waited, its patience, and who orders."""
    monkeypatch.setattr(following, "SWEEP_S", 0.01)
    orderer, patience = process(), Patience()
    worker = await process(Clock(sleep=patience.sleep)).listen()
    await ordered(orderer, MANY)
    await worker.holds(MANY)
    yield worker, patience, orderer
    patience.over.set()


async def test_a_worker_alone_never_waits(greedy: Any) -> None:
    worker, patience, orderer = greedy
    await ordered(orderer, 3)

    assert len(await worker.holds(MANY + 3)) == MANY + 3 and patience.waits == 0


async def test_who_is_ahead_lets_another_have_what_comes(greedy: Any, process: Any) -> None:
    worker, patience, orderer = greedy
    another = process()
    await another.following.take_over()
    await until(lambda: worker.following.workers == 2)
    came = await ordered(orderer, 4)

    assert {*await another.holds(4)} == {*came} and len(worker.following) == MANY
    await until(lambda: patience.waits)


async def test_what_another_beats_for_and_does_not_take_is_taken_after_all(greedy: Any) -> None:
    worker, patience, orderer = greedy
    await worker.ask(BEATS)
    await until(lambda: worker.following.workers == 2)
    (task_id,) = await ordered(orderer, 1)
    await until(lambda: patience.waits)
    assert len(worker.following) == MANY
    patience.over.set()

    assert task_id in await worker.holds(MANY + 1)
