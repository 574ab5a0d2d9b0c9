"""Filming: each shot bought once, a chain in its order, and what is wrong with one shot stops nothing else."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.films import FilmMaking, board, film_making, states

from mcp_server.errors import BudgetError, KlingError, RequestError, UnknownTaskError
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.tasks.store.base import Budget, Filter
from mcp_server.tasks.store.film_store import FilmUnderWayError


async def test_a_board_becomes_one_joined_file_and_each_shot_is_bought_once(films: FilmMaking) -> None:
    planned = await films.first.films.make(FilmOrder(board=board("cut", "continue", "cut")))
    assert (planned.state, films.orders()) == ("planned", 0)

    film = await films.made(film_id=planned.film_id)

    assert film.state == "succeeded", film
    assert film.film_id == planned.film_id
    assert Path(film.video_path or "").is_file() and Path(film.sheet_path or "").is_file()
    assert film.duration == pytest.approx(9, abs=0.1)
    assert film.failed_checks == []
    assert films.orders() == 3
    assert not list(Path(film.video_path or "").parent.glob(".*"))


async def test_a_shot_that_continues_begins_with_the_last_frame_of_the_one_before(films: FilmMaking) -> None:
    film = await films.made(board("cut", "continue"))
    first, second = [await films.first.runner.store.get(shot.task_id) for shot in film.shots]

    assert first.artifact is not None
    assert second.local_media[0].path == str(Path(first.artifact.path).with_suffix(".last.png"))
    assert second.created_at >= (first.finished_at or 0)


async def test_a_second_film_with_the_same_board_buys_nothing_again(films: FilmMaking) -> None:
    first = await films.made(board("cut", "continue"))
    second = await films.made(board("cut", "continue"))

    assert second.film_id != first.film_id
    assert second.state == "succeeded"
    assert [shot.task_id for shot in second.shots] == [shot.task_id for shot in first.shots]
    assert films.orders() == 2


async def test_redo_buys_the_named_shot_with_its_new_words_and_no_other(films: FilmMaking) -> None:
    first = await films.made(board("cut", "cut"))
    again = await films.made(
        board("cut", {"prompt": "rain on a roof"}), film_id=first.film_id, redo=("s2",), draft=False
    )

    assert again.film_id == first.film_id and again.state == "succeeded"
    assert again.shots[0].task_id == first.shots[0].task_id
    assert again.shots[1].task_id != first.shots[1].task_id
    assert again.sha256 != first.sha256 and again.video_path == first.video_path
    assert films.orders() == 3


async def test_redo_with_the_same_words_buys_another_take(films: FilmMaking) -> None:
    first = await films.made(board("cut"))
    again = await films.made(film_id=first.film_id, redo=("s1",))
    resumed = await films.made(board("cut"))

    assert again.shots[0].task_id != first.shots[0].task_id
    # The newest take is the shot from now on.
    assert resumed.shots[0].task_id == again.shots[0].task_id
    assert films.orders() == 2


async def test_a_flaw_stops_the_chain_and_says_so_and_the_rest_is_not_bought(films: FilmMaking) -> None:
    films.vendors.fault("runcomfy", "clip_black")
    film = await films.made(board("cut", "continue", "continue"))

    assert film.state == "failed"
    assert states(film) == {"s1": "succeeded", "s2": "blocked", "s3": "blocked"}
    assert "s1, whose clip has a flaw (the picture is black" in film.shots[1].why
    assert "['s1']" in (film.error or {})["next_step"]
    assert films.orders() == 1
    stored = await films.first.films.records.get(film.film_id)
    assert stored.reserved_usd == 0

    again = await films.made(film_id=film.film_id, redo=("s1",))
    assert again.state == "succeeded"
    assert films.orders() == 4


async def test_a_shot_that_failed_leaves_the_others_and_is_bought_again_alone(films: FilmMaking) -> None:
    films.vendors.fault("runcomfy", "failed", "the model could not")
    film = await films.made(board("cut", "cut", "cut"))

    assert film.state == "failed"
    assert sorted(states(film).values()) == ["failed", "succeeded", "succeeded"]
    again = await films.made(film_id=film.film_id)
    assert again.state == "succeeded"
    assert films.orders() == 4


async def test_a_shot_in_doubt_blocks_only_what_continues_from_it(films: FilmMaking) -> None:
    films.vendors.fault("runcomfy", "drop_after_accept")
    film = await films.made(board("cut", "continue", "cut", look={"provider": "runcomfy", "tier": "standard"}))

    assert film.state == "uncertain"
    assert states(film) == {"s1": "uncertain", "s2": "blocked", "s3": "succeeded"}
    assert "settle" in film.next_step
    assert films.orders() == 2
    # Nobody resends it unasked, not even with the film.
    again = await films.made(film_id=film.film_id)
    assert (again.state, films.orders()) == ("uncertain", 2)


async def test_a_clip_that_is_there_is_used_and_nothing_is_bought_for_it(films: FilmMaking, tmp_path: Path) -> None:
    first = await films.made(board("cut"))
    path = first.shots[0].video_path
    film = await films.made(board({"clip": first.shots[0].task_id}, {"clip": str(path), "begin": "cut"}, title="Again"))

    assert film.state == "succeeded"
    assert states(film) == {"s1": "used", "s2": "used"}
    assert film.duration == pytest.approx(6, abs=0.1)
    assert films.orders() == 1


@pytest.mark.parametrize(
    ("clip", "says"),
    [
        ("/nowhere/x.mp4", "no file /nowhere/x.mp4"),
        ("kv-261121-000000000000", "no task"),
        ("https://a.example/b", "only files"),
    ],
)
async def test_a_clip_that_is_not_there_is_refused_before_anything_is_bought(
    films: FilmMaking, clip: str, says: str
) -> None:
    with pytest.raises(RequestError, match=says):
        await films.buy(board("cut", {"clip": clip}))
    assert films.orders() == 0


async def test_what_is_above_the_limit_is_refused_as_a_whole(films: FilmMaking) -> None:
    with pytest.raises(BudgetError, match="more than max_cost_usd 0.5"):
        await films.buy(board("cut", "cut", "cut"), limit=Decimal("0.5"))

    assert films.orders() == 0
    assert await films.first.runner.store.find(Filter()) == []


async def test_the_whole_film_is_held_back_at_once_and_other_orders_see_it(tmp_path: Path) -> None:
    async with film_making(tmp_path, KLING_DAILY_BUDGET_USD="0.60") as films:
        # 3 s × $0.084 each; a chain buys one at a time, and all of it is held back.
        film = await films.buy(board("cut", "continue"))
        with pytest.raises(BudgetError, match="daily budget"):
            await films.buy(board("cut", title="Another"))
        ended = await films.ended(film.film_id)
        spent = await films.first.spend()
        record = await films.first.films.records.get(film.film_id)

    assert ended.state == "succeeded"
    assert spent.quoted_usd == "0.504"
    assert record.reserved_usd == 0


async def test_a_film_beyond_the_day_is_refused_before_its_first_shot(tmp_path: Path) -> None:
    async with film_making(tmp_path, KLING_DAILY_BUDGET_USD="0.50") as films:
        with pytest.raises(BudgetError, match="this costs 0.504"):
            await films.buy(board("cut", "cut"))
        assert films.orders() == 0


async def test_two_films_at_once_never_hold_back_more_than_the_day_has(tmp_path: Path) -> None:
    import asyncio

    async with film_making(tmp_path) as films:
        services = [films.first, *(films.service() for _ in range(5))]
        drafts = [
            await each.films.prepare(FilmOrder(board=board("cut", "cut", title=f"Film {number}")))
            for number, each in enumerate(services)
        ]
        budget = Budget(daily_usd=Decimal("1.60"))
        outcomes = await asyncio.gather(
            *(each.films.records.start(draft.film, budget) for each, draft in zip(services, drafts, strict=True)),
            return_exceptions=True,
        )

    started = [one for one in outcomes if not isinstance(one, BaseException)]
    assert len(started) == 3
    assert sum(one.film.reserved_usd for one in started) == Decimal("1.512")
    assert all(isinstance(one, BudgetError) for one in outcomes if isinstance(one, BaseException))


async def test_cancelling_buys_nothing_more_and_says_what_each_shot_cost(films: FilmMaking) -> None:
    films.vendors.box.seconds = 300
    film = await films.buy(board("cut", "continue", "cut"))
    while films.orders() < 2:
        (film,) = await films.first.films.get([film.film_id], wait_s=1)
    stopped = await films.first.films.cancel(film.film_id)
    again = await films.first.films.cancel(film.film_id)

    assert stopped.state == "cancelled"
    assert "s2: not bought, it cost nothing" in stopped.note
    assert "s1 (kv-" in stopped.note and "s3 (kv-" in stopped.note
    assert films.orders() == 2
    assert "cancelled before" in again.note


async def test_a_film_that_is_made_cannot_be_changed_and_is_not_made_twice(films: FilmMaking) -> None:
    films.vendors.box.seconds = 300
    film = await films.buy(board("cut"))
    same = await films.buy(board("cut"))
    by_id = await films.buy(film_id=film.film_id)
    with pytest.raises(FilmUnderWayError):
        await films.buy(board({"prompt": "rain"}), film_id=film.film_id)
    with pytest.raises(FilmUnderWayError):
        await films.buy(film_id=film.film_id, redo=("s1",))
    while not films.orders():
        await films.first.films.get([film.film_id], wait_s=1)

    assert film.film_id == same.film_id == by_id.film_id
    assert films.orders() == 1


async def test_another_process_goes_on_with_a_film_and_the_first_one_lets_go(films: FilmMaking) -> None:
    films.vendors.box.seconds = 1
    film = await films.buy(board("cut", "continue"))
    await films.first.films.close()
    other = films.service()
    await other.start()
    (ended,) = await other.films.get([film.film_id], wait_s=2_000)

    assert ended.state == "succeeded"
    assert films.orders() == 2


async def test_a_key_that_came_since_makes_no_rehearsal_real(films: FilmMaking) -> None:
    first = films.first
    keyless = {name: "" for name in films.vendors.environment if name.endswith(("_KEY", "_TOKEN"))}
    rehearsing = films.service(**keyless)
    planned = await rehearsing.films.make(
        FilmOrder(board=from_arguments({"title": "x", "shots": [{"id": "a", "prompt": "x"}]}))
    )
    assert planned.simulated
    lease = await first.films.records.start(await first.films.records.get(planned.film_id), Budget())
    await first.start()
    first.films.driver.drive(lease)
    ended = await films.ended(planned.film_id)

    assert ended.state == "failed"
    assert "a vendor key is set now" in ended.shots[0].why
    assert films.orders() == 0


async def test_a_price_that_rose_since_is_not_paid_unasked(films: FilmMaking) -> None:
    from dataclasses import replace

    draft = await films.first.films.prepare(FilmOrder(board=board("cut"), max_cost_usd=Decimal(5)))
    cheaper = replace(draft.film, shots=tuple(replace(shot, most_usd=Decimal("0.10")) for shot in draft.film.shots))
    film = await films.first.films.buy(replace(draft, film=cheaper))
    ended = await films.ended(film.film_id)

    assert ended.state == "failed"
    assert "0.10 USD were agreed to" in ended.shots[0].why
    assert films.orders() == 0


@pytest.mark.parametrize(
    "given",
    [
        {"shots": [{"id": "a", "prompt": "x", "image": "/etc/passwd"}]},
        {"shots": [{"id": "a", "clip": "/etc/passwd"}]},
        {"shots": [{"id": "a", "prompt": "x"}], "sound": "/etc/passwd"},
        {"shots": [{"id": "a", "prompt": "x", "cast": ["b"]}], "cast": {"b": {"pictures": ["/etc/passwd"]}}},
    ],
)
async def test_whoever_came_over_the_network_names_no_file_of_this_machine(
    films: FilmMaking, given: dict[str, Any]
) -> None:
    with pytest.raises(RequestError, match="cannot be named over the network"):
        await films.first.films.make(FilmOrder(board=from_arguments({"title": "x", **given})), owner="her")


async def test_another_owners_film_is_nobodys(films: FilmMaking) -> None:
    made = await films.first.films.make(FilmOrder(board=board("cut")), owner="her")
    for act in (
        lambda: films.first.films.get([made.film_id], owner="him"),
        lambda: films.first.films.cancel(made.film_id, owner="him"),
        lambda: films.first.films.make(FilmOrder(film_id=made.film_id), owner="him"),
    ):
        with pytest.raises(UnknownTaskError):
            await act()
    assert await films.first.films.find(owner="him") == []
    assert [film.film_id for film in await films.first.films.find(owner="her")] == [made.film_id]


@pytest.mark.parametrize(
    ("order", "says"),
    [
        (FilmOrder(), "no board"),
        (FilmOrder(film_id="kf-261121-000000000000"), "no film"),
        (FilmOrder(board=board("cut"), redo=("s9",)), "no shot 's9'"),
    ],
)
async def test_what_is_no_film_is_refused_in_words(films: FilmMaking, order: FilmOrder, says: str) -> None:
    with pytest.raises(KlingError, match=says):
        await films.first.films.make(order)
