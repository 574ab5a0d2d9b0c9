"""What a vendor tells of itself beside our facts: each difference named, with the day of the fact that is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from mcp_server import catalog, places
from mcp_server.domain.catalog import Catalog
from mcp_server.ordering.fact_check import Difference, differences
from mcp_server.providers import openapi
from mcp_server.providers.base import ModelToday, Told

FACTS = catalog.load()
DAY = date(2026, 11, 29)
FAL, RUNAPI = FACTS.providers["fal"], FACTS.providers["runapi"]
MODEL = "fal-ai/kling-video/v3/pro/text-to-video"


def schema() -> dict[str, Any]:
    return json.loads((places.schemas() / "fal" / "v3-text-to-video.json").read_text(encoding="utf-8"))


def seen(told: Told, *, provider: Any = FAL, facts: Catalog = FACTS, day: date = DAY) -> list[Difference]:
    return list(differences(provider, facts, [told], day))


def takes(change: Callable[[dict[str, Any]], object]) -> Told:
    today = schema()
    change(today["properties"])
    return Told(models=(ModelToday(vendor_model=MODEL, takes=today),))


def test_what_is_as_it_is_written_down_is_no_difference() -> None:
    assert seen(takes(lambda fields: None)) == []
    assert seen(Told(models=(ModelToday(vendor_model=MODEL, usd_per_second=Decimal("0.112")),))) == []


@pytest.mark.parametrize(
    ("change", "what", "news"),
    [
        (lambda fields: fields.pop("cfg_scale"), "`cfg_scale` is not taken today", False),
        (lambda fields: fields.update(seed={"type": "integer"}), "`seed` is taken today", True),
        (lambda fields: fields["duration"]["enum"].remove("15"), "`duration` does not take 15 today", False),
        (lambda fields: fields["duration"]["enum"].append("20"), "`duration` takes 20, too, today", True),
        (lambda fields: fields["prompt"].update(maxLength=900), "`prompt` has maxLength 900 today, not 2500", False),
        (lambda fields: fields["duration"].update(default="10"), "`duration` left out is '10' today, not '5'", False),
    ],
)
def test_a_limit_that_moved_is_named_with_the_schema_that_has_it(
    change: Callable[[dict[str, Any]], object], what: str, news: bool
) -> None:
    (found,) = seen(takes(change))

    assert found == Difference(about=MODEL, what=f"{what}; fal/v3-text-to-video.json of 2026-11-28", news=news)


def test_a_field_that_became_required_is_named() -> None:
    today = {**schema(), "required": ["negative_prompt"]}
    (found,) = seen(Told(models=(ModelToday(vendor_model=MODEL, takes=today),)))

    assert found.what.startswith("`negative_prompt` is required today") and not found.news


def test_a_field_inside_another_is_named_by_its_path() -> None:
    told = Told(models=(ModelToday(vendor_model="kling/kling-4.0", takes={"properties": {"settings": inner()}}),))
    said = [one.what for one in seen(told, provider=FACTS.providers["comfy"])]

    assert any(what.startswith("`settings.duration` has maximum 60 today, not 30") for what in said)


def inner() -> dict[str, Any]:
    return {"type": "object", "properties": {"duration": {"type": "integer", "minimum": 3, "maximum": 60}}}


def test_a_rate_that_is_not_in_the_table_is_told_with_the_day_of_the_one_that_is() -> None:
    (found,) = seen(Told(models=(ModelToday(vendor_model=MODEL, usd_per_second=Decimal("0.19")),)))

    assert found.what == (
        "$0.19 per second today, says the vendor; the table has $0.112 or $0.168 or $0.224 or $0.336, "
        "in force since 2026-11-15, read on 2026-11-28"
    )
    assert not found.news


def test_a_rate_that_was_replaced_counts_no_more_and_one_to_come_not_yet() -> None:
    old = next(price for price in FACTS.prices if price.provider == "fal" and price.silent_at_most is not None)
    new = replace(
        old,
        silent=Decimal("0.2"),
        audio=Decimal("0.3"),
        silent_at_most=None,
        audio_at_most=None,
        effective_from=date(2027, 1, 1),
    )
    later = replace(FACTS, prices=(*FACTS.prices, new))
    told = Told(models=(ModelToday(vendor_model=MODEL, usd_per_second=Decimal("0.112")),))

    assert seen(told, facts=later) == []
    (found,) = seen(told, facts=later, day=date(2027, 1, 2))
    assert "the table has $0.20 or $0.30, in force since 2027-01-01" in found.what


def test_a_rate_where_the_table_has_none_is_news() -> None:
    unpriced = "fal-ai/kling-video/v2.6/pro/text-to-video"
    (found,) = seen(Told(models=(ModelToday(vendor_model=unpriced, usd_per_second=Decimal("0.07")),)))

    assert found == Difference(
        about=unpriced, what="$0.07 per second today, says the vendor; the table has none", news=True
    )


def test_a_model_that_is_gone_is_told_with_its_offers_and_one_that_came_is_news() -> None:
    gone = seen(Told(models=(ModelToday(vendor_model=MODEL, there=False),)))
    models = {offer.vendor_model for offer in FACTS.offers if offer.provider == "runapi" and not offer.not_sold_because}
    listed = [*(models - {"kling-v2.1-pro"}), "kling-4.0"]
    whole = Told(models=tuple(ModelToday(vendor_model=model) for model in listed), complete=True)

    assert [one.news for one in gone] == [False]
    assert gone[0].what.startswith("fal does not have it today; fal/kling-3.0/pro/text-to-video written down on 2026-")
    assert {(one.about, one.news) for one in seen(whole, provider=RUNAPI)} == {
        ("kling-v2.1-pro", False),
        ("kling-4.0", True),
    }
    assert {one.about for one in seen(replace(whole, complete=False), provider=RUNAPI)} == {"kling-4.0"}


# --- the documents --------------------------------------------------------------------------------------------------


def document(schemas: dict[str, Any], posted: Any = None) -> dict[str, Any]:
    body = {"post": {"requestBody": {"content": {"application/json": {"schema": posted}}}}}
    return {"paths": {"/x": body} if posted else {}, "components": {"schemas": schemas}}


def test_what_a_model_takes_is_found_in_a_document_however_it_is_called() -> None:
    own = {"type": "object", "properties": {"prompt": {"type": "string"}}}
    for found in (
        document({"Output": {}, "Input": own}),
        document({"KlingInput": own, "KlingOutput": {}}),
        document({"Anything": own}, {"$ref": "#/components/schemas/Anything"}),
    ):
        assert openapi.taken(found) == own


def test_references_and_pieces_are_put_together() -> None:
    schemas = {
        "mode": {"type": "string", "enum": ["std", "pro"]},
        "Input": {"properties": {"mode": {"allOf": [{"$ref": "#/components/schemas/mode"}], "default": "pro"}}},
    }

    assert openapi.taken(document(schemas)) == {
        "properties": {"mode": {"type": "string", "enum": ["std", "pro"], "default": "pro"}}
    }


@pytest.mark.parametrize("broken", [{}, {"components": []}, {"paths": {"/": None}}, document({"Input": "x"})])
def test_a_document_without_an_input_says_nothing(broken: dict[str, Any]) -> None:
    assert openapi.taken(broken) is None


def test_a_document_that_refers_to_itself_ends() -> None:
    circle = document({"Input": {"properties": {"again": {"$ref": "#/components/schemas/Input"}}}})

    assert openapi.taken(circle) is not None
