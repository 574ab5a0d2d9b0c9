"""A row that is damaged, newer or of an unknown vendor: it is set aside alone, and everybody else is served."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.stub_vendor import House

from mcp_server.cli.setup import checks
from mcp_server.errors import KlingError
from mcp_server.settings import Settings
from mcp_server.tasks.store.base import Budget, Filter


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    made = House(tmp_path)
    yield made
    await made.close()


def column(name: str, value: Any) -> Callable[[sqlite3.Connection, str], None]:
    def change(db: sqlite3.Connection, task_id: str) -> None:
        db.execute(f"UPDATE tasks SET {name} = ? WHERE id = ?", [value, task_id])

    return change


def inside(name: str, part: str, value: Any) -> Callable[[sqlite3.Connection, str], None]:
    def change(db: sqlite3.Connection, task_id: str) -> None:
        query = f"UPDATE tasks SET {name} = json_set({name}, '$.{part}', json(?)) WHERE id = ?"
        db.execute(query, [json.dumps(value), task_id])

    return change


UNREADABLE = {
    "a field of a later version": inside("became", "thing_of_tomorrow", 1),
    "a state of a later version": column("state", "dreaming"),
    "no JSON": column("became", "{"),
    "a list": column("bought", "[]"),
    "nested too deep": column("became", "[" * 100_000),
    "a price that is none": column("quote_usd", "many"),
    "a time that is none": column("created_at", "yesterday"),
    "an artifact of another shape": inside("became", "artifact", [1]),
    "a request of another shape": inside("bought", "request", None),
    "an error of another shape": inside("became", "error", "no"),
    "bytes": column("prompt", b"\xff\xfe"),
}


async def left_behind(house: House, *damage: Callable[[sqlite3.Connection, str], None]) -> list[str]:
    """Orders a process took on and left, the first ones damaged; the last one is whole."""
    first = house.runner()
    tasks = [(await first.buy(house.new()))[0] for _ in range(len(damage) + 1)]
    await first.close(grace_s=0)
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        for task, change in zip(tasks, damage, strict=False):
            change(db, task.id)
        db.commit()
    return [task.id for task in tasks]


async def saved(house: House, runner: Any, task_id: str) -> bool:
    """Whether the task is followed to its end: its clip is made now, and has to be saved."""
    house.vendor.finish((await runner.store.get(task_id)).job_id)
    return (await house.until(runner, task_id, "succeeded", limit_s=600)).artifact is not None


async def test_rows_that_cannot_be_read_hinder_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    *bad, good = await left_behind(house, *UNREADABLE.values())
    heir = house.runner()
    await heir.start()
    assert await saved(house, heir, good)
    assert [task.id for task in await heir.store.find(Filter(limit=100))] == [good]
    await heir.store.spent("2000-01-01")
    assert await heir.store.find(Filter(job_id="nobody's")) == []
    await heir.store.durations("stub/stub", simulated=False)
    for task_id, what in zip(bad, UNREADABLE, strict=True):
        assert caplog.text.count(f"Task {task_id} cannot be read") == 1, what
        with pytest.raises(KlingError, match="cannot be read from the record") as refused:
            await heir.store.get(task_id)
        assert refused.value.money == "unknown"
    task, _ = await heir.buy(house.new())
    assert task.state == "queued"


async def test_a_vendor_nobody_knows_hinders_no_other(house: House, caplog: pytest.LogCaptureFixture) -> None:
    strange, good = await left_behind(house, column("provider", "tomorrow"))
    heir = house.runner()
    await heir.start()
    assert await saved(house, heir, good)
    task = await heir.store.get(strange)
    assert task.state == "queued" and "does not know the vendor 'tomorrow'" in task.note
    assert caplog.text.count("is set aside") == 1
    with pytest.raises(KlingError, match="this version of kling-video does not know"):
        await heir.control.cancel(strange)
    found = {finding.name: finding.what for finding in checks.files(Settings.read({"KLING_HOME": str(house.home)}))}
    assert strange in found["vendors"]


async def test_doctor_names_rows_that_cannot_be_read(house: House) -> None:
    bad, _ = await left_behind(house, UNREADABLE["no JSON"])
    found = {finding.name: finding for finding in checks.files(Settings.read({"KLING_HOME": str(house.home)}))}
    assert found["rows"].level == "bad" and bad in found["rows"].what


async def test_a_limit_that_cannot_be_added_up_is_not_guessed(house: House) -> None:
    await left_behind(house, column("reserved_usd", "many"))
    with pytest.raises(KlingError, match="cannot be read") as refused:
        await house.runner(budget=Budget(daily_usd=100)).buy(house.new())
    assert refused.value.money == "not_spent"


async def test_a_scheduler_that_ends_begins_again_and_says_so(house: House, caplog: pytest.LogCaptureFixture) -> None:
    runner = house.runner()
    scheduler = runner.dispatcher.scheduler
    turn, broken = scheduler._turn, [RuntimeError("a defect"), RuntimeError("a defect")]

    def breaks(step: Any) -> float | None:
        if broken:
            raise broken.pop()
        return turn(step)

    scheduler._turn = breaks  # type: ignore[method-assign]
    task, _ = await runner.buy(house.new())
    assert await saved(house, runner, task.id)
    assert caplog.text.count("The scheduler stopped and begins again") == 2
    found = {finding.name: finding.what for finding in checks.files(Settings.read({"KLING_HOME": str(house.home)}))}
    assert "stopped 2 times" in found["scheduler"] and "a defect" in found["scheduler"]


async def test_one_task_whose_step_fails_hinders_no_other(house: House) -> None:
    runner = house.runner()
    bad, _ = await runner.buy(house.new())
    good, _ = await runner.buy(house.new())
    scheduler = runner.dispatcher.scheduler
    turns = scheduler._turns

    def fails(followed: Any) -> int:
        scheduler._lanes.clear()
        if followed.id == bad.id:
            raise KeyError("a lane")
        return turns(followed)

    scheduler._turns = fails  # type: ignore[method-assign]
    assert await saved(house, runner, good.id)
    assert (await runner.store.get(bad.id)).state == "queued"


async def test_a_row_that_cannot_be_followed_is_money_all_the_same(house: House) -> None:
    await left_behind(house, UNREADABLE["a list"], UNREADABLE["a price that is none"])
    store = house.runner().store

    (spent,) = await store.spent("2000-01-01")

    # What was quoted for the second cannot be read, and is in no sum; the first is.
    assert (spent.tasks, spent.quoted_usd) == (2, Decimal("1.12"))
