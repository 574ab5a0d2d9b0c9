"""The facts: whole, sourced, dated and enforced, and a new Kling generation is data alone."""

from __future__ import annotations

import re
import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
from support.fact_copies import NEW_MODEL, NEW_OFFER, NEW_PRICE, NEW_SCHEMA, copied
from support.orders import GIVEN, allowed_ratios, allowed_seconds, ordinary, outside

from mcp_server import catalog, places
from mcp_server.catalog import REGISTRY
from mcp_server.catalog.prices import sold_at
from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Misfit, VideoRequest
from mcp_server.errors import ProviderFault, RequestError
from mcp_server.ordering import pricing, validation, vendor_schema
from mcp_server.providers import wire
from mcp_server.providers.reading import JobWord

FACTS = catalog.load()
SOLD = [offer for offer in FACTS.offers if not offer.not_sold_because]
LISTED = [offer for offer in FACTS.offers if offer.not_sold_because]
DAY = date.today()


def name(offer: Offer) -> str:
    return offer.id


# What is shipped ---------------------------------------------------------------------------------------------------


def test_every_registered_provider_is_there_in_the_order_that_breaks_ties() -> None:
    assert tuple(FACTS.providers) == REGISTRY


def test_every_model_has_names_and_no_two_share_one() -> None:
    names: list[str] = []
    for model in FACTS.models.values():
        assert model.name and model.family and model.summary and model.source and model.checked <= DAY
        names += {model.id.lower(), *(alias.lower() for alias in model.aliases)}

    assert len(names) == len(set(names))


def test_every_model_is_listed_by_somebody() -> None:
    assert {offer.model for offer in FACTS.offers} == set(FACTS.models)


@pytest.mark.parametrize("provider", REGISTRY)
def test_a_provider_says_how_it_is_reached_and_in_which_words_it_answers(provider: str) -> None:
    facts = FACTS.providers[provider]

    assert facts.base_urls["api"].startswith("https://")
    assert all(url.startswith("https://") and not url.endswith("/") for url in facts.base_urls.values())
    assert facts.key_variable.isupper() and facts.base_url_variable.isupper()
    assert set(facts.statuses.values()) <= set(get_args(JobWord)) - {"unknown"}
    assert {"succeeded", "failed"} <= set(facts.statuses.values())
    assert {*facts.faults.values(), *facts.http_faults.values()} <= set(get_args(ProviderFault))
    assert all(re.fullmatch(r"\d{3}", code) for code in facts.http_faults)
    assert set(facts.media_inputs) <= {"https", "data", "bare", "upload"}
    assert facts.concurrency >= 1
    assert facts.source and facts.checked <= DAY
    assert facts.result_life_days is not None or facts.result_life_note or facts.unknown


@pytest.mark.parametrize("provider", REGISTRY)
def test_a_disagreement_names_both_sources_and_what_goes_out(provider: str) -> None:
    for entry in FACTS.providers[provider].disagreements:
        assert all(
            (entry.about, entry.page_says, entry.page_source, entry.vendor_says, entry.vendor_source, entry.we_send)
        )


@pytest.mark.parametrize("offer", FACTS.offers, ids=name)
def test_an_offer_has_a_model_a_source_a_day_a_schema_and_a_price_or_none_published(offer: Offer) -> None:
    assert offer.model in FACTS.models
    assert offer.source and offer.checked <= DAY
    assert offer.vendor_model or offer.not_sold_because or offer.requires_options
    assert offer.not_sold_because or (places.schemas() / offer.provider / f"{offer.schema}.json").is_file()
    rows = [price for price in FACTS.prices if price.effective_from <= DAY and sold_at(offer, price)]
    assert rows, "a price in force, or a row that says `unpublished`"


@pytest.mark.parametrize("offer", SOLD, ids=name)
def test_an_offers_own_defaults_are_among_what_it_sells(offer: Offer) -> None:
    assert offer.duration_default is None or offer.duration_default in offer.durations
    assert offer.aspect_ratio_default is None or offer.aspect_ratio_default in offer.aspect_ratios
    assert list(offer.durations) == sorted(set(offer.durations))
    assert all(seconds > 0 for seconds in offer.durations)
    if "references" in offer.takes and offer.references_max is not None:
        assert offer.references_max >= (offer.references_max_with_video or 0)


def test_every_price_has_its_day_its_source_and_something_to_price() -> None:
    for price in FACTS.prices:
        where = (price.provider, price.models, price.tiers, price.modes)
        assert set(price.models) <= set(FACTS.models), where
        assert price.source and price.effective_from <= DAY and price.checked <= DAY, where
        assert (price.unit == "unpublished") is (price.silent is None and price.audio is None), where
        assert price.unit not in ("unpublished", "unstated") or price.note, where
        assert all(rate is None or rate > 0 for rate in (price.silent, price.audio)), where
        assert any(sold_at(offer, price) for offer in FACTS.offers), (*where, "prices nothing")


@pytest.mark.parametrize("offer", LISTED, ids=name)
def test_what_is_only_listed_is_refused_with_its_reason(offer: Offer) -> None:
    found = validation.check(VideoRequest(prompt="x"), offer)

    assert isinstance(found, Misfit)
    assert offer.not_sold_because in found.problems[0]


# Its limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offer", SOLD, ids=name)
def test_an_ordinary_order_fits_and_is_priced_or_its_price_is_said_to_be_unknown(offer: Offer) -> None:
    checked = validation.check(ordinary(offer), offer)

    assert isinstance(checked, CheckedRequest), checked
    quote = pricing.quote(checked, FACTS.prices, day=DAY)
    assert quote.arithmetic
    assert (
        (quote.amount is not None)
        or quote.arithmetic.startswith("unknown: ")
        or "at most" in quote.arithmetic
        or quote.rate
    )


