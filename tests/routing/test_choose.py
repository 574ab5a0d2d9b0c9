"""The shortlist, the choice and why; and what a wish nobody can meet is told."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from support.labelled import read

from mcp_server import catalog
from mcp_server.domain.catalog import Offer
from mcp_server.domain.quote import Quote, Route
from mcp_server.domain.request import Misfit, VideoRequest
from mcp_server.errors import NoOfferError
from mcp_server.ordering import pricing, validation
from mcp_server.routing import choose
from mcp_server.routing.request import request_from

KNOWN = catalog.load()
DAY = date(2026, 11, 21)


SELLERS = {offer.provider for offer in KNOWN.offers if not KNOWN.models[offer.model].by_name}
"""Who sells more than what is bought by its name alone."""


def request(words: str = "", **explicit: Any) -> VideoRequest:
    return request_from(explicit, read(words) if words else None, catalog=KNOWN)[0]


def groups(words: str = "", **explicit: Any) -> list[tuple[Offer, ...]]:
    return [group for group in choose.candidates(request(words, **explicit), KNOWN) if group]


def route(words: str = "", **rest: Any) -> Route:
    return choose.choose(*shortlist(words, **rest), KNOWN)


def ranking(words: str, **rest: Any) -> list[Quote]:
    """Every quote in the order of choice: what is chosen, then what would be without it, and so on."""
    wanted, quotes, misfits = shortlist(words, **rest)
    found: list[Quote] = []
    while left := [quote for quote in quotes if quote not in found]:
        found.append(choose.choose(wanted, left, misfits, KNOWN).quote)
    return found


def shortlist(
    words: str = "", *, usable: Iterable[str] = KNOWN.providers, usd_per_credit: str | None = None, **explicit: Any
) -> tuple[VideoRequest, list[Quote], list[Misfit]]:
    """What the service does between the two halves of routing."""
    wanted = request(words, **explicit)
    credit = None if usd_per_credit is None else Decimal(usd_per_credit)
    quotes: list[Quote] = []
    misfits: list[Misfit] = []
    for group in choose.candidates(wanted, KNOWN):
        for offer in group:
            if offer.provider not in usable:
                continue
            fit = validation.check(wanted, offer)
            if isinstance(fit, Misfit):
                misfits.append(fit)
            else:
                quotes.append(pricing.quote(fit, KNOWN.prices, day=DAY, usd_per_credit=credit))
        if quotes:
            break
    return wanted, quotes, misfits


def test_by_kling_people_mean_the_newest_main_line_first() -> None:
    models = [{offer.model for offer in group} for group in groups("kling: fog")]
    assert models[:2] == [{"kling-3.0"}, {"kling-o3"}]
    assert {"kling-2.6", "kling-2.5-turbo"} <= models[-1]


ENDED = {model.id for model in KNOWN.models.values() if model.ended}


@pytest.mark.parametrize("words", ["kling: fog", "cheapest kling: fog", "best kling: fog", "kling image to video: fog"])
def test_a_model_that_kling_ended_is_never_chosen_unasked(words: str) -> None:
    assert ENDED == {"kling-2.1", "kling-2.1-master"}
    assert not ENDED & {offer.model for group in groups(words) for offer in group}


@pytest.mark.parametrize("words", ["kling 2.1 master: fog", "kling-v2.1-master-text-to-video: fog"])
def test_a_model_that_kling_ended_is_sold_by_name_with_the_day_and_the_source(words: str) -> None:
    found = route(words)

    assert found.quote.checked.offer.model == "kling-2.1-master"
    (warning,) = found.warnings
    assert "Kling ended Kling 2.1 Master on 2026-09-15" in warning and "may refuse" in warning
    assert KNOWN.models["kling-2.1-master"].ended_source in warning


@pytest.mark.parametrize("words", ["kling: fog", "cheapest kling: fog", "best kling: fog", "kling 21:9: fog"])
def test_kling_4_is_bought_where_it_is_named_and_never_unasked(words: str) -> None:
    assert not {"kling-4.0", "kling-4.0-flash"} & {offer.model for group in groups(words) for offer in group}
    assert route("kling 4.0, 30s, 21:9: fog").quote.checked.offer.id == "fal/kling-4.0/standard/text-to-video"


def test_a_vendor_that_is_named_and_sells_nothing_else_is_asked_for_it() -> None:
    assert route("kling via comfy: fog").quote.checked.offer.provider == "comfy"


def test_a_model_that_is_sold_comes_without_a_farewell() -> None:
    assert route("kling: fog").warnings == ()


def test_kling_ai_is_a_name_of_kling_and_not_of_the_vendor_called_so() -> None:
    assert request("kling ai, 5s: fog").provider is None
    assert request("kling via official kling api: fog").provider == "klingai"


def test_a_named_model_is_the_only_one_asked() -> None:
    assert [{offer.model for offer in group} for group in groups("kling 2.6: fog")] == [{"kling-2.6"}]


def test_cheapest_asks_every_model_at_once() -> None:
    (only,) = groups("cheapest kling, 5s: fog")
    assert {"kling-3.0", "kling-2.5-turbo"} <= {offer.model for offer in only}


def test_cheapest_may_buy_an_older_model_which_plain_words_never_do() -> None:
    plain, cheap = route("kling 5s: fog").quote, route("cheapest kling 5s: fog").quote
    assert plain.checked.offer.model == "kling-3.0"
    assert cheap.usd is not None
    assert plain.usd is not None
    assert cheap.usd <= plain.usd


@pytest.mark.parametrize(
    ("words", "field", "values"),
    [
        ("kling 4k: fog", "tier", {"4k"}),
        ("kling, not 4k: fog", "tier", {"standard", "pro"}),
        ("kling via runapi: fog", "provider", {"runapi"}),
        ("kling, not runapi: fog", "provider", SELLERS - {"runapi"}),
        ("kling-v3-pro-audio: fog", "vendor_model_audio", {"kling-v3-pro-audio"}),
        ("kling/kling-3.0/4k/text-to-video: fog", "vendor_model", {"kling/kling-3.0/4k/text-to-video"}),
        ("kling reference to video: fog", "mode", {"reference-to-video"}),
    ],
)
def test_the_shortlist_holds_what_was_wished(words: str, field: str, values: set[str]) -> None:
    assert {getattr(offer, field) for group in groups(words) for offer in group} == values


def test_no_offer_is_on_the_shortlist_twice() -> None:
    offers = [offer.id for group in groups("kling: fog") for offer in group]
    assert len(offers) == len(set(offers))


def test_the_lowest_known_price_wins_and_the_next_is_named() -> None:
    found = route("kling pro 5s: fog")
    quotes = ranking("kling pro 5s: fog")
    assert found.quote.usd == min(quote.usd for quote in quotes if quote.usd is not None)
    assert f"the lowest known price of {len(quotes)} kling-3.0 offers" in found.because
    assert found.quote.arithmetic in found.because
    assert "next would be" in found.because


def test_an_unnamed_tier_is_the_cheapest_and_said_so() -> None:
    found = route("kling 5s: fog")
    assert found.quote.checked.offer.tier == "standard"
    assert "no tier was named" in found.because


def test_best_takes_the_highest_tier_whatever_it_costs() -> None:
    found = route("kling best quality 5s: fog")
    assert found.quote.checked.offer.tier == "4k"
    assert "highest tier" in found.because


def test_a_named_provider_is_taken_even_if_it_costs_more() -> None:
    found = route("kling pro 5s via runapi: fog")
    assert found.quote.checked.offer.provider == "runapi"
    assert "at runapi, as asked" in found.because


def test_unknown_prices_come_last_and_credits_without_a_value_are_unknown() -> None:
    known = [quote.usd is not None for quote in ranking("kling pro 5s: fog")]
    assert known == sorted(known, reverse=True)
    assert not known[-1]


def test_a_credit_with_a_value_takes_part() -> None:
    assert route("kling pro 5s: fog", usd_per_credit="0.0001").quote.checked.offer.provider == "kling3api"


def test_equal_prices_go_in_the_order_of_the_providers() -> None:
    usable = {"uniall", "octopusx", "kling3api"}
    found = route("kling pro 5s with sound: fog", usable=usable)
    assert found.quote.usd is None
    asked = [quote.checked.offer.provider for quote in ranking("kling pro 5s with sound: fog", usable=usable)]
    assert asked == sorted(asked, key=list(KNOWN.providers).index)
    assert "none with a known price" in found.because


def test_the_same_request_always_takes_the_same_route() -> None:
    assert {route("kling 10s: fog").because for _ in range(5)} == {route("kling 10s: fog").because}


def test_what_was_left_out_has_its_reasons() -> None:
    found = route(
        "kling 10s, 9:16, with sound: fog", image="https://example.com/a.png", end_image="https://example.com/z.png"
    )
    dropped = dict(found.dropped)
    assert "runcomfy/kling-3.0/standard/image-to-video" in dropped
    assert "end image" in dropped["runcomfy/kling-3.0/standard/image-to-video"]


@pytest.mark.parametrize(
    ("words", "fails", "nearest"),
    [
        ("kling 4k half a minute: fog", "duration 30", "3 to 15 seconds"),
        ("kling 4k 21:9: fog", "aspect ratio 21:9", "16:9, 9:16, 1:1"),
        ("uniall kling 4k: fog", "the tier is what fails", "uniall/kling-3.0/pro/text-to-video"),
        ("kling 1.6: fog", "the model is what fails", "kling-"),
        ("kling 8k: fog", "resolution 8k", "kling-3.0"),
    ],
)
def test_a_wish_nobody_can_meet_says_which_part_fails_and_what_is_nearest(words: str, fails: str, nearest: str) -> None:
    with pytest.raises(NoOfferError) as refused:
        route(words)
    assert fails in str(refused.value)
    assert nearest in refused.value.next_step
    assert refused.value.details["nearest"] in {offer.id for offer in KNOWN.offers}


def test_the_nearest_is_really_sold() -> None:
    with pytest.raises(NoOfferError) as refused:
        route("uniall kling 4k: fog")
    nearest = KNOWN.offer(str(refused.value.details["nearest"]))
    assert not nearest.not_sold_because


def test_what_only_an_older_model_can_do_is_asked_of_it_last() -> None:
    found = route(prompt="fog", image="https://example.com/a.png", references=["https://example.com/b.png"])
    assert found.quote.checked.offer.model == "kling-o1"
    assert {name.split("/")[1] for name, _ in found.dropped} >= {"kling-3.0", "kling-o3"}


def test_who_lists_a_ratio_goes_before_who_may_take_it() -> None:
    words = "kling 3.0 standard, vertical: a boat"
    found = route(words, usable=("kling3api", "runcomfy"), usd_per_credit="0.0001")
    alone = route(words, usable=("kling3api",), usd_per_credit="0.0001")

    assert found.quote.checked.offer.provider == "runcomfy"
    assert "documents no list of aspect ratios" in dict(found.dropped)["kling3api/kling-3.0/standard/text-to-video"]
    assert alone.quote.checked.offer.provider == "kling3api"
    assert alone.quote.checked.aspect_ratio == "9:16"
