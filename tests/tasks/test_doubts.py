"""What a paid clip must survive: a failing store, another key at hand, a vendor that talks nonsense."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House, facts, quiet

from mcp_server.errors import LocalError, RateLimitedError
from mcp_server.providers.accounts import Account
from mcp_server.settings import Secret
from mcp_server.tasks.follow import poller
from mcp_server.tasks.runner import TaskRunner

FULL = LocalError("The record of tasks cannot be used: database or disk is full")


def once(monkeypatch: pytest.MonkeyPatch, runner: TaskRunner, name: str, *, when: Any) -> None:
    """The store's method fails the first time it is called like this."""
    real = getattr(runner.store, name)
    left = [FULL]

    async def fails(*given: Any, **more: Any) -> Any:
        if left and when(given, more):
            raise left.pop()
        return await real(*given, **more)

    monkeypatch.setattr(runner.store, name, fails)


async def test_a_note_that_cannot_be_written_makes_no_lost_answer_a_refusal(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.vendor.answers = ["lost"]
    runner = house.runner()
    once(monkeypatch, runner, "change", when=lambda _, more: "again under the same key" in more.get("note", ""))

    task, _ = await runner.buy(house.new(keyed=True), wait_s=0)
    task = await house.until(runner, task.id, "queued", "failed")

    assert task.state == "queued", task.error
    assert len(house.vendor.jobs) == 1


async def test_a_repeat_that_cannot_be_recorded_leaves_the_doubt(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.vendor.answers = ["lost"]
    runner = house.runner()
    once(monkeypatch, runner, "sending", when=lambda given, _: given[0].task.id in {k for k, _ in house.vendor.submits})

    task, _ = await runner.buy(house.new(keyed=True), wait_s=0)
    task = await house.until(runner, task.id, "uncertain", "failed", "queued")

    assert task.state == "uncertain"
    assert task.error["money"] == "may_have_been_charged"
    assert task.reserved_usd == Decimal("0.56"), "what may have been charged stays counted"


def with_key(house: House, key: str) -> TaskRunner:
    """A runner of somebody who shares this home and has a key of his own."""
    known = house.providers[0]

    async def account(provider: str, simulated: bool) -> Account:
        return Account(facts=known, base_urls=known.base_urls, secret=Secret(key, "test"), simulated=simulated)

    return house.runner(account=account)


async def left_in_doubt(house: House, runner: TaskRunner) -> str:
    """An order whose process is gone between sending and recording the answer."""
    house.vendor.answers = [asyncio.get_running_loop().create_future()]
    task, _ = await runner.buy(house.new(keyed=True), wait_s=0)
    await quiet()
    assert len(house.vendor.submits) == 0
    await runner.close(grace_s=0)
    return task.id


@pytest.mark.parametrize(("key", "state"), [("one", "queued"), ("two", "uncertain")])
async def test_an_order_in_doubt_is_repeated_only_with_the_key_it_was_sent_with(
    house: House, key: str, state: str
) -> None:
    task_id = await left_in_doubt(house, with_key(house, "one"))
    heir = with_key(house, key)
    await heir.start()

    task = await house.until(heir, task_id, "queued", "uncertain", "failed", limit_s=60)

    assert task.state == state
    assert len(house.vendor.submits) == (state == "queued")


@pytest.mark.parametrize(
    ("keys", "state", "submits"),
    [
        (("one", "two"), "uncertain", 1),
        (("one", None), "uncertain", 1),
        (("one", "one"), "queued", 2),
        (("one", "two", "one"), "uncertain", 1),
    ],
)
async def test_a_key_that_changes_while_an_answer_is_lost_buys_nothing_anew(
    house: House, keys: tuple[str | None, ...], state: str, submits: int
) -> None:
    """`kling-video auth` beside a server that is about to ask again under its idempotency key."""
    left = list(keys)

    async def account(_provider: str, simulated: bool) -> Account:
        key = left.pop(0) if len(left) > 1 else left[0]
        secret = None if key is None else Secret(key, "test")
        return Account(facts=facts(), base_urls=facts().base_urls, secret=secret, simulated=simulated)

    house.vendor.answers = ["lost"]
    runner = house.runner(account=account)

    task, _ = await runner.buy(house.new(keyed=True), wait_s=0)
    task = await house.until(runner, task.id, "uncertain", "queued", "failed", limit_s=60)

    assert task.state == state, task.error
    assert len(house.vendor.submits) == submits
    if state == "uncertain":
        assert task.error["money"] == "may_have_been_charged"
        assert "did not answer" in task.error["why"]
        assert task.sent_as == Account(facts=facts(), base_urls=facts().base_urls, secret=Secret("one", "test")).mark


async def test_an_order_that_was_refused_for_now_goes_out_again_under_the_key_set_since(house: House) -> None:
    left = ["one", "two"]

    async def account(_provider: str, simulated: bool) -> Account:
        key = left.pop(0) if len(left) > 1 else left[0]
        return Account(facts=facts(), base_urls=facts().base_urls, secret=Secret(key, "test"), simulated=simulated)

    house.vendor.answers = [(429, {"error": "later"})]
    runner = house.runner(account=account)

    task, _ = await runner.buy(house.new(), wait_s=0)
    task = await house.until(runner, task.id, "uncertain", "queued", "failed", limit_s=60)

    assert task.state == "queued", "nothing was bought under the first key"
    assert task.sent_as == Account(facts=facts(), base_urls=facts().base_urls, secret=Secret("two", "test")).mark


async def test_a_job_of_another_account_is_not_given_up_as_forgotten(house: House) -> None:
    first = with_key(house, "one")
    task, _ = await first.buy(house.new())
    await first.close()
    job = house.vendor.jobs.pop("job-1")
    stranger = with_key(house, "two")
    await stranger.start()
    await house.clock.advance(poller.FORGOTTEN_AFTER_S + 600)
    assert (await stranger.store.get(task.id)).state == "queued"
    await stranger.close()
    house.vendor.jobs["job-1"] = job
    house.vendor.finish("job-1")
    heir = with_key(house, "one")
    await heir.start()

    assert (await house.until(heir, task.id, "succeeded", "failed", limit_s=300)).state == "succeeded"


async def test_one_not_found_after_an_outage_does_not_lose_the_job(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    await house.clock.advance(poller.FORGOTTEN_AFTER_S)
    house.vendor.status_answers = [(503, "down")] * 5 + [(404, {})] + [(503, "down")] * 5 + [(404, {})] * 3
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", "failed", limit_s=2_500)).state == "succeeded"


async def test_a_vendor_that_says_come_back_next_year_is_asked_sooner(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    later = RateLimitedError("later", fault="rate_limited", provider="stub", http_status=429, retry_after_s=3e7)
    house.vendor.status_answers = [later]
    house.vendor.finish("job-1")

    assert (await house.until(runner, task.id, "succeeded", limit_s=900)).state == "succeeded"


@pytest.mark.parametrize(("cost", "money"), [("0", "not_spent"), ("0.3", "charged"), ("-5", "unknown")])
async def test_a_failed_job_says_what_its_bill_says(house: House, cost: str, money: str) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.jobs["job-1"] |= {"status": "failed", "cost": cost}

    task = await house.until(runner, task.id, "failed", limit_s=300)

    assert task.error["money"] == money
    assert task.reserved_usd == {"0": 0, "0.3": Decimal("0.3"), "-5": Decimal("0.56")}[cost]


@pytest.mark.parametrize(
    ("at_submit", "at_end", "settled"),
    [
        ("0.48", {}, ("0.48", "reported")),
        ("0.48", {"cost": "0.40"}, ("0.40", "reported")),
        ("0.48", {"cost": "-1"}, ("0.48", "reported")),
        ("-3", {}, ("0.56", "computed")),
        (None, {}, ("0.56", "computed")),
    ],
)
async def test_what_was_taken_with_the_order_counts_where_the_end_says_no_number(
    house: House, at_submit: str | None, at_end: dict[str, str], settled: tuple[str, str]
) -> None:
    house.vendor.jobs["job-1"] = {"id": "job-1", "status": "pending"}
    house.vendor.answers = [(200, {"id": "job-1", "status": "pending", "cost": at_submit})]
    runner = house.runner()

    task, _ = await runner.buy(house.new())

    assert task.state == "queued"
    assert (task.settlement and str(task.settlement.amount)) == (at_submit if at_submit == "0.48" else None)
    assert task.reserved_usd == Decimal("0.56"), "the last word is the end's"
    house.vendor.finish("job-1", **at_end)
    task = await house.until(runner, task.id, "succeeded")
    assert (str(task.settlement.amount), task.settlement.basis) == settled
    assert task.reserved_usd == Decimal(settled[0])


async def test_what_was_taken_with_the_order_is_not_said_to_be_gone_when_the_job_failed(house: House) -> None:
    """Whether it is given back is not documented."""
    house.vendor.jobs["job-1"] = {"id": "job-1", "status": "failed"}
    house.vendor.answers = [(200, {"id": "job-1", "status": "pending", "cost": "0.48"})]
    runner = house.runner()

    task, _ = await runner.buy(house.new())
    task = await house.until(runner, task.id, "failed")

    assert (task.settlement.amount, task.settlement.basis) == (None, "not_documented")
    assert task.error["money"] == "unknown"
    assert task.reserved_usd == Decimal("0.56"), "what nobody knows stays counted"


async def test_a_negative_bill_frees_no_budget(house: House) -> None:
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    house.vendor.finish("job-1", cost="-5")

    task = await house.until(runner, task.id, "succeeded", limit_s=300)

    assert task.reserved_usd == Decimal("0.56")
    assert task.settlement.basis == "computed"


async def test_what_was_done_before_the_cancel_came_is_not_called_stopped(house: House) -> None:
    house.providers = (facts(cancel="queued"),)
    runner = house.runner()
    task, _ = await runner.buy(house.new())
    real = house.vendor.send

    async def raced(account: Account, call: Any) -> Any:
        answer = await real(account, call)
        if call.path.endswith("/cancel"):
            await runner.store.decide(task.id, ("queued",), "the clip is ready", state="saving", video_url="https://x")
        return answer

    house.vendor.send = raced  # type: ignore[method-assign]
    cancelled = await runner.control.cancel(task.id)

    assert not cancelled.done
    assert "saving" in cancelled.words


async def test_a_rehearsal_repeated_is_not_said_to_be_paid(house: House) -> None:
    runner = house.runner()
    await runner.buy(house.new(simulated=True))
    free, _ = await runner.buy(house.new(simulated=True))
    real, _ = await runner.buy(house.new())
    twin, _ = await runner.buy(house.new())

    assert free.warnings == real.warnings == ()
    assert "both are paid" in twin.warnings[0]


async def test_an_order_that_comes_back_while_its_old_hold_still_waits_is_not_left_lying(house: House) -> None:
    house.vendor.answers = [(429, {})]
    runner = house.runner()
    task, _ = await runner.buy(house.new(), wait_s=0)
    await quiet()
    # As after a long sleep: another process had it meanwhile, and ended.
    await runner.store.release([task.id])

    task = await house.until(runner, task.id, "queued", "failed", limit_s=120)

    assert task.state == "queued"
    assert len(house.vendor.jobs) == 1


async def test_what_may_have_been_charged_is_not_added_up_as_free(house: House) -> None:
    house.vendor.answers = ["lost", (422, {}), None, None]
    runner = house.runner()
    lost, _ = await runner.buy(house.new(prompt="one"))
    refused, _ = await runner.buy(house.new(prompt="two", quote_usd=None, reserve_usd=None))
    failed, _ = await runner.buy(house.new(prompt="three"))
    house.vendor.jobs[failed.job_id] |= {"status": "failed"}
    await house.until(runner, failed.id, "failed", limit_s=300)

    (row,) = await runner.store.spent("2000-01-01")

    assert (lost.state, refused.state) == ("uncertain", "failed")
    assert row.unknown == 2, "the lost one, and the one whose vendor does not say what a failure costs"


async def test_see_other_is_the_answer_to_an_order_that_was_taken(house: House) -> None:
    house.vendor.answers = [(303, {}, {"location": "/jobs/1"})]
    runner = house.runner()

    task, _ = await runner.buy(house.new())

    assert task.state == "uncertain"
    assert task.reserved_usd == Decimal("0.56")
