"""From the vendor's yes to its end: nothing is lost, nothing is guessed, one process polls at a time."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House, bought

from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.tasks.follow import intervals, poller


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


async def test_an_address_behind_a_second_call_is_fetched(house: House) -> None:
    runner, task = await bought(house)
    house.vendor.finish("job-1", needs_result=True)
    task = await house.until(runner, task.id, "succeeded")

    assert len(house.vendor.looks) >= 2
