"""Polls are timed by what the offer's own clips took."""

from __future__ import annotations

from support.stub_vendor import House, bought


async def test_the_pace_is_learned_from_the_offers_own_clips(house: House) -> None:
    runner = house.runner()
    for number in range(1, 7):
        _, task = await bought(house, runner)
        await house.clock.advance(42)
        house.vendor.finish(f"job-{number}")
        await house.until(runner, task.id, "succeeded")
    looks = len(house.vendor.looks)
    durations = await runner.store.durations("stub/kling-3.0/pro/text-to-video", simulated=False)
    assert all(38 <= seconds <= 60 for seconds in durations)

    _, task = await bought(house, runner)
    await house.clock.advance(42)
    house.vendor.finish("job-7")
    ready = house.clock.passed
    await house.until(runner, task.id, "succeeded")

    assert house.clock.passed - ready < 4
    assert len(house.vendor.looks) - looks < 42 / 2
