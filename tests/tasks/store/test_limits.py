"""What all workers together may ask of one vendor account is never passed: counted where the vendor would count it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from support.stub_vendor import facts

from mcp_server.providers.accounts import Account
from mcp_server.settings import Secret
from mcp_server.tasks.store.postgres import limits
from mcp_server.tasks.store.postgres.connections import Connections, rows
from mcp_server.tasks.store.postgres.limits import BURST, CALLS_PER_TURN_S, SharedLimits

AT_ONCE = 3


@dataclass
class Counter:
    """The vendor's own books."""

    inside: int = 0
    most: int = 0
    came: list[float] = field(default_factory=list)

    def passed(self, rate: float) -> float:
        """By how much the calls of any stretch of time are more than the rate and the burst allow."""
        return max(
            last - first + 1 - BURST - rate * (self.came[last] - self.came[first] + limits.STALE_S)
            for first in range(len(self.came))
            for last in range(first, len(self.came), 3)
        )


def account(name: str = "stub", key: str = "k") -> Account:
    return Account(
        facts=facts(name, concurrency=AT_ONCE), base_urls={"api": "https://stub.test"}, secret=Secret(key, "t")
    )


@pytest.fixture
async def worker(database: str) -> AsyncIterator[Callable[..., SharedLimits]]:
    made: list[SharedLimits] = []

    def begin(among: int) -> SharedLimits:
        made.append(SharedLimits(Connections(database), f"worker {len(made)}", lambda: among))
        return made[-1]

    yield begin
    for each in made:
        await each.close()
        await each.connections.close()


async def calls(worker: SharedLimits, counter: Counter, count: int, whose: Account) -> None:
    async def one() -> None:
        door = worker.door(whose)
        await door.enter()
        counter.inside += 1
        counter.most = max(counter.most, counter.inside)
        counter.came.append(time.monotonic())
        for _ in range(10):
            await asyncio.sleep(0)
        counter.inside -= 1
        door.leave()

    await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.parametrize("workers", [2, 5])
async def test_calls_at_once_and_a_second_are_never_passed_in_sum(worker: Any, workers: int) -> None:
    counter, each = Counter(), 30 // workers
    async with asyncio.timeout(120):
        await asyncio.gather(*(calls(worker(workers), counter, each, account()) for _ in range(workers)))

    assert counter.most <= AT_ONCE and len(counter.came) == workers * each, (
        "all had their turn, also more than there are"
    )
    assert counter.passed(AT_ONCE * CALLS_PER_TURN_S) <= 0


async def test_another_account_has_limits_of_its_own(worker: Any) -> None:
    one = worker(1)
    assert one.door(account()) is one.door(account())
    assert len({one.door(each).account for each in (account(), account(key="other"), account("another"))}) == 3


async def test_who_dies_leaves_its_turns_to_the_others_and_holds_none_twice(worker: Any) -> None:
    dead, heir = worker(1), worker(1)
    door = dead.door(account())
    for _ in range(AT_ONCE):
        await door.enter()
    door._working.cancel()
    waiting = asyncio.create_task(heir.door(account()).enter())
    async with heir.connections.transaction() as connection:
        held = await rows(connection, "SELECT holder FROM vendor_slots WHERE until > now()")
    assert [each["holder"] for each in held] == ["worker 0"] * AT_ONCE and not waiting.done()
    async with heir.connections.transaction() as connection:
        await rows(connection, "UPDATE vendor_slots SET until = now() RETURNING number")
    async with asyncio.timeout(120):
        await waiting
    await door._renew()
    assert door._slots == {}, "what another has by now is not renewed"


async def test_who_is_told_to_go_gives_its_turns_back_at_once(worker: Any) -> None:
    one, two = worker(2), worker(2)
    await calls(one, Counter(), 3, account())
    await one.close()
    async with two.connections.transaction() as connection:
        assert await rows(connection, "SELECT 1 FROM vendor_slots WHERE until > now()") == []


async def test_a_caller_that_gives_up_keeps_no_turn(worker: Any) -> None:
    one = worker(1)
    door = one.door(account())
    for _ in range(AT_ONCE):
        await door.enter()
    tired = asyncio.create_task(door.enter())
    await asyncio.sleep(0)
    tired.cancel()
    await asyncio.gather(tired, return_exceptions=True)
    door.leave()
    async with asyncio.timeout(120):
        await door.enter()
    assert door._inside == AT_ONCE
