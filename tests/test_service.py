"""Buying through the service: keys, limits, who may name which files, and what an answer says."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.services import service

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import (
    ArgumentError,
    BudgetError,
    KeyConflictError,
    NotAnOrderError,
    NotSignedInError,
    RequestError,
)
from mcp_server.ordering.limits import ConfirmationNeededError


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)


def bought(folder: Path) -> int:
    path = folder / "home" / "tasks.db"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as db:
        return db.execute("select count(*) from tasks").fetchone()[0]


def wish(**more) -> VideoArguments:
    return VideoArguments(**{"prompt": "a paper boat", "model": "kling-3.0", "tier": "pro", **more})


SIGNED_IN = {"RUNCOMFY_TOKEN": "t", "RUNCOMFY_BASE_URL": "http://127.0.0.1:9"}


async def test_the_same_key_is_the_same_task_even_after_a_restart(tmp_path: Path) -> None:
    first = service(tmp_path)
    one = await first.generate(wish(idempotency_key="k1"))
    await first.close()
    second = service(tmp_path)
    two = await second.generate(wish(idempotency_key="k1"))
    await second.close()

    assert two.task_id == one.task_id
    assert any("nothing was bought again" in warning for warning in two.warnings)
    assert bought(tmp_path) == 1


async def test_a_key_that_stands_for_a_task_needs_no_price_again(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    one = await buyer.generate(wish(idempotency_key="k1", image="data:image/png;base64,iVBORw0KGgo="))
    buyer.planner.plan = None  # type: ignore[assignment]  # routing again would fail now
    two = await buyer.generate(wish(idempotency_key="k1", image="data:image/png;base64,iVBORw0KGgo="))
    await buyer.close()

    assert two.task_id == one.task_id


async def test_a_key_for_another_request_is_an_error(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    await buyer.generate(wish(idempotency_key="k1"))

    with pytest.raises(KeyConflictError):
        await buyer.generate(wish(idempotency_key="k1", duration=10))

    await buyer.close()
    assert bought(tmp_path) == 1


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"max_cost_usd": 0.55}, BudgetError),
        ({"provider": "uniall", "max_cost_usd": 100}, BudgetError),
        ({"request": "kling, under $0.55"}, BudgetError),
        ({"request": "kling via uniall, at most 100 dollars"}, BudgetError),
    ],
)
async def test_a_limit_refuses_before_anything_is_recorded(more: dict, error: type, tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(error):
        await buyer.generate(wish(**more))

    await buyer.close()
    assert bought(tmp_path) == 0


async def test_the_exact_price_is_within_the_limit(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    task = await buyer.generate(wish(max_cost_usd=0.56))
    in_words = await buyer.generate(wish(request="kling, max 56 dollars"))
    overruled = await buyer.generate(wish(request="kling, max 0.01 dollars", max_cost_usd=0.56))

    await buyer.close()
    assert task.estimated_cost.usd == "0.56"
    assert "the words allow at most 56 USD" in in_words.warnings
    assert "the words allow at most 0.01 USD; the argument decides: 0.56" in overruled.warnings


async def test_a_daily_budget_holds_across_tasks(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN, KLING_DAILY_BUDGET_USD="0.50")

    with pytest.raises(BudgetError, match="daily budget"):
        await buyer.generate(wish())

    await buyer.close()
    assert bought(tmp_path) == 0


async def test_above_the_users_limit_the_answer_is_the_price_and_how_to_agree(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN, KLING_CONFIRM_ABOVE_USD="0.50")

    with pytest.raises(ConfirmationNeededError) as asked:
        await buyer.generate(wish())

    await buyer.close()
    assert "0.56" in str(asked.value)
    assert "max_cost_usd" in str(asked.value)
    assert bought(tmp_path) == 0


async def test_an_unknown_price_under_a_budget_needs_a_yes(tmp_path: Path) -> None:
    buyer = service(tmp_path, UNIALL_API_KEY="k", UNIALL_BASE_URL="http://127.0.0.1:9", KLING_DAILY_BUDGET_USD="5")

    with pytest.raises(BudgetError, match="accept_unknown_price"):
        await buyer.generate(wish())

    await buyer.close()
    assert bought(tmp_path) == 0


async def test_a_named_provider_without_a_key_is_refused_when_others_have_one(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)

    with pytest.raises(NotSignedInError, match="RUNAPI_API_KEY"):
        await buyer.generate(wish(provider="runapi"))

    await buyer.close()


async def test_the_sandbox_can_be_named_with_a_key_set(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)

    task = await buyer.generate(wish(provider="sandbox"))

    await buyer.close()
    assert task.simulated
    assert task.provider == "sandbox"


async def test_an_estimate_names_everybody_and_needs_no_key(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)

    estimate = await buyer.estimate(wish(audio=True, duration=10))

    await buyer.close()
    prices = [line.cost.usd for line in estimate.others]
    known = [price for price in prices if price is not None]
    wanted = ("kling-3.0", "pro", "text-to-video")
    sellers = {offer.provider for offer in buyer.catalog.offers if (offer.model, offer.tier, offer.mode) == wanted}
    assert estimate.chosen.provider == "runcomfy"
    assert estimate.chosen.cost.usd == "1.68"
    assert known == sorted(known, key=float)
    assert prices[-1] is None
    assert {line.provider for line in estimate.others} == sellers - {"runcomfy"}
    assert not (tmp_path / "home").exists()


async def test_an_estimate_lists_every_offer_that_fits_of_any_model_and_says_of_which_one_it_chose(
    tmp_path: Path,
) -> None:
    buyer = service(tmp_path, **SIGNED_IN)

    meant = await buyer.estimate(VideoArguments(request="kling 4k 5s: a boat"))
    named = await buyer.estimate(VideoArguments(request="kling 3.0 4k 5s: a boat"))

    await buyer.close()
    assert [line.offer for line in named.others] == [
        "klingai/kling-3.0/4k/text-to-video",
        "fal/kling-3.0/4k/text-to-video",
        "replicate/kling-3.0/4k/text-to-video",
        "runapi/kling-3.0/4k/text-to-video",
    ]
    assert [line.offer for line in meant.others] == [
        "klingai/kling-3.0/4k/text-to-video",
        "fal/kling-3.0/4k/text-to-video",
        "replicate/kling-3.0/4k/text-to-video",
        "runcomfy/kling-o3/4k/text-to-video",
        "klingai/kling-o3/4k/text-to-video",
        "fal/kling-o3/4k/text-to-video",
        "runapi/kling-3.0/4k/text-to-video",
        "runapi/kling-o3/4k/text-to-video",
        "replicate/kling-o3/4k/text-to-video",
    ]
    assert meant.chosen == named.chosen
    assert "the only kling-3.0 offer at hand" in meant.route


async def test_what_is_odd_about_a_price_stands_beside_it_and_is_said_once(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    printed = await buyer.estimate(
        VideoArguments(
            prompt="a boat", provider="kling3api", model="kling-o3", tier="standard", references=["https://e.com/a.png"]
        )
    )
    unpublished = await buyer.estimate(wish(provider="octopusx", model=None, tier=None))

    await buyer.close()
    assert printed.chosen.cost.arithmetic == "5 s × 20 credits = 100 credits"
    assert "odd" in printed.chosen.cost.facts()["note"]
    assert unpublished.chosen.cost.arithmetic.startswith("unknown: OctopusX publishes no prices")
    assert "note" not in unpublished.chosen.cost.facts()


@pytest.mark.parametrize("more", [{"image": "/etc/hostname"}, {"references": ["~/x.png"]}, {"output_dir": "/tmp"}])
async def test_somebody_over_the_network_names_no_files_of_this_machine(more: dict, tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(RequestError, match="cannot be named over the network"):
        await buyer.generate(wish(**more), owner="somebody")
    with pytest.raises(RequestError, match="cannot be named over the network"):
        await buyer.estimate(wish(**more), owner="somebody")

    await buyer.close()


async def test_options_need_a_named_vendor(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(RequestError, match="no provider is named"):
        await buyer.generate(wish(options={"shot_type": "customize"}))

    await buyer.close()


async def test_an_option_the_vendor_does_not_know_is_refused_with_the_nearest(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(RequestError, match="shot_type"):
        await buyer.generate(wish(provider="runcomfy", options={"shot_typ": "customize"}))

    await buyer.close()
    assert bought(tmp_path) == 0


async def test_words_that_order_nothing_buy_nothing(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(NotAnOrderError):
        await buyer.generate(VideoArguments(request="how much does a kling 4k video cost?"))

    await buyer.close()
    assert bought(tmp_path) == 0


async def test_building_and_closing_touch_nothing(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    await buyer.start()
    await buyer.close()

    assert list(tmp_path.iterdir()) == []


async def lost(buyer) -> str:
    """An order whose answer was lost: taken and charged by the vendor, and nobody here knows its number."""
    task = await buyer.generate(wish(provider="runcomfy"))
    assert task.state == "uncertain"
    return task.task_id


@pytest.mark.parametrize("faults", ["nobody=drop", "runcomfy=no_such_kind", "runcomfy=429:often"])
async def test_faults_the_sandbox_cannot_play_are_refused_before_anything_is_ordered(
    tmp_path: Path, faults: str
) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS=faults)

    with pytest.raises(ArgumentError, match="Nothing was charged"):
        await buyer.generate(wish())

    assert (await buyer.tasks()).tasks == []
    await buyer.close()


@pytest.mark.parametrize(("bought", "money"), [(False, "not_spent"), (True, "charged")])
async def test_what_the_dashboard_shows_closes_an_uncertain_order(bought: bool, money: str, tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS="runcomfy=drop_after_accept")
    task_id = await lost(buyer)

    task = await buyer.settle(task_id, bought=bought)

    await buyer.close()
    assert (task.state, task.error["money"]) == ("failed", money)


async def test_with_the_vendors_number_a_lost_order_still_becomes_a_file(tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS="runcomfy=drop_after_accept")
    task_id = await lost(buyer)
    with closing(sqlite3.connect(tmp_path / "home" / "sandbox.db")) as db:
        (job_id,) = db.execute("select id from jobs").fetchone()

    await buyer.settle(task_id, bought=True, job_id=job_id)
    (task,) = await buyer.get([task_id], wait_s=2_000)

    await buyer.close()
    assert task.state == "succeeded"
    assert Path(task.video_path).exists()


async def test_whoever_keeps_the_server_settles_a_lost_order_of_somebody_who_came_over_the_network(
    tmp_path: Path,
) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS="runcomfy=drop_after_accept")
    task = await buyer.generate(wish(provider="runcomfy"), owner="ann")
    with closing(sqlite3.connect(tmp_path / "home" / "sandbox.db")) as db:
        (job_id,) = db.execute("select id from jobs").fetchone()

    settled = await buyer.settle(task.task_id, bought=True, job_id=job_id)

    assert settled.state in ("queued", "running") and settled.error is None
    (found,) = await buyer.get([task.task_id], owner="ann", wait_s=2_000)
    await buyer.close()
    assert found.state == "succeeded"


async def test_a_job_that_is_another_task_settles_no_lost_order(tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS="runcomfy=drop_after_accept")
    task_id = await lost(buyer)
    other = await buyer.generate(wish(provider="runcomfy"))
    job_id = (await buyer.runner.store.get(other.task_id)).job_id

    with pytest.raises(RequestError, match=other.task_id):
        await buyer.settle(task_id, bought=True, job_id=job_id)

    (task,) = await buyer.get([task_id])
    await buyer.close()
    assert task.state == "uncertain"


async def test_over_the_network_no_job_of_the_vendors_settles_an_order(tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS="runcomfy=drop_after_accept")
    ada = await buyer.generate(wish(provider="runcomfy"), owner="ada")
    bob = await buyer.generate(wish(provider="runcomfy"), owner="bob")
    of_bob = (await buyer.runner.store.get(bob.task_id)).job_id

    for job_id in (of_bob, "a-job-nobody-here-knows"):
        with pytest.raises(RequestError, match="cannot be taken") as refused:
            await buyer.settle(ada.task_id, bought=True, job_id=job_id, owner="ada")
        assert bob.task_id not in str(refused.value)

    assert (await buyer.get([ada.task_id], owner="ada"))[0].state == "uncertain"
    assert (await buyer.settle(ada.task_id, bought=False, owner="ada")).state == "failed"
    await buyer.close()


async def test_only_what_is_uncertain_is_settled_by_hand(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    task = await buyer.generate(wish())

    with pytest.raises(RequestError, match="only an uncertain one"):
        await buyer.settle(task.task_id, bought=False)

    await buyer.close()
