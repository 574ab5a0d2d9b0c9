"""An order whose answer was lost is looked up where the vendor can be asked: found and followed, or in doubt; never again."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.services import hurried, service

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import LocalError

VENDORS = pytest.mark.parametrize("vendor", ["klingai", "replicate"])


def wish(vendor: str) -> VideoArguments:
    return VideoArguments(prompt="a paper boat", provider=vendor, model="kling-3.0", tier="standard")


async def ordered(folder: Path, vendor: str, faults: str, *, times: int = 1) -> tuple[list[Any], list[bool]]:
    """The tasks at their end, and of each order that reached the vendor whether it was taken."""
    buyer = service(folder, clock=hurried(60), KLING_SANDBOX_FAULTS=faults, KLING_SANDBOX_SECONDS="1")
    try:
        made = await asyncio.gather(*(buyer.generate(wish(vendor)) for _ in range(times)))
        ends = await buyer.get([task.task_id for task in made], wait_s=4_000)
    finally:
        await buyer.close()
    with closing(sqlite3.connect(folder / "home" / "sandbox.db")) as db:
        lines = db.execute("select accepted from journal where vendor = ? and action = 'submit'", (vendor,)).fetchall()
    return list(ends), [bool(line[0]) for line in lines]


@VENDORS
@pytest.mark.parametrize("fault", ["drop_after_accept", "500_after_accept", "html"])
async def test_what_was_bought_is_found_and_followed(tmp_path: Path, vendor: str, fault: str) -> None:
    (task,), journal = await ordered(tmp_path, vendor, f"{vendor}={fault}")

    assert (task.state, task.error) == ("succeeded", None)
    assert journal == [True]


@VENDORS
async def test_a_vendor_that_shows_it_late_is_asked_again(tmp_path: Path, vendor: str) -> None:
    (task,), journal = await ordered(tmp_path, vendor, f"{vendor}=drop_after_accept,{vendor}=find_missing:3")

    assert task.state == "succeeded"
    assert len(journal) == 1


@VENDORS
async def test_what_is_not_seen_stays_in_doubt_and_is_not_sent_again(tmp_path: Path, vendor: str) -> None:
    (task,), journal = await ordered(tmp_path, vendor, f"{vendor}=drop_before_accept")

    assert task.state == "uncertain"
    assert "did not show it in 120 seconds" in task.error["why"]
    assert task.error["money"] in ("may_have_been_charged", "not_spent")
    assert journal == [False]


@VENDORS
async def test_a_vendor_that_cannot_be_asked_leaves_the_doubt(tmp_path: Path, vendor: str) -> None:
    (task,), journal = await ordered(tmp_path, vendor, f"{vendor}=drop_after_accept,{vendor}=status_500:always")

    assert task.state == "uncertain"
    assert "could not be asked" in task.error["why"]
    assert len(journal) == 1


@VENDORS
async def test_a_disk_that_fails_while_it_is_looked_for_leaves_the_doubt(
    tmp_path: Path, vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> bool:
        raise LocalError("The disk is full")

    monkeypatch.setattr("mcp_server.tasks.submit.lookup.Lookup._known", full)
    (task,), journal = await ordered(tmp_path, vendor, f"{vendor}=drop_after_accept")

    assert task.state == "uncertain"
    assert journal == [True]


async def test_the_job_of_another_order_just_like_it_is_not_taken_for_it(tmp_path: Path) -> None:
    tasks, journal = await ordered(tmp_path, "replicate", "replicate=drop_before_accept", times=2)

    assert sorted(task.state for task in tasks) == ["succeeded", "uncertain"]
    assert sorted(journal) == [False, True]


async def test_two_that_are_alike_and_lost_stay_in_doubt_or_are_told_apart(tmp_path: Path) -> None:
    tasks, journal = await ordered(tmp_path, "replicate", "replicate=drop_after_accept:2", times=2)

    assert journal == [True, True]
    assert all("may be it" in task.error["why"] for task in tasks if task.state == "uncertain")
    followed = [task for task in tasks if task.state == "succeeded"]
    assert len({task.video_url.partition("?")[0] for task in followed}) == len(followed)


async def test_two_lost_orders_with_ids_of_their_own_are_both_found(tmp_path: Path) -> None:
    tasks, journal = await ordered(tmp_path, "klingai", "klingai=drop_after_accept:2", times=2)

    assert [task.state for task in tasks] == ["succeeded", "succeeded"]
    assert len({task.video_url.partition("?")[0] for task in tasks}) == len(journal) == 2
