"""Calls and answers that come when their order was given up: the call stays here, the answer is written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.hostile_vendor import KEY, Asked, HostileVendor, became, hostile, order, reply
from support.services import service

from mcp_server.service import Service

JOB = {"request_id": "job-1", "status": "in_progress"}


@dataclass
class Held:
    """A vendor whose answer to the order, or whose line, is held back until it is let go."""

    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        self.reached.set()
        await self.let_go.wait()

    async def answer(self, _: Asked, writer: asyncio.StreamWriter) -> None:
        await self.wait()
        writer.write(reply(200, JOB))


@asynccontextmanager
async def given_up(
    folder: Path, held: Held, **answers: Any
) -> AsyncIterator[tuple[HostileVendor, Service, Service, str]]:
    """A process that slept while its paid call was out or about to be, and another that found the order so."""
    async with hostile(folder, **answers) as (vendor, sleeper):
        task = await sleeper.generate(order(), confirmed=True, wait_s=0)
        await held.reached.wait()
        for loop in sleeper.runner.leases.loops:
            loop.cancel()
        heir = service(folder, clock=sleeper.runner.runtime.clock, RUNCOMFY_TOKEN=KEY, RUNCOMFY_BASE_URL=vendor.url)
        try:
            vendor.hurry.begin()
            await heir.start()
            await became(heir, task.task_id, "uncertain")
            yield vendor, sleeper, heir, task.task_id
        finally:
            held.let_go.set()
            await heir.runner.close(grace_s=0)
            await heir.close()


async def let_go(held: Held, sleeper: Service, task_id: str) -> None:
    sending = sleeper.runner.dispatcher.submitting[task_id]
    held.let_go.set()
    async with asyncio.timeout(60):
        await asyncio.wait([sending])


@pytest.fixture
def slow_line(monkeypatch: pytest.MonkeyPatch) -> Held:
    """The first line to the vendor opens when it is let go."""
    held, plain = Held(), asyncio.open_connection
    lines = iter([True])

    async def connect(*given: Any, **more: Any) -> Any:
        if next(lines, False):
            await held.wait()
        return await plain(*given, **more)

    monkeypatch.setattr("mcp_server.providers.connections.asyncio.open_connection", connect)
    return held


@pytest.mark.parametrize("settled", [True, False])
async def test_a_call_whose_order_was_given_up_while_the_line_opened_does_not_leave(
    settled: bool, slow_line: Held, tmp_path: Path
) -> None:
    async with given_up(tmp_path, slow_line) as (vendor, sleeper, heir, task_id):
        if settled:
            await heir.settle(task_id, bought=False)
        await let_go(slow_line, sleeper, task_id)
        task = await heir.runner.store.get(task_id)

    assert vendor.count("submit") == 0
    assert task.state == "failed"
    assert (task.error or {})["money"] == "not_spent"
    assert task.reserved_usd == 0


async def test_a_late_answer_to_an_order_settled_as_not_bought_is_followed_and_counts(tmp_path: Path) -> None:
    held = Held()
    async with given_up(tmp_path, held, submit=held.answer) as (vendor, sleeper, heir, task_id):
        await heir.settle(task_id, bought=False)
        assert (await heir.runner.store.get(task_id)).reserved_usd == 0
        await let_go(held, sleeper, task_id)
        written = await heir.runner.store.get(task_id)
        task = await became(heir, task_id)

    assert (written.job_id, written.by_hand) == ("job-1", False)
    assert written.reserved_usd > Decimal(0)
    assert task.state == "succeeded"
    assert vendor.count("submit") == 1


async def test_a_late_answer_names_a_second_job_where_the_user_named_another(tmp_path: Path) -> None:
    held = Held()
    going = reply(200, {"status": "in_progress"})
    async with given_up(tmp_path, held, submit=held.answer, status=going) as (vendor, sleeper, heir, task_id):
        await heir.settle(task_id, bought=True, job_id="job-9")
        await let_go(held, sleeper, task_id)
        for _ in range(2):
            polled = vendor.count("status")
            while vendor.count("status") == polled:
                await asyncio.sleep(0.005)
        task = await heir.runner.store.get(task_id)

    assert task.job_id == "job-9"
    assert "job-1" in task.note
