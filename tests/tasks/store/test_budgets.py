"""What a day's orders hold back, kept as one row for each owner and one for the house, to the cent and at any age."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from support.stub_vendor import House

from mcp_server.errors import BudgetError
from mcp_server.tasks.store import budgets, schema
from mcp_server.tasks.store.base import Budget, Filter, NewTask, TaskStore, day_of

ROOT = Path(__file__).parents[3]
LIMIT = Budget(daily_usd=Decimal("100"), owners={"ann": Decimal("1.20"), "*": Decimal("0.60")})


def rows(house: House) -> dict[str, Decimal]:
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        return {payer: Decimal(used) for payer, used in db.execute("SELECT payer, used_usd FROM budgets")}


async def added_up(store: TaskStore) -> Decimal:
    return sum((task.reserved_usd for task in await store.find(Filter(limit=1_000))), Decimal(0))


async def test_an_owner_has_a_limit_of_his_own_beside_the_house_s(house: House) -> None:
    store = house.runner().store
    for owner, fits in (("ann", 2), ("bob", 1), ("", 5)):
        for number in range(6):
            if number < fits:
                await store.create(house.new(owner=owner), LIMIT)
            elif owner:
                with pytest.raises(BudgetError, match="your daily budget") as refused:
                    await store.create(house.new(owner=owner), LIMIT)
                assert "KLING_DAILY" not in (refused.value.next_step or ""), "a stranger cannot set it"

    assert rows(house) == {"owner:ann": Decimal("1.12"), "owner:bob": Decimal("0.56"), "house": Decimal("4.48")}


async def test_what_is_released_settled_or_cancelled_makes_room_again(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("1.12"))
    failed, _ = await store.create(house.new(), budget)
    dearer, _ = await store.create(house.new(), budget)
    with pytest.raises(BudgetError, match=r"1\.12 of 1\.12"):
        await store.create(house.new(), budget)

    await store.change(failed, state="failed", reserved_usd=Decimal(0))
    await store.change(dearer, state="queued", reserved_usd=Decimal("0.6"), money=True)
    with pytest.raises(BudgetError, match=r"0\.60? of 1\.12"):
        await store.create(house.new(), budget)
    assert await store.withdraw((await store.create(house.new(reserve_usd=Decimal("0.52")), budget))[0].task.id)
    await store.decide(dearer.task.id, ("queued",), "said", state="failed", reserved_usd=Decimal("0.56"))
    await store.create(house.new(), budget)

    assert rows(house)["house"] == await added_up(store) == Decimal("1.12")


async def test_rehearsals_and_prices_nobody_knows_take_nothing(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("0.56"))
    await store.create(house.new(simulated=True), budget)
    await store.create(house.new(reserve_usd=None, allow_unknown_price=True), budget)
    with pytest.raises(BudgetError, match="nobody publishes"):
        await store.create(house.new(reserve_usd=None), budget)
    await store.create(house.new(), budget)
    with pytest.raises(BudgetError, match="pass the daily budget"):
        await store.create(house.new(), budget)


async def test_an_order_of_several_fits_together_or_not_at_all(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("2.00"))
    shots = [house.new(idempotency_key=f"film/{shot}/1", prompt=f"shot {shot}") for shot in range(3)]
    leases, created = await store.create_all(shots, budget)
    assert created and rows(house) == {"house": Decimal("1.68")}
    again, created = await store.create_all(shots, budget)
    assert not created and [lease.task.id for lease in again] == [lease.task.id for lease in leases]
    with pytest.raises(BudgetError, match=r"this costs 1\.12"):
        await store.create_all([house.new(), house.new()], budget)

    assert len(await store.find(Filter())) == 3
    assert await added_up(store) == Decimal("1.68")


@pytest.mark.parametrize("hand", ["insert", "update", "delete"])
async def test_whoever_changes_an_order_without_counting_takes_the_row_away(house: House, hand: str) -> None:
    """A process of the version before, or a hand at the file."""
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("1.68"))
    first, _ = await store.create(house.new(owner="ann"), budget)
    await store.create(house.new(owner="bob"), budget)
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        if hand == "insert":
            row = schema.row_of(schema.task_of(house.new(), house.clock.now(), (), Decimal("0.56")), None, 1)
            db.execute(schema.INSERT, row)
        elif hand == "update":
            db.execute("UPDATE tasks SET reserved_usd = '1.12' WHERE id = ?", [first.task.id])
        else:
            db.execute("DELETE FROM events WHERE task_id = ?", [first.task.id])
            db.execute("DELETE FROM tasks WHERE id = ?", [first.task.id])
        db.commit()
    assert "house" not in rows(house)

    left = {"insert": "1.68", "update": "1.68", "delete": "0.56"}[hand]
    with pytest.raises(BudgetError, match=rf"{left} of 1\.68"):
        await store.create_all([house.new() for _ in range(3)], budget)
    await store.create(house.new(), Budget(daily_usd=Decimal("5")))
    assert rows(house)["house"] == await added_up(store) == Decimal(left) + Decimal("0.56")


async def test_a_damaged_row_of_the_day_is_added_up_anew_and_keeps_no_task_from_changing(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("10"))
    lease, _ = await store.create(house.new(), budget)
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        db.execute("UPDATE budgets SET used_usd = 'much'")
        db.commit()
    with pytest.raises(BudgetError, match="cannot be read"):
        await store.create(house.new(), budget)
    assert await store.change(lease, state="queued", reserved_usd=Decimal("0.50")) is not None

    await store.create(house.new(), budget)
    assert rows(house)["house"] == await added_up(store) == Decimal("1.06")


async def test_a_day_s_orders_are_read_once_however_many_there_are(house: House) -> None:
    store = house.runner().store
    await store.create_all([house.new() for _ in range(200)], Budget())
    await store.create(house.new(), Budget(daily_usd=Decimal("1000")))
    said: list[str] = []
    await store._writer.do(lambda db: db.set_trace_callback(said.append), "read")  # type: ignore[attr-defined]
    lease, _ = await store.create(house.new(), Budget(daily_usd=Decimal("1000")))
    await store.change(lease, state="failed", reserved_usd=Decimal(0))

    assert any("INTO budgets" in line for line in said)
    assert not [line for line in said if "reserved_usd FROM tasks" in line]


async def test_the_row_is_the_sum_after_any_history(house: House) -> None:
    """A few hundred orders, settlements, releases and refusals by three owners, in an order nobody chose by hand."""
    chance = random.Random(17)
    store, tight = house.runner().store, Budget(daily_usd=Decimal("30.00"), owners={"*": Decimal("12.00")})
    leases, refused = [], 0
    for _ in range(300):
        match chance.choice("ooosfw"):
            case "o":
                some: list[NewTask] = []
                owner = chance.choice(("", "ann", "bob"))
                for _ in range(chance.randint(1, 3)):
                    some.append(house.new(owner=owner, reserve_usd=Decimal(chance.randint(1, 90)) / 100))
                try:
                    leases += (await store.create_all(some, tight))[0]
                except BudgetError:
                    refused += 1
            case "w" if leases:
                await store.withdraw(leases.pop(chance.randrange(len(leases))).task.id)
            case "s" | "f" as end if leases:
                lease = leases.pop(chance.randrange(len(leases)))
                cost = Decimal(chance.randint(0, 9999)) / 10000 if end == "s" else Decimal(0)
                await store.change(lease, state="queued" if end == "s" else "failed", reserved_usd=cost)
    tasks = await store.find(Filter(limit=1_000))

    assert refused > 5 and len(tasks) > 60
    for payer, used in rows(house).items():
        mine = [task.reserved_usd for task in tasks if payer in budgets.payers(task.owner)]
        assert used == sum(mine, Decimal(0)), payer


async def test_a_day_begins_with_an_empty_row(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("0.56"))
    late, _ = await store.create(house.new(), budget)
    house.clock.jumped += 86_400
    await store.create(house.new(), budget)
    await store.change(late, state="failed", reserved_usd=Decimal(0))
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        found = dict(db.execute("SELECT day, used_usd FROM budgets"))

    today = day_of(house.clock.now())
    assert {day: Decimal(used) for day, used in found.items()} == {day_of(house.clock.start): 0, today: Decimal("0.56")}


def test_a_budget_holds_while_processes_order_and_release(tmp_path: Path) -> None:
    """Four processes order and release against one limit: the row is the sum, and the limit was never passed."""
    code = textwrap.dedent(
        f"""
        import asyncio, sys, time
        from decimal import Decimal
        from pathlib import Path
        from mcp_server.errors import BudgetError
        from mcp_server.tasks.store.base import Budget, new_id
        from mcp_server.tasks.store.sqlite import SqliteStore
        from support.stub_vendor import new_task

        async def main():
            store = SqliteStore(Path({str(tmp_path)!r}) / "tasks.db")
            budget = Budget(daily_usd=Decimal("3.36"), owners={{"*": Decimal("1.68")}})
            owner = sys.argv[1]
            for number in range(40):
                try:
                    lease, _ = await store.create(new_task(new_id(time.time()), owner=owner), budget)
                except BudgetError:
                    continue
                if number % 3:
                    await store.change(lease, state="failed", reserved_usd=Decimal(0))
            await store.close()

        asyncio.run(main())
        """
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    running = [subprocess.Popen([sys.executable, "-c", code, owner], env=env) for owner in ("ann", "ann", "bob", "cem")]
    assert [process.wait(timeout=120) for process in running] == [0] * 4

    with closing(sqlite3.connect(tmp_path / "tasks.db")) as db:
        orders = [(owner, Decimal(usd)) for owner, usd in db.execute("SELECT owner, reserved_usd FROM tasks")]
        kept = {payer: Decimal(used) for payer, used in db.execute("SELECT payer, used_usd FROM budgets")}
    for payer, used in kept.items():
        assert used == sum((usd for owner, usd in orders if payer in budgets.payers(owner)), Decimal(0)), payer
    assert kept["house"] == Decimal("3.36"), "six clips of 0.56 at once, never a seventh"
    assert all(kept.get(f"owner:{owner}", 0) <= Decimal("1.68") for owner in ("ann", "bob", "cem"))


async def test_running_creates_in_one_process_share_the_row(house: House) -> None:
    store = house.runner().store
    budget = Budget(daily_usd=Decimal("56.00"))
    made = await asyncio.gather(*(store.create(house.new(), budget) for _ in range(140)), return_exceptions=True)

    assert sum(isinstance(each, BudgetError) for each in made) == 40
    assert rows(house) == {"house": Decimal("56.00")}
