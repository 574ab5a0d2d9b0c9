"""Between "yes" and the vendor's answer: bought once, refused in words, or honestly uncertain."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import House, facts, quiet
from support.task_events import history

from mcp_server.errors import BudgetError, KeyConflictError, ProviderError
from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.tasks.store.base import Budget, Filter
from mcp_server.tasks.submit import outcome

LOST = LostAnswerError("Stub did not answer (ReadTimeout)", money="may_have_been_charged")


async def test_the_row_stands_before_the_call_leaves(house: House) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.vendor.answers = [answer]
    runner = house.runner()

    task, created = await runner.buy(house.new(), wait_s=0.05)
    await quiet()
    task = await runner.store.get(task.id)

    assert created
    assert task.state == "submitting"
    assert task.sent_at is not None
    assert history(house.home / "tasks.db", task.id) == ["ordered", "the paid call leaves"]
    answer.set_result(None)
    await quiet()
    assert (await runner.store.get(task.id)).state == "queued"


async def test_a_caller_that_goes_away_does_not_take_the_purchase_along(house: House) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.vendor.answers = [answer]
    runner = house.runner()
    new = house.new()
    caller = asyncio.create_task(runner.buy(new, wait_s=10))
    await asyncio.sleep(0)
    caller.cancel()
    await quiet()
    answer.set_result(None)
    await quiet()

    assert (await runner.store.get(new.id)).job_id == "job-1"
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize(
    "answer",
    [
        "lost",
        LOST,
        (500, {"error": "oops"}),
        (503, "busy"),
        (408, {"error": "slow"}),
        (200, "<html>"),
        (200, {"strange": 1}),
        (200, {"refused": 1}),
    ],
    ids=str,
)
async def test_a_lost_answer_is_uncertain_and_never_sent_again(house: House, answer: Any) -> None:
    house.vendor.answers = [answer]
    runner = house.runner()

    task, _ = await runner.buy(house.new())
    await house.clock.advance(300)

    task = await runner.store.get(task.id)
    assert task.state == "uncertain"
    assert task.error is not None
    assert task.error["money"] == "may_have_been_charged"
    assert "dashboard" in task.error["next_step"]
    assert task.reserved_usd == Decimal("0.56"), "what may have been charged stays counted"
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ((422, {"e": "x"}), "bad_input"),
        ((402, {}), "no_funds"),
        ((401, {}), "auth"),
        ((409, {}), "conflict"),
    ],
)
async def test_a_definite_refusal_fails_and_costs_nothing(house: House, answer: Any, fault: str) -> None:
    house.vendor.answers = [answer]
    runner = house.runner()

    task, _ = await runner.buy(house.new())

    assert task.state == "failed"
    assert task.error is not None
    assert task.error["fault"] == fault
    assert task.error["money"] == "not_spent"
    assert task.reserved_usd == 0
    await house.clock.advance(60)
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize("answer", ["lost", (502, "bad gateway"), (200, "<html>")], ids=str)
async def test_under_a_vendors_key_a_lost_answer_is_asked_for_again(house: House, answer: Any) -> None:
    house.vendor.answers = [answer, answer]
    runner = house.runner()
    new = house.new(keyed=True)

    await runner.buy(new, wait_s=0)
    task = await house.until(runner, new.id, "queued", "uncertain", limit_s=60)

    assert task.state == "queued"
    assert len(house.vendor.jobs) == 1
    assert {key for key, _ in house.vendor.submits} == {new.id}
    assert len({str(body) for _, body in house.vendor.submits}) == 1


async def test_under_a_vendors_key_it_is_uncertain_at_last(house: House) -> None:
    house.vendor.answers = [LOST] * 20
    runner = house.runner()
    new = house.new(keyed=True)

    await runner.buy(new, wait_s=0)
    task = await house.until(runner, new.id, "uncertain", limit_s=600)

    assert task.state == "uncertain"
    assert len(house.vendor.submits) == outcome.DOUBT_TRIES


@pytest.mark.parametrize(
    ("second", "state"),
    [((422, {}), "failed"), ((402, {}), "uncertain"), ((401, {}), "uncertain"), ((409, {}), "uncertain")],
)
async def test_a_refusal_after_a_lost_answer_says_only_what_it_can(house: House, second: Any, state: str) -> None:
    house.vendor.answers = [LOST] + [second] * 20
    runner = house.runner()
    new = house.new(keyed=True)

    await runner.buy(new, wait_s=0)
    task = await house.until(runner, new.id, "failed", "uncertain", limit_s=600)

    assert task.state == state


async def test_later_is_waited_for_and_then_bought_once(house: House) -> None:
    house.vendor.answers = [(429, {}, {"retry-after": "7"}), (429, {}, {"retry-after": "7"})]
    runner = house.runner()
    new = house.new()

    task, _ = await runner.buy(new, wait_s=0.02)
    assert task.state == "submitting"
    await quiet()
    assert (await runner.store.get(new.id)).sent_at is None, "surely refused: a crash now leaves no doubt"
    await house.clock.advance(6)
    assert len(house.vendor.submits) == 1
    await house.clock.advance(9)

    task = await runner.store.get(new.id)
    assert task.state == "queued"
    assert task.attempts == 3


async def test_later_without_end_is_given_back_as_try_later(house: House) -> None:
    house.vendor.answers = [(429, {}, {"retry-after": "5"})] * 50
    runner = house.runner()
    new = house.new()

    await runner.buy(new, wait_s=0)
    task = await house.until(runner, new.id, "failed", limit_s=200)

    assert task.error["code"] == "try_later"
    assert task.error["money"] == "not_spent"
    assert len(house.vendor.submits) == outcome.LATER_TRIES


async def test_an_unreachable_vendor_is_tried_a_few_times_and_nothing_was_spent(house: House) -> None:
    house.vendor.answers = [UnreachableError("no route")] * 50
    runner = house.runner()
    new = house.new()

    await runner.buy(new, wait_s=0)
    task = await house.until(runner, new.id, "failed", limit_s=200)

    assert task.error["money"] == "not_spent"
    assert house.vendor.submits == []
    assert len(house.vendor.answers) == 50 - outcome.UNREACHABLE_TRIES


async def test_an_adapter_that_stumbles_over_the_answer_does_not_buy_again(house: House) -> None:
    class Stumbling:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError("a defect")

    runner = house.runner(wire=lambda _: Stumbling())

    task, _ = await runner.buy(house.new())

    assert task.state == "uncertain"
    assert len(house.vendor.submits) == 1


async def test_the_same_key_is_the_same_task_and_never_a_second_purchase(house: House) -> None:
    one, two = house.runner(), house.runner()
    first, created = await one.buy(house.new(idempotency_key="monday"))
    again, created_again = await two.buy(house.new(idempotency_key="monday"))
    await one.close()
    after, created_after = await house.runner().buy(house.new(idempotency_key="monday"))

    assert (created, created_again, created_after) == (True, False, False)
    assert first.id == again.id == after.id
    assert len(house.vendor.submits) == 1
    with pytest.raises(KeyConflictError, match="another request"):
        await two.buy(house.new(idempotency_key="monday", prompt="something else"))


async def test_a_key_belongs_to_its_owner(house: House) -> None:
    runner = house.runner()
    first, _ = await runner.buy(house.new(idempotency_key="k", owner="ann"))
    second, _ = await runner.buy(house.new(idempotency_key="k", owner="bob", prompt="else"))

    assert first.id != second.id


async def test_twins_without_a_key_are_both_bought_and_the_second_is_told(house: House) -> None:
    runner = house.runner()
    first, _ = await runner.buy(house.new())
    await house.clock.advance(3)
    second, _ = await runner.buy(house.new())
    await house.clock.advance(60)
    third, _ = await runner.buy(house.new())

    assert first.warnings == third.warnings == ()
    assert first.id in second.warnings[0]


async def test_a_budget_refuses_before_anything_is_recorded(house: House) -> None:
    runner = house.runner(budget=Budget(daily_usd=Decimal("1.20")))
    await runner.buy(house.new())
    await runner.buy(house.new())
    with pytest.raises(BudgetError, match=r"1\.12 of 1\.20"):
        await runner.buy(house.new())
    with pytest.raises(BudgetError, match="nobody publishes"):
        await runner.buy(house.new(reserve_usd=None))
    await runner.buy(house.new(reserve_usd=None, allow_unknown_price=True))
    await runner.buy(house.new(simulated=True))

    assert len(await runner.store.find(Filter())) == 4
    house.clock.jumped += 86_400
    await runner.buy(house.new())


async def test_what_was_not_bought_is_free_for_the_next_order(house: House) -> None:
    runner = house.runner(budget=Budget(daily_usd=Decimal("0.60")))
    house.vendor.answers = [(422, {})]
    await runner.buy(house.new())

    task, _ = await runner.buy(house.new())

    assert task.state == "queued"


async def test_an_order_a_crash_kept_from_leaving_is_sent_later_but_not_much_later(house: House) -> None:
    for wait, state in ((30, "queued"), (outcome.UNSENT_LIFE_S + 30, "failed")):
        dead = house.runner()
        lease, _ = await dead.store.create(house.new(), Budget())
        await house.clock.advance(wait)
        await dead.store.release()
        heir = house.runner()
        await heir.start()
        task = await house.until(heir, lease.task.id, "queued", "failed", limit_s=20)
        assert task.state == state
        await heir.close(grace_s=0)


@pytest.mark.parametrize(
    ("keyed", "after_s", "state"),
    [(False, 5, "uncertain"), (True, 5, "queued"), (True, outcome.KEY_LIFE_S + 10, "uncertain")],
)
async def test_after_a_crash_in_the_middle_only_a_vendors_key_allows_to_send_again(
    house: House, keyed: bool, after_s: float, state: str
) -> None:
    dead = house.runner()
    lease, _ = await dead.store.create(house.new(keyed=keyed), Budget())
    assert await dead.store.sending(lease, house.clock.now())
    await house.clock.advance(after_s)
    await dead.store.release()
    heir = house.runner()
    await heir.start()

    task = await house.until(heir, lease.task.id, "queued", "uncertain", limit_s=20)

    assert task.state == state
    assert len(house.vendor.submits) == (1 if state == "queued" else 0)


async def test_a_late_answer_settles_what_was_in_doubt(house: House) -> None:
    _, heir, task, answer = await house.given_up()

    answer.set_result(None)
    await house.clock.advance(3)

    task = await heir.store.get(task.id)
    assert (task.state, task.job_id) == ("queued", "job-1")
    house.vendor.finish("job-1")
    await house.until(heir, task.id, "succeeded")
    assert len(house.vendor.submits) == 1


async def test_what_the_user_found_in_the_dashboard_settles_an_uncertain_task(house: House) -> None:
    runner = house.runner()
    ids = []
    for _ in range(3):
        house.vendor.answers = ["lost"]
        ids.append((await runner.buy(house.new()))[0].id)

    not_bought = await runner.control.settle_uncertain(ids[0], bought=False)
    bought = await runner.control.settle_uncertain(ids[1], bought=True)
    as_job = await runner.control.settle_uncertain(ids[2], bought=True, job_id="job-3")

    assert (not_bought.state, not_bought.reserved_usd) == ("failed", 0)
    assert bought.error is not None
    assert (bought.error["money"], bought.settlement.usd) == ("charged", Decimal("0.56"))
    house.vendor.finish("job-3")
    assert (await house.until(runner, as_job.id, "succeeded")).error is None


def test_an_internal_error_inside_a_two_hundred_is_as_open_as_a_500() -> None:
    def error(fault: Any, status: int) -> ProviderError:
        return ProviderError("x", fault=fault, provider="stub", http_status=status)

    assert isinstance(outcome.outcome_of(error("provider_fault", 200)), outcome.InDoubt)
    assert isinstance(outcome.outcome_of(error("unreadable", 200)), outcome.InDoubt)
    assert isinstance(outcome.outcome_of(error("no_funds", 200)), outcome.NotBought)
    assert isinstance(outcome.outcome_of(error("no_funds", 429)), outcome.NotBought)
    assert outcome.outcome_of(error("no_funds", 429)).again_s is None


async def test_closing_waits_for_the_answer_to_a_paid_call(house: House) -> None:
    answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    house.vendor.answers = [answer]
    runner = house.runner()
    new = house.new()
    await runner.buy(new, wait_s=0.02)
    await quiet()
    closing = asyncio.create_task(runner.close(grace_s=5))
    await quiet()
    assert not closing.done()
    answer.set_result(None)
    await closing

    assert (await house.runner().store.get(new.id)).job_id == "job-1"


async def test_a_provider_with_another_name_is_asked_under_its_own(house: House) -> None:
    house.providers = (facts("one"), facts("two"))
    runner = house.runner()

    task, _ = await runner.buy(house.new(provider="two"))

    assert task.provider == "two"
