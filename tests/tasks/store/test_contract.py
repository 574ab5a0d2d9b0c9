"""What every record promises, held against the file and against the database alike."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import new_task, with_files

from mcp_server.domain.task import Artifact, Settlement
from mcp_server.errors import BudgetError, KeyConflictError, UnknownTaskError
from mcp_server.tasks.store.base import Budget, Filter, Lease, day_of, new_id
from mcp_server.tasks.store.moves import IllegalMoveError

CENTS = Decimal("0.56")


async def test_a_task_comes_back_as_it_was_written(record: Any) -> None:
    store = record.store()
    new = new_task(
        **with_files("first.png"), warnings=("one", "two"), ordered={"duration": 5}, route="cheapest", owner="ann",
        idempotency_key="k", prompt="Zürich, 東京 \U0001f3ac",
    )  # fmt: skip
    lease = await record.lease(store, new)
    await store.change(lease, state="queued", job_id="j", job_links={"status": "https://x"}, progress=0)
    settlement = Settlement(amount=Decimal("0.1"), currency="USD", usd=Decimal("0.10"), basis="reported")
    await store.change(lease, state="saving", video_url="https://m/x.mp4?sig=1", settlement=settlement)
    artifact = Artifact(
        path="/p", sha256="s", bytes=3, media_type="video/mp4", saved_at=1.5, delivered={"w": 9}, differences=[]
    )
    last = await store.change(lease, state="succeeded", artifact=artifact, took_s=12.5, note="kept")
    back = await record.store().get(new.id)

    assert back == last
    assert str(back.settlement.usd) == "0.10" and str(back.reserved_usd) == "0.56"
    assert back.local_media == new.local_media and back.finished_at == record.clock.now()


async def test_a_paid_call_is_resent_as_the_same_bytes(record: Any) -> None:
    store = record.store()
    lease = await record.lease(store, new_task(keyed=True))
    assert list((await store.get(lease.task.id)).call["json"].items()) == [("prompt", "a neon city"), ("cfg", 0.5)]


async def test_a_key_stands_for_one_order_and_another_s_key_is_his_own(record: Any) -> None:
    store = record.store()
    first, created = await store.create(new_task(idempotency_key="k"), Budget())
    again, made = await record.store().create(new_task(idempotency_key="k"), Budget())
    assert (created, made, again.task.id) == (True, False, first.task.id)
    with pytest.raises(KeyConflictError):
        await store.create(new_task(idempotency_key="k", prompt="another"), Budget())
    other, made = await store.create(new_task(idempotency_key="k", owner="ann"), Budget())
    assert made and other.task.id != first.task.id
    unpriced = new_task(idempotency_key="k", reserve_usd=None)
    for order in (new_task(idempotency_key="k"), unpriced):
        stands, made = await store.create(order, Budget(daily_usd=CENTS))
        assert (made, stands.task.id) == (False, first.task.id), "what stands costs no more, whatever the day has left"


async def test_processes_that_order_under_one_key_at_once_buy_once(record: Any) -> None:
    stores = [record.store() for _ in range(5)]
    made = await asyncio.gather(*(store.create(new_task(idempotency_key="k"), Budget()) for store in stores))
    assert sum(created for _, created in made) == 1
    assert len({lease.task.id for lease, _ in made}) == 1 == len(await stores[0].find(Filter()))


async def test_an_order_of_several_is_written_whole_or_not_at_all(record: Any) -> None:
    store, budget = record.store(), Budget(daily_usd=Decimal("2.00"))
    shots = [new_task(idempotency_key=f"{shot}", prompt=f"shot {shot}") for shot in range(3)]
    leases, created = await store.create_all(shots, budget)
    again, anew = await store.create_all(shots, budget)
    assert created and not anew
    assert [lease.task.id for lease in again] == [lease.task.id for lease in leases]
    with pytest.raises(BudgetError, match=r"this costs 1\.12"):
        await store.create_all([new_task(), new_task()], budget)
    with pytest.raises(KeyConflictError, match="part"):
        await store.create_all([shots[0], new_task(idempotency_key="new", prompt="shot 0")], budget)
    assert len(await store.find(Filter())) == 3
    assert await record.query(store, "SELECT count(*) AS one FROM events") == [3]


async def test_the_same_again_is_told(record: Any) -> None:
    store = record.store()
    first, _ = await store.create(new_task(), Budget())
    record.clock.jumped += 5
    second, _ = await store.create(new_task(), Budget())
    record.clock.jumped += 60
    third, _ = await store.create(new_task(), Budget())
    assert f"5 s ago as {first.task.id}" in second.task.warnings[0] and third.task.warnings == ()


async def test_a_call_leaves_once_unless_its_vendor_knows_the_key(record: Any) -> None:
    store = record.store()
    plain, keyed = await record.lease(store, new_task()), await record.lease(store, new_task(keyed=True))
    assert [await store.sending(plain, 5.0, "mark") for _ in range(2)] == [True, False]
    assert [await store.sending(keyed, 5.0, "mark") for _ in range(2)] == [True, True]
    task = await store.get(plain.task.id)
    assert (task.sent_at, task.sent_as, task.attempts) == (5.0, "mark", 1)


async def test_a_lease_of_an_older_holder_is_worth_nothing(record: Any) -> None:
    one, two = record.store(), record.store()
    lease = await record.lease(one, new_task())
    assert await two.change(lease, note="not mine") is None, "another process, by the same number"
    assert await one.decide(lease.task.id, ("submitting",), "said", note="decided") is not None
    taken = await record.again(two, lease.task.id)
    assert taken.number > lease.number and not await one.still_leased(lease)
    assert await one.change(lease, note="old") is None and not await one.sending(lease, 1.0)
    assert (await two.change(taken, note="mine")).note == "mine"
    assert await two.change(Lease(taken.task, taken.number - 1), note="older") is None


async def test_an_illegal_move_is_a_defect_and_changes_nothing(record: Any) -> None:
    store = record.store()
    lease = await record.lease(store, new_task())
    with pytest.raises(IllegalMoveError):
        await store.change(lease, state="succeeded", reserved_usd=Decimal("9"))
    assert (await store.get(lease.task.id)) == lease.task


async def test_what_is_finished_changes_no_more(record: Any) -> None:
    store = record.store()
    lease = await record.lease(store, new_task())
    await store.change(lease, state="failed", reserved_usd=Decimal(0))
    assert await store.change(lease, note="late") is None and not await store.still_leased(lease)
    assert await store.decide(lease.task.id, ("queued",), "no") is None
    assert await store.withdraw(lease.task.id) is None


async def test_an_order_is_withdrawn_until_its_call_has_left(record: Any) -> None:
    store = record.store()
    early, late = await record.lease(store, new_task()), await record.lease(store, new_task())
    await store.sending(late, 1.0)
    withdrawn = await record.store().withdraw(early.task.id)
    assert (withdrawn.state, withdrawn.reserved_usd) == ("cancelled", 0)
    assert await store.withdraw(late.task.id) is None and not await store.sending(early, 2.0)


async def test_a_wish_to_send_and_one_to_withdraw_at_once_have_one_winner(record: Any) -> None:
    store, other = record.store(), record.store()
    for _ in range(10):
        lease = await record.lease(store, new_task())
        sent, withdrawn = await asyncio.gather(store.sending(lease, 1.0), other.withdraw(lease.task.id))
        assert sent == (withdrawn is None)


async def test_lists_are_filtered_and_newest_first(record: Any) -> None:
    store = record.store()
    ids = []
    for number, (prompt, owner, simulated) in enumerate(
        (("a red KITE", "ann", False), ("100% of_it", "", False), ("kite again", "", True))
    ):
        record.clock.jumped += 10
        new = new_task(new_id(record.clock.now()), prompt=prompt, owner=owner, simulated=simulated)
        lease = await record.lease(store, new)
        await store.change(lease, state="queued", job_id=f"job-{number}")
        ids.append(new.id)

    async def found(**wanted: Any) -> list[int]:
        return [ids.index(task.id) for task in await store.find(Filter(**wanted))]

    assert await found(before=ids[2]) == [1, 0]
    assert await found(before=ids[2], limit=1) == [1]
    assert await found(before=ids[1], owner="ann") == [0]
    assert await found(before=ids[0]) == await found(before="kv-none") == []
    assert await found() == [2, 1, 0] and await found(limit=1) == [2]
    assert await found(text="Kite") == [2, 0] and await found(text="100% of_") == [1]
    assert await found(job_id="job-1") == [1] and await found(job_id="job-9") == []
    assert await found(owner="ann") == [0] and await found(simulated=True) == [2]
    assert await found(since=record.clock.now() - 15) == [2, 1] and await found(states=("failed",)) == []
    assert {task.id for task in await store.many([*ids, "kv-none"])} == set(ids)
    with pytest.raises(UnknownTaskError):
        await store.get(ids[0], owner="bob")


async def test_past_clips_say_how_long_and_purchases_what_was_spent(record: Any) -> None:
    store = record.store()
    for seconds, length, usd in ((10.0, 5, "0.5"), (20.0, 10, "0.6"), (30.0, 10, None), (40.0, 10, "0.7")):
        lease = await record.lease(store, new_task(ordered={"duration": length}))
        settlement = None if usd is None else Settlement(
            amount=Decimal(usd), currency="USD", usd=Decimal(usd), basis="reported"
        )  # fmt: skip
        await store.change(lease, state="queued", took_s=seconds, settlement=settlement)
        record.clock.jumped += 1
    await record.lease(store, new_task(simulated=True))
    offer = lease.task.offer_id
    (spent,) = await store.spent(day_of(record.clock.now()))

    assert await store.durations(offer, simulated=False, length=10) == [40.0, 30.0, 20.0]
    assert await store.durations(offer, simulated=False, length=5) == [40.0, 30.0, 20.0, 10.0]
    assert (spent.tasks, spent.settled_usd, spent.quoted_usd) == (4, Decimal("1.8"), Decimal("2.24"))
    assert await store.spent("2100-01-01") == [] == await store.spent("2000-01-01", owner="ann")


async def test_every_owner_and_the_house_have_their_limit_to_the_cent(record: Any) -> None:
    store, limits = record.store(), Budget(daily_usd=Decimal("2.24"), owners={"ann": Decimal("1.12"), "*": CENTS})
    for owner, fits in (("ann", 2), ("bob", 1), ("", 1)):
        for number in range(fits + 1):
            if number < fits:
                await store.create(new_task(owner=owner), limits)
            else:
                with pytest.raises(BudgetError, match="your daily budget" if owner else "the daily budget"):
                    await store.create(new_task(owner=owner), limits)
    await store.create(new_task(simulated=True), limits)
    with pytest.raises(BudgetError, match="nobody publishes"):
        await store.create(new_task(reserve_usd=None), limits)
    await store.create(new_task(reserve_usd=None, allow_unknown_price=True), limits)
    (too_dear,) = [new_task(owner="cem", reserve_usd=Decimal("3"))]
    with pytest.raises(BudgetError, match=r"0 of 0\.56"):
        await store.create(too_dear, limits)


async def test_a_budget_raced_for_by_processes_is_exact(record: Any) -> None:
    stores, budget = [record.store() for _ in range(4)], Budget(daily_usd=CENTS * 10, owners={"ann": CENTS * 4})
    orders = [
        store.create(new_task(owner=owner), budget)
        for store in stores
        for owner in ("ann", "ann", "bob", "cem", "")
    ]  # fmt: skip
    made = await asyncio.gather(*orders, return_exceptions=True)
    bought = [each[0].task for each in made if isinstance(each, tuple)]
    assert all(isinstance(each, tuple | BudgetError) for each in made)
    assert len(bought) == 10 and sum(task.owner == "ann" for task in bought) <= 4
    assert await _house(record, stores[0]) == CENTS * 10


async def test_the_budget_is_what_the_orders_hold_back_after_any_history(record: Any) -> None:
    chance, store, budget = random.Random(17), record.store(), Budget(daily_usd=Decimal("20"))
    leases: list[Lease] = []
    for _ in range(120):
        match chance.choice("oosfwd"):
            case "o":
                new = new_task(owner=chance.choice(("", "ann")), reserve_usd=Decimal(chance.randint(1, 90)) / 100)
                try:
                    leases.append(await record.lease(store, new, budget))
                except BudgetError:
                    continue
            case "w" if leases:
                await store.withdraw(leases.pop().task.id)
            case "d" if leases:
                changes: Any = {"state": "failed", "reserved_usd": Decimal("0.01")}
                await store.decide(leases.pop().task.id, ("submitting",), "said", **changes)
            case "s" | "f" as end if leases:
                cost = Decimal(chance.randint(0, 9999)) / 10000 if end == "s" else Decimal(0)
                await store.change(leases.pop(0), state="queued" if end == "s" else "failed", reserved_usd=cost)
    held = [task.reserved_usd for task in await store.find(Filter(limit=1_000))]
    assert len(held) > 30 and await _house(record, store) == sum(held, Decimal(0))


async def _house(record: Any, store: Any) -> Decimal:
    (used,) = await record.query(store, "SELECT used_usd AS one FROM budgets WHERE payer = 'house'")
    return Decimal(used)


async def test_a_vendor_s_post_is_good_once(record: Any) -> None:
    store = record.store()
    lease = await record.lease(store, new_task())
    other = (await store.create(new_task(prompt="another"), Budget()))[0].task.id

    assert [await store.posted(lease.task.id, post) for post in ("a", "a", "b")] == [True, False, True]
    assert await store.posted(other, "c") and await store.get(lease.task.id) == lease.task
