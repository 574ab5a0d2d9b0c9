"""Several shots as one multi-shot order: one purchase, one clip with cuts in it, a row on the sheet for each shot."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.films import FilmMaking, board, film_making, states
from support.services import settings
from support.watched_films import watch

from mcp_server import catalog
from mcp_server.errors import ArgumentError, BudgetError, NoOfferError
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.films.plan import FilmPlan, FilmPlanner
from mcp_server.ordering.plan import Planner

KLING = {"provider": "klingai", "tier": "standard", "audio": False}
TOGETHER = {"begin": "multi-shot"}


def shots(*given: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = [{"id": f"s{number}", "prompt": "a paper boat", "duration": 5} | one for number, one in enumerate(given, 1)]
    return {"title": "Boat", "shots": found, **more}


def planned(tmp_path: Path, given: dict[str, Any], *, draft: bool = False, **keys: str) -> FilmPlan:
    planner = FilmPlanner(Planner(settings(tmp_path, **keys), catalog.load()))
    return planner.plan(from_arguments(given), day=date(2026, 11, 29), draft=draft)


def test_shots_of_one_order_have_one_price_and_the_plan_says_why(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots({}, TOGETHER, {"begin": "cut"}, look=KLING), KLINGAI_API_KEY="t")

    assert [shot.ordered for shot in plan.shots] == [True, False, True]
    assert plan.shots[0].arguments["shots"] == [
        {"prompt": "a paper boat.", "duration": 5},
        {"prompt": "a paper boat.", "duration": 5},
    ]
    assert (plan.shots[0].most_usd, plan.shots[1].most_usd) == (Decimal("0.84"), None)
    assert plan.quote.arithmetic == "$0.84 + $0.42 = $1.26" and plan.most_usd == Decimal("1.26")
    assert any(
        said.startswith("s1 and s2 are one multi-shot order") and "as the board says" in said and "all 2 again" in said
        for said in plan.warnings
    )


def test_shots_apart_say_what_they_would_cost_together(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots({}, {}, {}, {}, look=KLING), KLINGAI_API_KEY="t")

    assert all(shot.ordered for shot in plan.shots)
    assert (
        "each shot is bought apart, so that one can be redone without touching the others; as 2 multi-shot orders "
        "they would cost $1.68"
    ) in plan.warnings


def test_a_shot_too_short_to_be_sold_alone_goes_into_one_order_with_its_neighbours(tmp_path: Path) -> None:
    given = shots({}, {"duration": 2}, {"begin": "cut"}, look=KLING)
    plan = planned(tmp_path, given, KLINGAI_API_KEY="t")

    assert [shot.begin for shot in plan.shots] == ["cut", "multi-shot", "cut"]
    assert any("apart not every one of them is sold" in said for said in plan.warnings)
    # Who wrote how it begins gets that or a refusal.
    given["shots"][1]["begin"] = "cut"
    with pytest.raises(NoOfferError, match="shot 's2'.*2"):
        planned(tmp_path, given, KLINGAI_API_KEY="t")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([{}, {}, {}, TOGETHER | {"duration": 12}], "shot 's3 and s4'.*17"),
        ([{"duration": 2}, *[TOGETHER | {"duration": 2}] * 6], "7 shots are not sold by klingai"),
        ([{}, TOGETHER | {"prompt": "x" * 513}], "shot 2 has 514 characters: at most 512"),
    ],
)
def test_what_its_vendor_publishes_as_a_limit_is_kept(tmp_path: Path, given: list[dict[str, Any]], says: str) -> None:
    with pytest.raises(NoOfferError, match=says):
        planned(tmp_path, shots(*given, look=KLING), KLINGAI_API_KEY="t")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([TOGETHER], "nothing to be in one order with"),
        ([{"clip": "x.mp4", "prompt": None, "duration": None}, TOGETHER], "s1 is a clip that is there"),
        ([{}, TOGETHER | {"image": "x.png"}], "`image` is a clip's first frame"),
        ([{"end_image": "x.png"}, TOGETHER], "`end_image` of s1 is a clip's last frame"),
        ([{"duration": None}, TOGETHER], "`duration` of s1 is missing"),
    ],
)
def test_a_board_that_cannot_be_one_clip_is_told_in_a_line(given: list[dict[str, Any]], says: str) -> None:
    made = shots(*given)
    made["shots"] = [{name: value for name, value in shot.items() if value is not None} for shot in made["shots"]]
    with pytest.raises(ArgumentError) as refused:
        from_arguments(made)
    assert says in str(refused.value)


def test_of_two_at_one_price_the_one_that_promises_the_lengths_is_taken(tmp_path: Path) -> None:
    keys = {"RUNCOMFY_TOKEN": "t", "KLINGAI_API_KEY": "t"}
    plan = planned(tmp_path, shots({}, TOGETHER), **keys)
    alone = planned(tmp_path, shots({}, TOGETHER), RUNCOMFY_TOKEN="t")

    assert plan.shots[0].provider == "klingai" and plan.most_usd == alone.most_usd
    assert any("length of each shot is not guaranteed" in warning for warning in alone.shots[0].warnings)


def test_words_that_read_like_an_order_are_named_in_several_shots_too(tmp_path: Path) -> None:
    plan = planned(tmp_path, shots({}, TOGETHER | {"prompt": "filmed vertical in 4k"}, look=KLING), KLINGAI_API_KEY="t")

    assert any("4k" in warning for warning in plan.shots[0].warnings)


def test_a_draft_of_several_is_the_cheapest_silent_one(tmp_path: Path) -> None:
    look = {"tier": "pro", "audio": True}
    plan = planned(tmp_path, shots({}, TOGETHER, look=look), draft=True, KLINGAI_API_KEY="t", RUNCOMFY_TOKEN="t")

    assert plan.shots[0].tier == "standard" and plan.shots[0].audio is False
    assert plan.final_quote is not None and plan.final_quote.usd is not None
    assert plan.most_usd is not None and plan.most_usd < Decimal(plan.final_quote.usd)


async def test_one_order_becomes_consecutive_shots_of_the_film(films: FilmMaking) -> None:
    film = await films.made(board("cut", TOGETHER | {"duration": 4}, "continue", look=KLING))

    assert film.state == "succeeded", film
    assert films.orders() == 2
    first, second, third = film.shots
    assert first.task_id == second.task_id != third.task_id
    assert (first.cost is None, second.cost is None) == (False, True)
    assert film.total.usd == "0.84"
    record = await films.first.films.records.get(film.film_id)
    assert [(part["shot"], part["start"], part["end"]) for part in (record.joined or {})["shots"]] == [
        ("s1", 0, 3),
        ("s2", 3, 7),
        ("s3", 7, 10),
    ]
    assert film.failed_checks == [] and not any("no cut is seen" in note for note in film.notes)
    # What goes on from it begins with the last frame of the clip both are in.
    (went_in,) = (await films.first.runner.store.get(third.task_id)).local_media
    assert went_in.path == str(Path(first.video_path or "").with_suffix(".last.png"))


async def test_to_redo_one_of_them_buys_the_order_again_and_nothing_else(films: FilmMaking) -> None:
    wanted = board("cut", TOGETHER, "cut", look=KLING)
    first = await films.made(wanted)
    draft = await films.first.films.prepare(FilmOrder(film_id=first.film_id, redo=("s2",)))
    again = await films.made(film_id=first.film_id, redo=("s2",))
    resumed = await films.made(wanted)

    assert draft.to_buy.usd == "0.504"
    assert [one.task_id == two.task_id for one, two in zip(first.shots, again.shots, strict=True)] == [
        False,
        False,
        True,
    ]
    assert again.shots[0].task_id == again.shots[1].task_id == resumed.shots[1].task_id
    assert films.orders() == 3


async def test_a_failed_order_is_missing_with_all_its_shots_and_bought_again_once(films: FilmMaking) -> None:
    films.vendors.fault("klingai", "failed", "the model could not")
    film = await films.made(board("cut", TOGETHER, "continue", look=KLING))

    assert states(film) == {"s1": "failed", "s2": "failed", "s3": "blocked"}
    assert "redo ['s1']" in film.next_step
    assert (await films.first.films.records.get(film.film_id)).reserved_usd == 0
    again = await films.made(film_id=film.film_id)
    assert again.state == "succeeded" and films.orders() == 3


async def test_another_process_goes_on_with_an_order_of_several_and_buys_it_once(films: FilmMaking) -> None:
    films.vendors.box.seconds = 1
    film = await films.buy(board("cut", TOGETHER, look=KLING))
    await films.first.films.close()
    other = films.service()
    await other.start()
    (ended,) = await other.films.get([film.film_id], wait_s=2_000)

    assert ended.state == "succeeded" and films.orders() == 1
    assert (await other.films.records.get(film.film_id)).reserved_usd == 0


async def test_a_day_has_room_for_the_order_and_not_for_its_shots_apart(tmp_path: Path) -> None:
    # A cut of 2 s is sold in one order alone: 5 s at $0.084.
    async with film_making(tmp_path, KLING_DAILY_BUDGET_USD="0.42") as films:
        film = await films.buy(board("cut", {"duration": 2}, look=KLING))
        with pytest.raises(BudgetError, match="daily budget"):
            await films.buy(board("cut", title="Another", look=KLING))
    assert film.total.usd == "0.42"


async def test_cancelling_says_once_what_an_order_of_several_came_to(films: FilmMaking) -> None:
    films.vendors.box.seconds = 300
    film = await films.buy(board("cut", TOGETHER, "continue", look=KLING))
    while not films.orders():
        await films.first.films.get([film.film_id], wait_s=1)
    stopped = await films.first.films.cancel(film.film_id)

    assert stopped.note.count("kv-") == 1 and "s1 (" in stopped.note
    assert "s3: not bought" in stopped.note and "s2" not in stopped.note


async def test_the_pictures_change_at_the_ordered_cuts(films: FilmMaking) -> None:
    film = await films.made(board("cut", TOGETHER, look=KLING))
    seen = watch(film.video_path or "")
    steps = [
        max(abs(one - two) for one, two in zip(before, after, strict=True))
        for before, after in zip(seen.lumas, seen.lumas[1:], strict=False)
    ]
    assert steps.index(max(steps)) + 1 == 72
