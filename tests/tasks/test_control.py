"""What a person decides about a task: believed where the vendor can, told where it cannot, never free by mistake."""

from __future__ import annotations

import pytest
from support.stub_vendor import House, bought, facts, quiet


async def test_cancelling_before_anything_was_sent_costs_nothing(house: House) -> None:
    house.vendor.answers = [(429, {}, {"retry-after": "50"})]
    runner = house.runner()
    new = house.new()
    await runner.buy(new, wait_s=0.02)
    await quiet()

    cancelled = await runner.control.cancel(new.id)
    await house.clock.advance(100)

    assert cancelled.done
    assert cancelled.task.reserved_usd == 0
    assert (await runner.store.get(new.id)).state == "cancelled"
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize(("status", "done", "state"), [("pending", True, "cancelled"), ("processing", False, "queued")])
async def test_a_vendor_that_can_cancel_is_asked_and_believed(
    house: House, status: str, done: bool, state: str
) -> None:
    house.providers = (facts(cancel="queued"),)
    runner, task = await bought(house)
    house.vendor.jobs["job-1"]["status"] = status

    cancelled = await runner.control.cancel(task.id)

    assert (cancelled.done, cancelled.task.state) == (done, state)
    assert house.vendor.cancels == ["job-1"]
    assert ("billed" in cancelled.words) is not done


async def test_a_wish_to_stop_what_is_over_says_how_it_ended(house: House) -> None:
    runner = house.runner()
    made, _ = await runner.buy(house.new())
    house.vendor.finish(made.job_id)
    await house.until(runner, made.id, "succeeded")
    house.vendor.answers.append((400, {"error": "no"}))
    failed, _ = await runner.buy(house.new())

    assert "made and saved" in (await runner.control.cancel(made.id)).words
    assert "it has failed" in (await runner.control.cancel(failed.id)).words


async def test_a_vendor_that_cannot_cancel_says_that_it_goes_on_and_is_billed(house: House) -> None:
    runner, task = await bought(house)

    cancelled = await runner.control.cancel(task.id)

    assert not cancelled.done
    assert "billed" in cancelled.words
    assert cancelled.task.state == "queued"


async def test_following_stops_and_goes_on_as_asked_from_any_process(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    stopped = await two.control.stop_following(task.id)
    await house.clock.advance(3)
    looks = len(house.vendor.looks)
    house.vendor.finish("job-1")
    await house.clock.advance(300)
    assert stopped.stopped_following
    assert len(house.vendor.looks) <= looks + 1
    assert (await one.wait([task.id], timeout_s=0))[0].state == "queued"

    await two.control.resume(task.id)

    assert (await house.until(two, task.id, "succeeded", limit_s=60)).state == "succeeded"
