"""What was paid for is followed, saved and told truly, whatever the store, the clock or a defect does in between."""

from __future__ import annotations

import asyncio
import errno
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.stub_vendor import MP4, House, facts, quiet

from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.store.base import Budget
from mcp_server.tasks.submit import outcome

FULL = LocalError("The record of tasks cannot be used: database or disk is full")
EVER = 10**6


def failing(
    monkeypatch: pytest.MonkeyPatch,
    runner: TaskRunner,
    name: str,
    *,
    when: Any,
    times: int = 1,
    error: Exception = FULL,
) -> None:
    """The store's method fails the first few times it is called like this."""
    real = getattr(runner.store, name)
    left = [error] * times

    async def fails(*given: Any, **more: Any) -> Any:
        if left and when(given, more):
            raise left.pop()
        return await real(*given, **more)

    monkeypatch.setattr(runner.store, name, fails)


async def test_a_clip_is_followed_although_its_pace_cannot_be_read(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = house.runner()
    failing(monkeypatch, runner, "durations", when=lambda *_: True)

    task, _ = await runner.buy(house.new())
    house.vendor.finish(task.job_id)

    assert (await house.until(runner, task.id, "succeeded", limit_s=400)).artifact is not None


async def test_all_that_is_taken_over_is_followed_although_the_store_stumbles(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = house.runner()
    tasks = [(await dead.buy(house.new(prompt=f"clip {number}")))[0] for number in range(3)]
    await dead.close(grace_s=0)
    for task in tasks:
        house.vendor.finish(task.job_id)
    heir = house.runner()
    monkeypatch.setattr("mcp_server.tasks.dispatcher.POLLED_AT_ONCE", 0)
    failing(monkeypatch, heir, "durations", when=lambda *_: True)
    await heir.start()

    for task in tasks:
        await house.until(heir, task.id, "succeeded", limit_s=400)


async def test_a_late_answer_is_kept_however_long_the_store_cannot_be_written(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, heir, task, answer = await house.given_up()
    failing(monkeypatch, paused, "decide", when=lambda *_: True, times=3)

    answer.set_result(None)

    assert (await house.until(heir, task.id, "queued", limit_s=60)).job_id == "job-1"


async def test_a_clip_that_is_saved_is_not_fetched_again_because_that_cannot_be_recorded(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = house.runner()
    failing(monkeypatch, runner, "change", when=lambda _, more: more.get("state") == "succeeded", times=4)
    task, _ = await runner.buy(house.new())
    house.vendor.finish(task.job_id)
    for _ in range(600):
        await house.clock.advance(1.0)
        if house.vendor.downloads:
            break
    # The link has expired by the time the store can be written again.
    house.vendor.files.clear()

    task = await house.until(runner, task.id, "succeeded", "failed", limit_s=2_000)

    assert task.state == "succeeded", task.error
    assert len(house.vendor.downloads) == 1
    assert Path(task.artifact.path).read_bytes() == MP4
    assert [entry.name for entry in house.out.iterdir()] == [Path(task.artifact.path).name]


async def test_closing_waits_until_the_answer_to_a_paid_call_is_written_down(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = house.runner()
    failing(monkeypatch, runner, "change", when=lambda _, more: more.get("job_id"), times=3)
    new = house.new()
    buying_it = asyncio.create_task(runner.buy(new))
    await quiet()
    closing = asyncio.create_task(runner.close(grace_s=10))
    await house.clock.advance(5)
    await closing
    await asyncio.gather(buying_it, return_exceptions=True)

    assert (await house.runner().store.get(new.id)).job_id == "job-1"


async def test_a_lease_that_cannot_be_given_back_leaves_nothing_unfollowed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process slept so long that another took its order and died; the order comes back while it is being sent."""
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.vendor.answers = [answer]
    runner = house.runner()
    task, _ = await runner.buy(house.new(), wait_s=0.02)
    await quiet()
    other = house.runner()
    followed, _ = await other.buy(house.new(prompt="else"))
    house.vendor.finish(followed.job_id)
    await other.close(grace_s=0)
    await runner.store.release([task.id])
    failing(monkeypatch, runner, "release", when=lambda *_: True, times=2)
    await house.clock.advance(20)
    answer.set_result(None)
    await house.until(runner, followed.id, "succeeded", limit_s=300)

    task = await house.until(runner, task.id, "uncertain", "queued", limit_s=60)
    if task.state == "queued":
        house.vendor.finish(task.job_id)
        await house.until(runner, task.id, "succeeded", limit_s=400)


@pytest.mark.parametrize("name", ["take_over", "heartbeat"])
async def test_a_defect_in_a_round_of_the_lease_loop_does_not_end_it(
    house: House, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    dead = house.runner()
    task, _ = await dead.buy(house.new())
    runner = house.runner()
    failing(monkeypatch, runner, name, when=lambda *_: True, error=TypeError("a row of a later version"))
    await runner.buy(house.new(prompt="else"))
    await house.clock.advance(5)
    await dead.close(grace_s=0)
    house.vendor.finish(task.job_id)

    await house.until(runner, task.id, "succeeded", limit_s=400)


async def test_a_defect_while_trouble_is_told_does_not_lose_the_clip(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.status_answers = [UnreachableError("no route")] * 3
    failing(monkeypatch, runner, "change", when=lambda *_: True, error=TypeError("a defect"))
    await house.clock.advance(600)
    house.vendor.finish(task.job_id)

    await house.until(runner, task.id, "succeeded", limit_s=400)


@pytest.mark.parametrize(
    "error", [UnreachableError("Stub could not be reached"), (404, {"error": "?"}), (400, {"refused": 1})], ids=str
)
async def test_trouble_with_a_clip_that_was_ordered_claims_nothing_about_its_cost(house: House, error: Any) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.status_answers = [error] * 1000
    await house.clock.advance(900)

    task = await runner.store.get(task.id)
    assert task.note
    assert "charged" not in task.note


async def test_a_folder_nobody_may_write_to_claims_what_is_known_about_the_cost(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.out.parent.mkdir(exist_ok=True)
    house.out.write_text("a file where the folder should be")
    house.vendor.finish(task.job_id)
    await house.clock.advance(600)

    task = await runner.store.get(task.id)
    assert task.state == "saving"
    assert "Nothing was charged" not in task.note


@pytest.mark.parametrize(
    "error",
    [UnreachableError("Stub could not be reached"), LostAnswerError("no answer"), (500, {"error": "x"}), (409, {})],
    ids=str,
)
async def test_a_wish_to_stop_that_did_not_arrive_does_not_say_that_nothing_was_charged(
    house: House, error: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.providers = (facts(cancel="queued"),)
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    real = house.vendor.send

    async def send(account: Any, call: Any, **more: Any) -> Any:
        return house.vendor._given(error) if call.path.endswith("/cancel") else await real(account, call)

    monkeypatch.setattr(house.vendor, "send", send)

    with pytest.raises(KlingError) as caught:
        await runner.control.cancel(task.id)

    assert caught.value.money == "may_have_been_charged"
    assert "Nothing was charged" not in str(caught.value)
    assert "goes on" in str(caught.value)


@pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
async def test_a_clock_that_was_set_makes_no_old_key_new(house: House, jump: float) -> None:
    """The vendor may have forgotten the key; how old it is cannot be told any more."""
    dead = house.runner()
    lease, _ = await dead.store.create(house.new(keyed=True), Budget())
    assert await dead.store.sending(lease, house.clock.now())
    await dead.store.release()
    house.clock.jumped += jump
    heir = house.runner()
    await heir.start()

    task = await house.until(heir, lease.task.id, "queued", "uncertain", limit_s=20)

    assert task.state == "uncertain"
    assert house.vendor.submits == []


async def test_an_order_of_another_day_is_not_sent_because_the_clock_was_set_back(house: House) -> None:
    dead = house.runner()
    lease, _ = await dead.store.create(house.new(), Budget())
    await dead.store.release()
    house.clock.jumped -= 10 * outcome.UNSENT_LIFE_S
    heir = house.runner()
    await heir.start()

    assert (await house.until(heir, lease.task.id, "queued", "failed", limit_s=20)).state == "failed"


async def test_what_was_taken_with_the_order_counts_at_once(house: House) -> None:
    """The vendor took more than was quoted: the day's budget knows before the clip is done."""
    runner = house.runner(budget=Budget(daily_usd=Decimal("2.00")))
    house.vendor.answers = [(200, {"id": "job-1", "status": "pending", "cost": "1.80"})]
    task, _ = await runner.buy(house.new())

    assert (task.settlement.usd, task.reserved_usd) == (Decimal("1.80"), Decimal("1.80"))
    with pytest.raises(KlingError, match="1.80 of"):
        await runner.buy(house.new(prompt="else"))


async def test_a_host_that_goes_on_with_another_clip_is_not_believed(house: House) -> None:
    half = len(MP4) // 2
    other = MP4[:-5_200] + b"x" * 5_200
    vendor, plain = house.vendor, house.vendor.download
    answers = [
        (
            200,
            {"content-length": str(len(MP4)), "etag": '"v1"'},
            [MP4[:half], LostAnswerError("The download broke off")],
        ),
        (
            206,
            {
                "content-length": str(len(MP4) - half),
                "content-range": f"bytes {half}-{len(MP4) - 1}/{len(MP4)}",
                "etag": '"v2"',
            },
            [other[half:]],
        ),
        (200, {"content-length": str(len(other)), "etag": '"v2"'}, [other]),
    ]

    def download(url: str, *given: Any, **more: Any) -> Any:
        vendor.files[url] = answers.pop(0)
        return plain(url, *given, **more)

    vendor.download = download  # type: ignore[method-assign]
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    vendor.finish(task.job_id)
    task = await house.until(runner, task.id, "succeeded", limit_s=400)

    assert Path(task.artifact.path).read_bytes() == other


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="there is no such advice here")
async def test_a_file_system_that_takes_no_advice_takes_the_clip(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(os, "posix_fadvise", refused)
    data = MP4 + (40 * 1024 * 1024 + 8).to_bytes(4, "big") + b"mdat" + os.urandom(1024 * 1024) * 40
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.finish(task.job_id)
    parts = [data[at : at + 1024 * 1024] for at in range(0, len(data), 1024 * 1024)]
    house.vendor.files["https://media.test/job-1.mp4"] = (200, {"content-length": str(len(data))}, parts)

    task = await house.until(runner, task.id, "succeeded", limit_s=400)

    assert Path(task.artifact.path).read_bytes() == data


async def test_a_job_of_an_offer_that_is_sold_no_more_is_followed_to_its_clip(house: House) -> None:
    """Bought with an earlier version, whose catalog called it something else."""
    runner = house.runner()
    task, _ = await runner.buy(house.new(offer_id="stub/kling-2.9/pro/text-to-video"))
    house.vendor.finish(task.job_id)

    assert (await house.until(runner, task.id, "succeeded", limit_s=400)).artifact is not None


async def test_a_program_that_ends_does_not_claim_that_an_order_cost_nothing(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    await runner.close()

    with pytest.raises(LocalError) as caught:
        await runner.store.get(task.id)
    assert caught.value.money == "unknown"
