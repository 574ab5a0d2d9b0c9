"""From the vendor's yes to its end: nothing is lost, nothing is guessed, one process polls at a time."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House, facts, quiet

from mcp_server.errors import RequestError, UnknownTaskError
from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.tasks.follow import intervals, poller
from mcp_server.tasks.store.base import Filter, Lease
from mcp_server.tasks.store.heartbeat import SILENCE_S
from mcp_server.tasks.store.rows import IllegalMoveError


async def bought(house: House, runner: Any = None, **changes: Any) -> tuple[Any, Any]:
    runner = runner or house.runner()
    task, _ = await runner.buy(house.new(**changes))
    assert task.state == "queued"
    return runner, task


async def test_a_word_nobody_documented_keeps_the_task_going_and_is_shown(house: House) -> None:
    runner, task = await bought(house)
    house.vendor.jobs["job-1"]["status"] = "NOT_START"
    await house.clock.advance(60)
    task = await runner.store.get(task.id)

    assert (task.state, task.status) == ("queued", "NOT_START")
    assert "nobody documented" in task.note
    house.vendor.finish("job-1")
    assert (await house.until(runner, task.id, "succeeded")).note == ""


async def test_progress_is_recorded_as_it_comes(house: House) -> None:
    runner, task = await bought(house)
    house.vendor.jobs["job-1"] |= {"status": "processing", "progress": 30}
    await house.clock.advance(60)
    task = await runner.store.get(task.id)

    assert (task.state, task.progress) == ("running", 30)


@pytest.mark.parametrize(
    "answer",
    [UnreachableError("down"), LostAnswerError("silent"), (503, "busy"), (200, "<html>"), (401, {}), (404, {})],
    ids=str,
)
async def test_a_vendor_that_is_down_loses_nothing(house: House, answer: Any) -> None:
    runner, task = await bought(house)
    house.vendor.status_answers = [answer] * 4
    house.vendor.finish("job-1")

    task = await house.until(runner, task.id, "succeeded", "failed", limit_s=900)

    assert task.state == "succeeded"
    assert task.note == ""


async def test_a_vendor_that_is_down_for_an_hour_is_asked_seldom_and_said_so(house: House) -> None:
    runner, task = await bought(house)
    house.vendor.status_answers = [UnreachableError("Stub could not be reached")] * 1000
    await house.clock.advance(3600)
    task = await runner.store.get(task.id)
    assert task.state == "queued"
    assert "could not be reached" in task.note
    assert len(house.vendor.looks) < 50
    house.vendor.status_answers.clear()
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", limit_s=200)).state == "succeeded"


async def test_a_job_the_vendor_forgot_is_failed_only_after_long_watching(house: House) -> None:
    runner, task = await bought(house)
    del house.vendor.jobs["job-1"]
    await house.clock.advance(poller.FORGOTTEN_AFTER_S - 30)
    assert (await runner.store.get(task.id)).state == "queued"

    task = await house.until(runner, task.id, "failed", limit_s=400)

    assert task.error["money"] == "may_have_been_charged"
    assert task.reserved_usd == Decimal("0.56")


async def test_a_deadline_ends_in_what_is_known(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(intervals.DEADLINE_S, "text-to-video", 600.0)  # type: ignore[arg-type]
    monkeypatch.setattr(poller, "LATE_GRACE_S", 300.0)
    runner, task = await bought(house)
    _, night = await bought(house, runner, request={"off_peak": True})

    task = await house.until(runner, task.id, "failed", limit_s=1500)

    assert task.error["code"] == "deadline"
    assert "'pending'" in task.error["why"]
    assert task.error["money"] == "may_have_been_charged"
    assert (await runner.store.get(night.id)).state == "queued", "off-peak orders have no deadline"


async def test_a_clock_that_jumps_does_not_end_a_task(house: House) -> None:
    runner, task = await bought(house)
    house.clock.jumped = 30 * 86_400
    await house.clock.advance(600)
    assert (await runner.store.get(task.id)).state == "queued"
    house.clock.jumped = -30 * 86_400
    await house.clock.advance(600)
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", limit_s=600)).state == "succeeded"


@pytest.mark.parametrize(
    ("refunds", "cost", "basis", "money", "counted"),
    [
        (True, None, "rolled_back", "not_spent", "0"),
        (None, None, "not_documented", "unknown", "0.56"),
        (None, 0.3, "reported", "charged", "0.3"),
    ],
)
async def test_a_failed_job_costs_what_the_vendor_says(
    house: House, refunds: Any, cost: Any, basis: str, money: str, counted: str
) -> None:
    house.providers = (facts(refunds_failures=refunds),)
    runner, task = await bought(house)
    house.vendor.jobs["job-1"] |= {"status": "failed", "error": "moderation"} | ({} if cost is None else {"cost": cost})

    task = await house.until(runner, task.id, "failed")

    assert task.error["vendor_words"] == "moderation"
    assert (task.settlement.basis, task.error["money"]) == (basis, money)
    assert task.reserved_usd == Decimal(counted)


async def test_a_clip_is_settled_by_the_vendors_number_else_by_the_quote(house: House) -> None:
    runner, one = await bought(house)
    _, two = await bought(house, runner)
    house.vendor.finish("job-1", cost=0.42)
    house.vendor.finish("job-2")
    one = await house.until(runner, one.id, "succeeded")
    two = await house.until(runner, two.id, "succeeded")

    assert (one.settlement.usd, one.settlement.basis, one.reserved_usd) == (
        Decimal("0.42"),
        "reported",
        Decimal("0.42"),
    )
    assert (two.settlement.usd, two.settlement.basis) == (Decimal("0.56"), "computed")
    spent = await runner.store.spent("2000-01-01")
    assert [(row.tasks, row.quoted_usd, row.settled_usd) for row in spent] == [(2, Decimal("1.12"), Decimal("0.98"))]


async def test_credits_become_dollars_only_where_the_user_said_what_one_costs(house: House) -> None:
    for rate, usd in ((None, None), (Decimal("0.002"), Decimal("0.48"))):
        runner = house.runner(usd_per_credit=rate)
        _, task = await bought(house, runner, quote_currency="credits", quote_amount=Decimal(240), quote_usd=None)
        house.vendor.finish(task.job_id, cost=240)
        task = await house.until(runner, task.id, "succeeded")
        assert (task.settlement.amount, task.settlement.currency, task.settlement.usd) == (Decimal(240), "credits", usd)
        await runner.close(grace_s=0)


async def test_an_address_behind_a_second_call_is_fetched(house: House) -> None:
    runner, task = await bought(house)
    house.vendor.finish("job-1", needs_result=True)
    task = await house.until(runner, task.id, "succeeded")

    assert len(house.vendor.looks) >= 2


async def test_a_killed_process_is_replaced_within_seconds(house: House) -> None:
    dead, task = await bought(house)
    heir = house.runner()
    await heir.start()
    await house.clock.advance(20)
    for loop in dead.leases.loops:
        loop.cancel()
    dead.dispatcher.scheduler.clear()
    house.vendor.finish("job-1")
    before = house.clock.passed

    task = await house.until(heir, task.id, "succeeded", limit_s=60)

    assert house.clock.passed - before <= SILENCE_S + 4
    assert house.vendor.downloads == ["https://media.test/job-1.mp4"]


async def test_while_its_holder_lives_nobody_else_polls(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    await house.clock.advance(120)

    assert task.id in one.dispatcher.scheduler.ids()
    assert task.id not in two.dispatcher.scheduler.ids()
    assert (await one.store.take_over(), await two.store.take_over()) == ([], [])


async def test_a_process_that_slept_through_its_replacement_changes_nothing(house: House) -> None:
    paused, task = await bought(house)
    for loop in paused.leases.loops:
        loop.cancel()
    heir = house.runner()
    await heir.start()
    await house.clock.advance(SILENCE_S + 5)
    assert task.id in heir.dispatcher.scheduler.ids()

    stale = Lease(task, 1)

    assert await paused.store.change(stale, state="failed") is None
    assert await paused.store.sending(stale, 0.0) is False
    assert await paused.store.heartbeat() is False
    assert (await heir.store.get(task.id)).state == "queued"


async def test_a_process_that_is_told_to_go_hands_over_at_once(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    await house.clock.advance(5)
    await one.close()
    await house.clock.advance(2.5)

    assert task.id in two.dispatcher.scheduler.ids()


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


async def test_illegal_moves_are_impossible(house: House) -> None:
    runner = house.runner()
    lease, _ = await runner.store.create(house.new(), runner.budget)
    with pytest.raises(IllegalMoveError):
        await runner.store.change(lease, state="succeeded")
    await runner.store.change(lease, state="failed")

    assert await runner.store.change(lease, state="queued") is None
    with pytest.raises(RequestError):
        await runner.control.stop_following(lease.task.id)
    with pytest.raises(UnknownTaskError):
        await runner.store.get("kv-nothing")


async def test_tasks_are_found_by_what_they_are(house: House) -> None:
    runner = house.runner()
    await bought(house, runner, prompt="a red kite over 100% blue hills")
    await house.clock.advance(10)
    _, boat = await bought(house, runner, prompt="Ein Boot, 纸船", owner="ann")

    async def found(**wanted: Any) -> list[str]:
        return [task.prompt[:5] for task in await runner.store.find(Filter(**wanted))]

    assert await found() == ["Ein B", "a red"]
    assert await found(limit=1) == ["Ein B"]
    assert await found(text="KITE blue") == ["a red"]
    assert await found(text="100% blue_hills") == []
    assert await found(text="100%") == ["a red"]
    assert await found(text="纸船") == ["Ein B"]
    assert await found(owner="ann") == ["Ein B"]
    assert await found(states=("failed",)) == []
    assert await found(since=house.clock.now() - 5) == ["Ein B"]
    assert await found(provider="stub", simulated=True) == []
    with pytest.raises(UnknownTaskError):
        await runner.store.get(boat.id, "bob")


async def test_a_runner_of_nothing_makes_no_file(house: House) -> None:
    runner = house.runner()
    await runner.start()
    await house.clock.advance(30)

    assert await runner.store.find(Filter()) == []
    assert await runner.wait(["kv-nothing"], timeout_s=0) == []
    assert await runner.store.spent("2000-01-01") == []
    assert not (house.home / "tasks.db").exists()


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
