"""A vendor's post makes a look due now; while posts come looks are few, and when they stay away looks come back."""

from __future__ import annotations

import asyncio
from typing import Any

from support.stub_vendor import House, bought, quiet

from mcp_server.providers.base import HttpCall


def posting(prompt: str = "a neon city") -> dict[str, Any]:
    """An order that asked its vendor to post how it ends."""
    return {
        "call": HttpCall(method="POST", path="/jobs", json={"prompt": prompt}, schema="submit", paid=True, callback="t")
    }


async def ended_by_post(house: House, runner: Any, number: int, after_s: float) -> int:
    """How many looks a job took whose end was posted."""
    before = len(house.vendor.looks)
    _, task = await bought(house, runner, **posting())
    await house.clock.advance(after_s)
    house.vendor.finish(f"job-{number}")
    assert await runner.store.posted(task.id, f"post {number}")
    await house.clock.advance(1)
    await house.until(runner, task.id, "saving", "succeeded", limit_s=3)
    task = await house.until(runner, task.id, "succeeded")
    assert abs(task.took_s - after_s) < 1, "the post says when it ended"
    return len(house.vendor.looks) - before


async def test_a_posted_end_is_looked_at_now_and_looks_become_few(house: House) -> None:
    runner = house.runner()
    first = await ended_by_post(house, runner, 1, 100)
    later = [await ended_by_post(house, runner, number, 100) for number in range(2, 5)]

    assert first > 2 and later == [1, 1, 1], "one look each, at the post"


async def test_looks_come_back_where_posts_stay_away(house: House) -> None:
    runner = house.runner()
    for number in range(1, 4):
        await ended_by_post(house, runner, number, 100)
    _, lost = await bought(house, runner, **posting())
    house.vendor.finish("job-4")
    looks = len(house.vendor.looks)
    await house.until(runner, lost.id, "succeeded", limit_s=300)
    assert len(house.vendor.looks) - looks <= 2, "the safety net alone found it"
    _, task = await bought(house, runner, **posting())
    looks = len(house.vendor.looks)
    await house.clock.advance(100)

    assert len(house.vendor.looks) - looks > 2
    assert (await runner.store.get(task.id)).state == "queued"


async def test_a_post_that_comes_before_the_vendor_s_yes_is_not_lost(house: House) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.vendor.answers = [answer]
    runner = house.runner()
    task, _ = await runner.buy(house.new(**posting()), wait_s=0.01)
    await quiet()
    assert task.state == "submitting"
    await runner.store.posted(task.id, "early")
    await house.clock.advance(1)
    answer.set_result(None)
    await house.clock.advance(0.1)
    house.vendor.finish("job-1")
    # Under way when the end was posted, or after it: either way it is seen without waiting for a look's own time.
    await house.until(runner, task.id, "saving", "succeeded", limit_s=6)
    assert house.vendor.looks[0] == "job-1"


async def test_what_is_posted_while_a_look_is_under_way_is_looked_at_again(house: House) -> None:
    runner, task = await bought(house, **posting())
    seen: list[str] = []

    def plays(job: dict[str, Any]) -> None:
        seen.append(job["status"])
        if len(seen) == 1:
            # The answer that is on its way says "pending"; the vendor finishes meanwhile, and posts.
            job |= {"status": "pending"}
            asyncio.get_running_loop().create_task(ends())

    async def ends() -> None:
        house.vendor.finish("job-1")
        runner.dispatcher.posted(task.id)

    house.vendor.plays = plays
    await house.clock.advance(5)
    await house.until(runner, task.id, "saving", "succeeded", limit_s=3)


async def test_who_posts_without_end_is_not_looked_at_without_end(house: House) -> None:
    runner, task = await bought(house, **posting())
    for number in range(500):
        await runner.store.posted(task.id, f"post {number}")
        if not number % 50:
            await house.clock.advance(1)
    await house.clock.advance(2)

    assert len(house.vendor.looks) < 30
