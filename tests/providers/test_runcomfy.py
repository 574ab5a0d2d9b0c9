"""RunComfy: what cases cannot say one by one."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.orders import ordinary

from mcp_server import catalog, places
from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest
from mcp_server.ordering import validation
from mcp_server.providers import wire

FACTS = catalog.load().providers["runcomfy"]
OFFERS = [offer for offer in catalog.load().offers if offer.provider == "runcomfy" and not offer.not_sold_because]
SCHEMAS = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (places.schemas() / "runcomfy").glob("*.json")
}
ORDERS = {stem: schema for stem, schema in SCHEMAS.items() if "x-endpoints" in schema}


def test_each_of_the_seventeen_endpoints_is_sold_once_under_its_own_schema() -> None:
    endpoints = Counter(endpoint for schema in ORDERS.values() for endpoint in schema["x-endpoints"])

    assert len(endpoints) == 17
    assert set(endpoints.values()) == {1}
    assert {offer.vendor_model: offer.schema for offer in OFFERS} == {
        endpoint: stem for stem, schema in ORDERS.items() for endpoint in schema["x-endpoints"]
    }


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.vendor_model)
def test_an_offers_limits_are_its_endpoints(offer: Offer) -> None:
    """The same limits stand in the facts and in the schema; this holds them together."""
    fields = SCHEMAS[offer.schema]["properties"]
    length: dict[str, Any] = fields.get("duration", {"enum": []})
    lengths = length.get("enum") or range(length["minimum"], length["maximum"] + 1) if "duration" in fields else ()

    assert offer.durations == tuple(lengths)
    assert offer.duration_default == length.get("default")
    assert offer.aspect_ratios == tuple(fields.get("aspect_ratio", {}).get("enum", ()))
    assert ("end_image" in offer.takes) is bool({"end_image", "end_image_url"} & set(fields))
    assert ("negative_prompt" in offer.takes) is ("negative_prompt" in fields)
    assert ("cfg_scale" in offer.takes) is ("cfg_scale" in fields)
    assert ("video" in offer.takes) is ("video" in fields)
    assert offer.references_max == fields.get("images", {}).get("maxItems")
    assert set(offer.wire.values()) & set(fields) == set(fields) & {
        "sound", "generate_audio", "start_image_url", "end_image_url", "image", "end_image", "images", "video",
    }  # fmt: skip
    if offer.audio == "choice":
        assert fields[offer.wire["audio"]]["type"] == "boolean"


@settings(max_examples=200)
@given(data=st.data(), offer=st.sampled_from(OFFERS))
def test_length_and_sound_are_said_aloud_in_every_order_that_has_them(data: st.DataObject, offer: Offer) -> None:
    wanted: dict[str, Any] = (
        {"audio": data.draw(st.sampled_from([None, True, False]))} if offer.audio == "choice" else {}
    )
    if offer.durations:
        wanted["duration"] = data.draw(st.none() | st.sampled_from(offer.durations))
    checked = validation.check(ordinary(offer, **wanted), offer)
    assert isinstance(checked, CheckedRequest)

    body = wire(FACTS).submit(checked, key="task_test").json

    fields = SCHEMAS[offer.schema]["properties"]
    assert ("duration" in body) is ("duration" in fields)
    for switch in {"sound", "generate_audio"} & set(fields):
        assert body[switch] is bool(wanted.get("audio"))
    if "duration" in fields:
        assert body["duration"] == (wanted["duration"] or 5)


def test_the_key_goes_to_the_vendors_own_hosts_only() -> None:
    assert {url.split("//")[1].split("/")[0] for url in FACTS.base_urls.values()} == {
        "model-api.runcomfy.net",
        "api.runcomfy.net",
    }