@pytest.mark.parametrize("offer", SOLD, ids=name)
def test_one_step_outside_any_limit_is_refused_and_the_limit_is_named(offer: Offer) -> None:
    steps = list(outside(offer))
    assert len(steps) > 5

    for step in steps:
        found = validation.check(step.request, offer)
        assert isinstance(found, Misfit), step
        assert any(all(part in problem for part in step.says) for problem in found.problems), (step, found.problems)


@pytest.mark.parametrize("offer", SOLD, ids=name)
def test_whatever_fits_an_offer_is_also_what_the_vendors_schema_takes(offer: Offer) -> None:
    adapter = wire(FACTS.providers[offer.provider])
    for request in inside(offer):
        checked = validation.check(request, offer)
        assert isinstance(checked, CheckedRequest), (request, checked)
        call = adapter.submit(checked, key="task_test")
        vendor_schema.check_body(offer.provider, call.schema, vendor_schema.merge_options(call.json, request.options))


def inside(offer: Offer) -> list[VideoRequest]:
    """Every length, shape, sound and input this offer sells, one at a time."""
    found = [ordinary(offer)]
    found += [ordinary(offer, duration=seconds) for seconds in allowed_seconds(offer, ordinary(offer))]
    found += [ordinary(offer, aspect_ratio=ratio) for ratio in allowed_ratios(offer, ordinary(offer))]
    found += [ordinary(offer, resolution=resolution) for resolution in offer.resolutions]
    if offer.audio in ("choice", "by-model-id"):
        found += [ordinary(offer, audio=wanted) for wanted in (True, False)]
    for extra in offer.takes - set(offer.requires) - {other for group in offer.one_of for other in group}:
        found.append(ordinary(offer, **{extra: GIVEN[extra]}))
    for group in offer.one_of:
        found += [ordinary(offer, **{chosen: GIVEN[chosen]}) for chosen in group]
    if offer.references_max and "references" in offer.takes:
        pictures = tuple(f"https://example.com/{n}.png" for n in range(offer.references_max))
        beside = offer.references_max_with_video
        found.append(
            ordinary(offer, references=pictures if "video" not in offer.requires or not beside else pictures[:beside])
        )
    if offer.prompt_max is not None:
        # What goes in is called by name at the end of the prompt: that counts, too.
        least = validation.check(found[0], offer)
        assert isinstance(least, CheckedRequest)
        added = len(least.prompt) - len(found[0].prompt)
        found.append(ordinary(offer, prompt="x" * (offer.prompt_max - added)))
    return found


# What comes next ---------------------------------------------------------------------------------------------------


def test_a_new_generation_is_data_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = copied(tmp_path)
    (tmp_path / "runcomfy").mkdir()
    (tmp_path / "runcomfy" / "5.0-text-to-video.json").write_text(NEW_SCHEMA, encoding="utf-8")
    monkeypatch.setattr(places, "schemas", lambda: tmp_path)
    for file, rows in (
        ("catalog/models.toml", NEW_MODEL),
        ("providers/runcomfy/offers.toml", NEW_OFFER),
        ("providers/runcomfy/prices.toml", NEW_PRICE),
    ):
        path = root / file
        path.write_text(path.read_text(encoding="utf-8") + rows, encoding="utf-8")

    facts = catalog.load(root)
    offer = facts.offer("runcomfy/kling-5.0/pro/text-to-video")
    request = VideoRequest(prompt="a city", duration=30, aspect_ratio="21:9", audio=True)
    checked = validation.check(request, offer)

    assert isinstance(checked, CheckedRequest)
    assert checked.resolution == "8k"
    for day, amount in ((date(2027, 2, 1), "7.5"), (date(2027, 6, 1), "6")):
        quote = pricing.quote(checked, facts.prices, day=day)
        assert (quote.amount, quote.usd, quote.currency) == (Decimal(amount), Decimal(amount), "USD")
    assert pricing.quote(checked, facts.prices, day=date(2027, 1, 31)).amount is None, "not in force yet"
    call = wire(facts.providers["runcomfy"]).submit(checked, key="task_test")
    assert call.path == "/v1/models/kling/kling-5.0/pro/text-to-video"
    assert call.json == {"prompt": "a city", "aspect_ratio": "21:9", "duration": 30, "sound": True}
    vendor_schema.check_body("runcomfy", call.schema, call.json)
    with pytest.raises(RequestError, match="at most 30"):
        vendor_schema.check_body("runcomfy", call.schema, {**call.json, "duration": 31})
    too_long = validation.check(VideoRequest(prompt="a city", duration=31), offer)
    assert isinstance(too_long, Misfit)
    assert too_long.problems == ("duration 31 is not sold by runcomfy kling-5.0 pro text-to-video: 4 to 30 seconds",)


def test_a_whole_new_provider_is_a_folder(tmp_path: Path) -> None:
    root = copied(tmp_path)
    shutil.copytree(root / "providers" / "runcomfy", root / "providers" / "another")

    facts = catalog.load(root)

    assert tuple(facts.providers) == (*REGISTRY, "another")
    assert facts.offer("another/kling-3.0/pro/text-to-video").provider == "another"


def test_the_catalog_is_frozen() -> None:
    thing: Any = FACTS.offers[0]

    with pytest.raises(AttributeError):
        thing.model = "another"
