"""Local media between the row and the paid call: handed over once, repeated where that is free, dropped when unwanted."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.stub_vendor import House, quiet, with_files
from support.task_events import history

from mcp_server.errors import ProviderError, RequestError
from mcp_server.providers.accounts import Account
from mcp_server.providers.transport import LostAnswerError, UnreachableError
from mcp_server.settings import Secret
from mcp_server.tasks.store.base import Budget
from mcp_server.tasks.submit import outcome

DOWN = ProviderError("Stub is down", fault="provider_fault", provider="stub", http_status=503)
NO_ROUTE = UnreachableError("no route")
LOST = LostAnswerError("Stub did not answer")


def pending() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


async def test_the_row_stands_and_says_what_goes_on_while_a_file_is_handed_over(house: House) -> None:
    slow = pending()
    house.intake.answers = [slow]
    runner, other = house.runner(), house.runner()
    await other.start()

    task, created = await runner.buy(house.new(**with_files("first.png")), wait_s=0.02)
    await house.clock.advance(outcome.UNSENT_LIFE_S + 100)

    assert created
    task = await runner.store.get(task.id)
    assert (task.state, task.sent_at) == ("submitting", None), "its holder lives: nobody else thinks it late"
    assert task.note == "Handing over first.png to Stub"
    assert house.vendor.submits == []
    slow.set_result(None)
    await quiet()
    task = await runner.store.get(task.id)
    assert (task.state, task.note) == ("queued", "")
    assert [body["pictures"] for _, body in house.vendor.submits] == [["https://stub.test/files/1"]]
    assert history(house.home / "tasks.db", task.id) == [
        "ordered",
        "Handing over first.png to Stub",
        "Stub has first.png",
        "the paid call leaves",
        "the vendor took it as job-1",
    ]


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_cancelled_while_handing_over_it_is_never_sent(house: House, elsewhere: bool) -> None:
    slow = pending()
    house.intake.answers = [slow]
    runner = house.runner()
    task, _ = await runner.buy(house.new(**with_files("first.png")), wait_s=0.02)
    await quiet()

    cancelled = await (house.runner() if elsewhere else runner).control.cancel(task.id)
    await house.clock.advance(2)

    assert cancelled.done
    assert "before anything was sent" in cancelled.words
    assert slow.cancelled(), "nobody waits for a file that nobody wants"
    await house.clock.advance(60)
    task = await runner.store.get(task.id)
    assert (task.state, task.reserved_usd, house.vendor.submits) == ("cancelled", 0, [])


async def test_cancelled_just_as_the_file_arrives_it_is_never_sent(house: House) -> None:
    slow = pending()
    house.intake.answers = [slow]
    runner = house.runner()
    task, _ = await runner.buy(house.new(**with_files("first.png")), wait_s=0.02)
    await quiet()

    slow.set_result(None)
    assert (await runner.store.withdraw(task.id)) is not None
    await house.clock.advance(60)

    assert (await runner.store.get(task.id)).state == "cancelled"
    assert house.vendor.submits == []


async def test_a_file_that_did_not_arrive_is_handed_over_again(house: House) -> None:
    house.intake.answers = [NO_ROUTE, LOST, DOWN]
    runner = house.runner()

    task, _ = await runner.buy(house.new(**with_files("first.png")), wait_s=0.02)
    await quiet()
    assert (await runner.store.get(task.id)).note == "first.png did not arrive (no route); trying again (1)"
    await house.until(runner, task.id, "queued", limit_s=60)

    assert house.intake.got == ["first.png"]
    assert len(house.vendor.submits) == 1


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ([NO_ROUTE] * outcome.HAND_OVER_TRIES, "no route"),
        ([DOWN] * outcome.HAND_OVER_TRIES, "is down"),
        ([ProviderError("too large", fault="bad_input", provider="stub", http_status=413)], "too large"),
        ([RequestError("first.png was changed")], "was changed"),
        ([RuntimeError("a defect")], "could not be handed over (RuntimeError)"),
    ],
    ids=["unreachable", "down", "refused", "changed", "defect"],
)
async def test_a_file_that_cannot_be_handed_over_ends_the_order_and_nothing_was_spent(
    house: House, answers: list[Exception], words: str
) -> None:
    house.intake.answers = list(answers)
    runner = house.runner()

    task, _ = await runner.buy(house.new(**with_files("first.png")), wait_s=0.02)
    task = await house.until(runner, task.id, "failed", limit_s=100)

    assert words in task.error["what"]
    assert task.error["money"] == "not_spent"
    assert task.reserved_usd == 0
    assert (house.intake.answers, house.vendor.submits) == ([], [])


async def test_what_the_vendor_has_is_not_handed_over_again_after_a_crash(house: House) -> None:
    house.intake.answers = [None, pending()]
    dead = house.runner()
    task, _ = await dead.buy(house.new(**with_files("first.png", "second.png")), wait_s=0.02)
    await quiet()
    await dead.close(grace_s=0)
    heir = house.runner()
    await heir.start()

    await house.until(heir, task.id, "queued", limit_s=20)

    assert house.intake.got == ["first.png", "second.png"]
    assert [body["pictures"] for _, body in house.vendor.submits] == [
        ["https://stub.test/files/1", "https://stub.test/files/2"]
    ]


async def test_another_account_hands_over_for_itself(house: House) -> None:
    house.intake.answers = [None, pending()]
    dead = house.runner()
    task, _ = await dead.buy(house.new(**with_files("first.png", "second.png")), wait_s=0.02)
    await quiet()
    await dead.close(grace_s=0)

    async def theirs(provider: str, simulated: bool) -> Account:
        known = house.providers[0]
        return Account(facts=known, base_urls=known.base_urls, secret=Secret("other", "test"), simulated=simulated)

    heir = house.runner(account=theirs)
    await heir.start()
    await house.until(heir, task.id, "queued", limit_s=20)

    assert house.intake.got == ["first.png", "first.png", "second.png"]
    assert house.vendor.submits[0][1]["pictures"] == ["https://stub.test/files/2", "https://stub.test/files/3"]


async def test_an_order_left_while_its_file_went_up_is_not_sent_much_later(house: House) -> None:
    house.intake.answers = [pending()]
    dead = house.runner()
    task, _ = await dead.buy(house.new(**with_files("first.png")), wait_s=0.02)
    await quiet()
    await dead.close(grace_s=0)
    await house.clock.advance(outcome.UNSENT_LIFE_S + 30)
    heir = house.runner()
    await heir.start()

    task = await house.until(heir, task.id, "failed", limit_s=20)

    assert "never sent" in task.error["what"]
    assert (house.intake.got, house.vendor.submits) == ([], [])


async def test_a_lost_answer_is_asked_for_with_the_same_body_and_no_new_file(house: House) -> None:
    house.vendor.answers = ["lost", "lost"]
    runner = house.runner()
    new = house.new(**with_files("first.png", key="k-1"))

    await runner.buy(new, wait_s=0)
    await house.until(runner, new.id, "queued", limit_s=60)

    assert house.intake.got == ["first.png"]
    assert len(house.vendor.submits) == 3
    assert len({str(body) for _, body in house.vendor.submits}) == 1
    assert len(house.vendor.jobs) == 1


@pytest.mark.parametrize("changed", [False, True])
async def test_after_a_crash_in_the_middle_the_same_body_goes_or_none(house: House, changed: bool) -> None:
    dead = house.runner()
    lease, _ = await dead.store.create(house.new(**with_files("first.png", key="k-1")), Budget())
    assert await dead.store.sending(lease, house.clock.now())
    await dead.store.release()

    async def body(_: Any) -> Any:
        raise RequestError("first.png was changed after it was ordered")

    if changed:
        house.intake.body = body  # type: ignore[method-assign]
    heir = house.runner()
    await heir.start()
    task = await house.until(heir, lease.task.id, "queued", "uncertain", limit_s=20)

    assert house.intake.got == [], "what left once is not handed over anew"
    assert task.state == ("uncertain" if changed else "queued")
    assert len(house.vendor.submits) == (0 if changed else 1)


async def test_what_is_handed_over_comes_back_as_it_was_written(house: House) -> None:
    store = house.runner().store
    new = house.new(**with_files("a.png", "b.png"))
    lease, _ = await store.create(new, Budget())

    assert lease.task.local_media == new.local_media
    assert (await store.get(new.id)).local_media == new.local_media
