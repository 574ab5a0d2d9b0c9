"""A vendor's last word ends a task, also when the rest of what it should say never comes."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House

from mcp_server.providers.transport import LostAnswerError
from mcp_server.tasks.follow import poller

FAILED = (200, {"status": "failed", "needs_result": True, "error": "the pictures were refused"})
DONE = (200, {"status": "completed", "needs_result": True})


@pytest.mark.parametrize(
    "second", [(500, "trouble"), (200, "<html>"), (401, {}), LostAnswerError("silent")], ids=["500", "html", "401", "lost"]
)  # fmt: skip
async def test_a_failed_job_ends_though_its_reason_cannot_be_asked_for(house: House, second: Any) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.status_answers = [FAILED, second] * 100

    task = await house.until(runner, task.id, "failed", limit_s=900)

    assert task.error["what"] == "Stub could not make the clip"
    assert task.error["vendor_words"] == "the pictures were refused"
    assert task.error["money"] == "unknown"
    assert len(house.vendor.looks) < 40


async def test_a_reason_that_comes_late_is_still_read(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.status_answers = [FAILED, (500, "")] * 3 + [FAILED, (200, {"status": "failed", "error": "too dark"})]

    task = await house.until(runner, task.id, "failed", limit_s=900)

    assert task.error["vendor_words"] == "too dark"


@pytest.mark.parametrize(
    ("cost", "money", "counted"), [(None, "may_have_been_charged", "0.56"), ("0.3", "charged", "0.3")]
)
async def test_a_success_that_never_names_its_clip_ends_as_what_it_is(
    house: House, cost: str | None, money: str, counted: str
) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.jobs["job-1"] |= {"status": "completed", "videos": [], "cost": cost}
    await house.clock.advance(poller.FORGOTTEN_AFTER_S - 120)
    waiting = await runner.store.get(task.id)
    assert waiting.state == "queued"
    assert "names no clip" in waiting.note
    assert len(house.vendor.looks) < 60

    task = await house.until(runner, task.id, "failed", limit_s=1_200)

    assert task.error["code"] == "nameless_clip"
    assert task.error["money"] == money
    assert task.reserved_usd == Decimal(counted)
    assert "dashboard" in task.error["next_step"]


async def test_a_clip_named_late_is_saved(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.jobs["job-1"] |= {"status": "completed", "videos": []}
    await house.clock.advance(1_800)
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", "failed", limit_s=900)).state == "succeeded"


async def test_a_finished_clip_is_not_given_up_while_its_address_cannot_be_asked_for(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.status_answers = [DONE, (503, "down")] * 500
    await house.clock.advance(2 * poller.FORGOTTEN_AFTER_S)
    assert (await runner.store.get(task.id)).state == "queued"
    house.vendor.status_answers.clear()
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", "failed", limit_s=900)).state == "succeeded"
