"""Films in a database that many machines share: money held back to the cent, one driver each, and its heirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from support.stub_vendor import new_task

from mcp_server.domain.film import Film, FilmShot
from mcp_server.errors import BudgetError, UnknownTaskError
from mcp_server.tasks.store.base import Budget, new_id
from mcp_server.tasks.store.film_store import FilmFilter, FilmUnderWayError
from mcp_server.tasks.store.postgres.connections import rows
from mcp_server.tasks.store.postgres.opening import opened
from mcp_server.tasks.store.postgres.store import PostgresStore

CENTS = Decimal("0.56")


def film(shots: int = 3, **changes: Any) -> Film:
    values: dict[str, Any] = {
        "id": new_id(1_795_000_000, "kf"), "state": "planned", "created_at": 1.0, "updated_at": 1.0, "owner": "",
        "board": {"title": "Harbour 50%"}, "digest": "d", "simulated": False, "draft": False, "output_dir": "/out",
        "shots": tuple(FilmShot(id=f"s{n}", begin="cut", seconds=5, provider="stub", most_usd=CENTS) for n in range(shots)),
        "quote": {},
    }  # fmt: skip
    return Film(**(values | changes))


@pytest.fixture
async def process(database: str) -> AsyncIterator[Callable[..., PostgresStore]]:
    from mcp_server.clock import Clock

    made: list[PostgresStore] = []

    def begin(*, follows: bool = True) -> PostgresStore:
        made.append(opened(database, Clock(), follows=follows))
        return made[-1]

    yield begin
    for each in made:
        await each.ownership.release()
        await each.close()


async def works(store: PostgresStore) -> PostgresStore:
    """Once it has its place among the workers."""
    await store.ownership.take_over()
    async with asyncio.timeout(120):
        while store.films.worker() is None:
            await asyncio.sleep(0.01)
    return store


async def asked(store: PostgresStore, query: str) -> list[Any]:
    async with store.connections.transaction() as connection:
        return [tuple(row.values()) for row in await rows(connection, query)]


HELD = "SELECT used_usd FROM budgets WHERE payer = 'house' AND day = 'films'"
TODAY = "SELECT used_usd FROM budgets WHERE payer = 'house' AND day <> 'films'"


async def test_a_film_holds_its_money_back_and_each_shot_takes_its_part(process: Any) -> None:
    replica, worker = process(follows=False), await works(process())
    planned = await replica.films.plan(film())
    budget = Budget(daily_usd=CENTS * 4)
    begun = await replica.films.start(planned, budget)
    with pytest.raises(FilmUnderWayError):
        await replica.films.start(planned, budget)
    assert await replica.films.driven(begun) is None and not replica.films.at_once, "whoever orders drives nothing"
    (lease,) = await worker.films.take_over()
    assert await asked(worker, HELD) == [(CENTS * 3,)]
    new = new_task(idempotency_key="shot")
    bought, to_send = await worker.films.buy(lease, "s0", new)
    again, _ = await worker.films.buy(lease, "s1", new_task(idempotency_key="shot"))

    assert to_send is None and bought.shot("s0").task_id == new.id == again.shot("s1").task_id
    assert await asked(worker, HELD) == [(CENTS,)] and await asked(worker, TODAY) == [(CENTS,)]
    await replica.create(new_task(), budget)
    await replica.create(new_task(), budget)
    with pytest.raises(BudgetError, match=r"2\.24 of 2\.24"):
        await replica.create(new_task(), budget)
    assert (await replica.films.cancel(lease.film.id)).reserved_usd == 0
    assert await worker.films.change(lease, note="late") is None
    await replica.create(new_task(), budget)
    assert await asked(worker, HELD) == [(0,)]


async def test_films_and_orders_that_race_for_a_day_never_pass_it(process: Any) -> None:
    stores = [process(follows=False) for _ in range(3)]
    budget = Budget(daily_usd=CENTS * 10, owners={"*": CENTS * 7})
    races: list[Any] = []
    for store in stores:
        races += [store.films.start(film(2, owner=owner), budget) for owner in ("ann", "bob", "")]
        races += [store.create(new_task(owner=owner), budget) for owner in ("ann", "bob", "")]
    ended = await asyncio.gather(*races, return_exceptions=True)

    assert not [each for each in ended if isinstance(each, BaseException) and not isinstance(each, BudgetError)]
    ((films,),) = await asked(stores[0], HELD) or [(Decimal(0),)]
    ((orders,),) = await asked(stores[0], TODAY)
    ((counted,),) = await asked(
        stores[0],
        "SELECT coalesce((SELECT sum(reserved_usd) FROM tasks), 0) + coalesce((SELECT sum(reserved_usd) FROM films), 0)",
    )
    assert films + orders == counted <= CENTS * 10 and counted > CENTS * 8


async def test_a_silent_driver_is_replaced_and_one_that_ends_lets_go(process: Any) -> None:
    victim, heir = await works(process()), await works(process())
    begun = await victim.films.start(film(), Budget())
    (old,) = await victim.films.take_over()
    assert await heir.films.take_over() == [] and await victim.films.leased() == {begun.film.id}
    await victim.ownership._engine.stop()
    victim.ownership._rounds.cancel()
    await asked(
        heir,
        f"UPDATE procrastinate_workers SET last_heartbeat = now() - interval '11 s' WHERE id = {victim.films.worker()} RETURNING id",
    )
    (new,) = await heir.films.take_over()
    assert new.number > old.number and await victim.films.driven(old) is None
    await heir.films.release([new.film.id])
    (again,) = await heir.films.take_over()
    made = await heir.films.change(again, "made", state="joining")
    assert made.state == "joining" and await heir.films.change(new, "late", state="succeeded") is None


async def test_films_are_found_by_words_state_and_owner(process: Any) -> None:
    store = process(follows=False)
    one = await store.films.plan(film(owner="ann"))
    two = await store.films.plan(film(simulated=True, board={"title": "Forest"}, digest="e"))

    async def found(**wanted: Any) -> list[Film]:
        return await store.films.find(FilmFilter(**wanted))

    assert [each.id for each in await found(text="50%")] == [one.id] == [each.id for each in await found(owner="ann")]
    assert [each.id for each in await found(simulated=True, states=("planned",))] == [two.id]
    assert [each.id for each in await found(digest="e", limit=1)] == [two.id] and await found(states=("filming",)) == []
    assert [each.id for each in await found(ending=two.id[-6:])] == [two.id]
    assert await store.films.get(one.id, "ann") == one
    with pytest.raises(UnknownTaskError):
        await store.films.get(one.id, "bob")
