"""When the record itself fails, or somebody else's key is at hand, while it is not known whether an order was taken."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from tasks.stub import House

from mcp_server.errors import LocalError
from mcp_server.tasks.desk import Desk

FULL = LocalError("The record of tasks cannot be used: database or disk is full")


def once(monkeypatch: pytest.MonkeyPatch, desk: Desk, name: str, *, when: Any) -> None:
    """The record's method fails the first time it is called like this."""
    real = getattr(desk.record, name)
    left = [FULL]

    async def fails(*given: Any, **more: Any) -> Any:
        if left and when(given, more):
            raise left.pop()
        return await real(*given, **more)

    monkeypatch.setattr(desk.record, name, fails)


async def test_a_note_that_cannot_be_written_makes_no_lost_answer_a_refusal(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.vendor.answers = ["lost"]
    desk = house.desk()
    once(monkeypatch, desk, "change", when=lambda _, more: "again under the same key" in more.get("note", ""))

    task, _ = await desk.buy(house.new(keyed=True), wait_s=0)
    task = await house.until(desk, task.id, "queued", "failed")

    assert task.state == "queued", task.error
    assert len(house.vendor.jobs) == 1


async def test_a_repeat_that_cannot_be_recorded_leaves_the_doubt(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.vendor.answers = ["lost"]
    desk = house.desk()
    once(monkeypatch, desk, "sending", when=lambda given, _: given[0].task.id in {k for k, _ in house.vendor.submits})

    task, _ = await desk.buy(house.new(keyed=True), wait_s=0)
    task = await house.until(desk, task.id, "uncertain", "failed", "queued")

    assert task.state == "uncertain"
    assert task.error["money"] == "may_have_been_charged"
    assert task.reserved_usd == Decimal("0.56"), "what may have been charged stays counted"
