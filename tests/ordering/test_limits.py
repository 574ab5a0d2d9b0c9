"""What the user allowed is what is bought: prices that were agreed to, keys, native fields, folders."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.services import service, settings

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError, BudgetError, KeyConflictError, RequestError
from mcp_server.ordering.limits import ConfirmationNeededError, StoppedError
from mcp_server.providers import local_media
from mcp_server.providers.accounts import checked_base


@pytest.fixture(autouse=True)
def no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)


def wish(**more) -> VideoArguments:
    return VideoArguments(**{"prompt": "a paper boat", "model": "kling-3.0", "tier": "pro", **more})


PIXEL = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
SIGNED_IN = {"RUNCOMFY_TOKEN": "t", "RUNCOMFY_BASE_URL": "http://127.0.0.1:9"}


async def test_a_key_used_in_a_rehearsal_is_refused_once_it_would_buy(tmp_path: Path) -> None:
    rehearsal = service(tmp_path)
    free = await rehearsal.generate(wish(idempotency_key="k1"))
    await rehearsal.close()
    buyer = service(tmp_path, **SIGNED_IN)

    with pytest.raises(KeyConflictError, match=f"rehearsal.*{free.task_id}"):
        await buyer.generate(wish(idempotency_key="k1"))

    await buyer.close()


async def test_a_key_that_bought_stands_for_the_clip_also_where_no_vendor_key_is_set(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)
    bought = await buyer.generate(wish(idempotency_key="k1"), wait_s=0)
    await buyer.close()
    keyless = service(tmp_path)

    known = await keyless.generate(wish(idempotency_key="k1"))

    await keyless.close()
    assert (known.task_id, known.simulated) == (bought.task_id, False)


async def test_two_owners_may_use_the_same_key(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    one = await buyer.generate(wish(idempotency_key="k1"), owner="ann")
    two = await buyer.generate(wish(idempotency_key="k1", duration=10), owner="bob")

    await buyer.close()
    assert one.task_id != two.task_id


async def test_what_was_shown_is_what_is_ordered(tmp_path: Path) -> None:
    """The price that was agreed to is the one the order carries, whatever a newly made plan would come to by then."""
    buyer = service(tmp_path, **SIGNED_IN)
    shown = await buyer.prepare(wish())
    price = buyer.priced(shown).chosen.cost

    buyer.planner.plan = None  # type: ignore[assignment]  # planning again would fail now
    bought = await buyer.buy(shown, confirmed=True, wait_s=0)

    assert bought.task_id == shown.task_id
    assert bought.estimated_cost == price
    await buyer.close()


async def test_a_yes_to_unknown_prices_is_none_to_a_known_one(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN, KLING_CONFIRM_ABOVE_USD="0.50")

    with pytest.raises(ConfirmationNeededError):
        await buyer.generate(wish(accept_unknown_price=True))

    await buyer.close()


async def test_a_limit_that_only_words_name_does_not_keep_the_user_from_being_asked(tmp_path: Path) -> None:
    """The sum may stand in the scene: whoever wants to be asked above a price is asked, or says it as an argument."""
    buyer = service(tmp_path, **SIGNED_IN, KLING_CONFIRM_ABOVE_USD="0.50")
    words = "kling 3.0 pro, 5 seconds, silent, for at most 90 dollars: a boat"
    plan = (await buyer.prepare(VideoArguments(request=words), buying=False)).plan
    assert plan.max_cost_usd == 90

    with pytest.raises(ConfirmationNeededError):
        await buyer.generate(VideoArguments(request=words))

    assert (await buyer.tasks()).tasks == []
    await buyer.close()


async def test_buying_again_asks_again_about_an_unknown_price(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    first = await buyer.generate(wish(accept_unknown_price=True, max_cost_usd=5))

    again = await buyer.whole(VideoArguments(again=first.task_id))

    await buyer.close()
    assert again.accept_unknown_price is None
    assert again.max_cost_usd == 5, "a limit still binds"


async def test_a_clip_of_one_vendor_is_not_named_to_another(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    first = await buyer.generate(wish(provider="sandbox"))
    (task,) = await buyer.get([first.task_id], wait_s=300)
    assert task.state == "succeeded"
    other = "runapi" if task.plays != "runapi" else "runcomfy"

    with pytest.raises(RequestError, match=f"made by {task.plays}.*{other}"):
        await buyer.estimate(VideoArguments(prompt="on", mode="extend", source_task=task.task_id, provider=other))

    await buyer.close()


@pytest.mark.parametrize(
    ("provider", "options", "says"),
    [
        ("runapi", {"first_frame_image_url": "https://example.com/a.png"}, "image"),
        ("runapi", {"last_frame_image_url": "https://example.com/a.png"}, "end_image"),
    ],
)
async def test_what_an_argument_says_cannot_come_in_past_its_checks(
    provider: str, options: dict, says: str, tmp_path: Path
) -> None:
    buyer = service(tmp_path)

    with pytest.raises(RequestError, match=f"say it with the argument `{says}`"):
        await buyer.estimate(wish(provider=provider, options=options))

    await buyer.close()


async def test_a_native_field_that_may_move_the_price_makes_it_unknown(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)
    shots = {"multi_prompt": [{"prompt": "a boat", "duration": 15}]}

    estimate = await buyer.estimate(wish(provider="runcomfy", options=shots))
    with pytest.raises(BudgetError, match="not known"):
        await buyer.generate(wish(provider="runcomfy", options=shots, max_cost_usd=1))

    await buyer.close()
    assert estimate.chosen.cost.usd is None
    assert estimate.chosen.cost.usd_at_most is None
    assert "options.multi_prompt" in estimate.chosen.cost.arithmetic


async def test_off_peak_in_words_has_no_deadline_either(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    ordered = await buyer.generate(VideoArguments(request="kling 2.6 pro with octopusx, off peak: a paper boat"))

    task = await buyer.runner.store.get(ordered.task_id)
    await buyer.close()
    assert task.call["json"]["metadata"]["offpeak"] is True
    assert task.request["off_peak"] is True


def test_an_empty_folder_is_the_default_one(tmp_path: Path) -> None:
    read = settings(tmp_path)

    assert read.folder("") == read.folder(" ") == read.folder(None) == tmp_path / "videos"


@pytest.mark.parametrize("url", ["https://x.test:port", "https://x.test:99999", "https://[::1", "https://x.test/#a"])
def test_a_base_url_that_cannot_be_read_is_refused_in_words(url: str) -> None:
    with pytest.raises(ArgumentError, match="RUNCOMFY_BASE_URL"):
        checked_base(url, "RUNCOMFY_BASE_URL")


@pytest.mark.parametrize("money", ["five", "-1", "NaN", "Infinity", "$5", "1,50"])
def test_a_budget_that_is_no_amount_refuses_rather_than_counts_as_none(money: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="KLING_DAILY_BUDGET_USD"):
        _ = settings(tmp_path, KLING_DAILY_BUDGET_USD=money).daily_budget_usd


def test_a_credit_worth_nothing_is_no_price(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="KLING3API_USD_PER_CREDIT"):
        _ = settings(tmp_path, KLING3API_USD_PER_CREDIT="0").usd_per_credit
    assert settings(tmp_path, KLING3API_USD_PER_CREDIT="0.01").usd_per_credit == Decimal("0.01")


async def test_a_wish_to_stop_that_comes_while_files_are_looked_at_orders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyer = service(tmp_path)
    stop = asyncio.Event()

    async def pressed_meanwhile(*order: Any) -> Any:
        found = await looked_at(*order)
        stop.set()
        return found

    looked_at = local_media.with_placeholders
    monkeypatch.setattr(local_media, "with_placeholders", pressed_meanwhile)

    with pytest.raises(StoppedError, match="Nothing was charged"):
        await buyer.generate(wish(image=PIXEL, mode="image-to-video"), still=lambda: not stop.is_set())

    assert (await buyer.tasks()).tasks == []
    await buyer.close()
