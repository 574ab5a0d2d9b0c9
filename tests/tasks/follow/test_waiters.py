"""Waiting for tasks: woken by whichever process saw the change, never longer than asked."""

from __future__ import annotations

import asyncio
from typing import Any

from support.stub_vendor import House, bought


async def test_a_wait_wakes_when_another_process_sees_the_end(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    waiting = asyncio.create_task(two.wait([task.id], timeout_s=400))
    await house.clock.advance(1)
    house.vendor.finish("job-1")
    await house.until(one, task.id, "succeeded")
    end = house.clock.passed
    await house.clock.advance(1)

    assert waiting.done()
    assert waiting.result()[0].state == "succeeded"
    assert house.clock.passed - end <= 1


async def test_a_wait_for_any_returns_with_the_first_and_tells_progress(house: House) -> None:
    runner, one = await bought(house)
    _, two = await bought(house, runner)
    seen: list[tuple[str, str]] = []

    async def told(task: Any) -> None:
        seen.append((task.id, task.state))

    waiting = asyncio.create_task(runner.wait([one.id, two.id], until="any", timeout_s=900, on_progress=told))
    house.vendor.finish("job-2")
    await house.clock.advance(200)

    tasks = waiting.result()
    assert [task.id for task in tasks] == [one.id, two.id]
    assert [task.state for task in tasks] == ["queued", "succeeded"]
    assert (two.id, "saving") in seen or (two.id, "succeeded") in seen


async def test_a_wait_ends_when_its_time_is_up(house: House) -> None:
    runner, task = await bought(house)
    waiting = asyncio.create_task(runner.wait([task.id], timeout_s=20))
    await house.clock.advance(19)
    assert not waiting.done()
    await house.clock.advance(2)

    assert waiting.result()[0].state == "queued"


async def test_what_another_process_writes_is_heard_within_a_twentieth_of_a_second(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    waiting = asyncio.create_task(two.wait([task.id], timeout_s=400))
    await house.clock.advance(1)
    assert not waiting.done()

    await one.store.decide(task.id, ("queued",), "the vendor said so", state="cancelled")
    await house.clock.advance(0.05)

    assert waiting.done() and waiting.result()[0].state == "cancelled"


async def test_who_begins_to_wait_is_looked_after_at_once(house: House) -> None:
    """The loop that looks sleeps for a second while nobody waits."""
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    await house.clock.advance(10.3)

    waiting = asyncio.create_task(two.wait([task.id], timeout_s=400))
    await house.clock.advance(0.05)
    await one.store.decide(task.id, ("queued",), "the vendor said so", state="cancelled")
    await house.clock.advance(0.1)

    assert waiting.done()
