"""The generated part of the trigger manifest: complete, as the adapters really order, and enough for another host."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.orders import ordinary

from mcp_server import catalog, places
from mcp_server.domain.request import CheckedRequest
from mcp_server.ordering.validation import check
from mcp_server.providers import wire
from release import trigger_routes

TRIGGERS = json.loads((places.skill() / "triggers.json").read_text(encoding="utf-8"))
GENERATED = TRIGGERS["generated"]
CATALOG = catalog.load()
SOLD = [offer for offer in CATALOG.offers if not offer.not_sold_because]


def endpoint(offer: Any) -> dict[str, Any]:
    sellers = GENERATED["routes"][offer.model][offer.tier][offer.mode]
    (found,) = [seller for seller in sellers if seller["provider"] == offer.provider]
    return found


def test_drift_is_seen_and_what_was_written_by_hand_stays() -> None:
    text = (places.skill() / "triggers.json").read_text(encoding="utf-8")
    stale = text.replace('"by": ', '"by": "somebody", "since": ').replace("https://runapi.ai", "https://runapi.example")
    assert trigger_routes.with_routes(text, CATALOG) == text
    assert trigger_routes.with_routes(stale, CATALOG) == text


def test_everything_that_is_sold_has_an_endpoint_and_nothing_else_has() -> None:
    named = [
        (model, tier, mode, seller["provider"])
        for model, tiers in GENERATED["routes"].items()
        for tier, modes in tiers.items()
        for mode, sellers in modes.items()
        for seller in sellers
    ]
    assert sorted(named) == sorted((offer.model, offer.tier, offer.mode, offer.provider) for offer in SOLD)


@pytest.mark.parametrize("offer", SOLD, ids=lambda offer: offer.id)
def test_an_endpoint_is_where_the_order_goes_and_what_it_must_say(offer: Any) -> None:
    checked = check(ordinary(offer), offer)
    assert isinstance(checked, CheckedRequest)
    call = wire(CATALOG.providers[offer.provider]).submit(checked, key="k")
    found = endpoint(offer)
    assert (call.method, call.paid) == ("POST", True)
    assert found["url"] == CATALOG.providers[offer.provider].base_urls["api"] + call.path
    sent = call.path + json.dumps(call.json, default=str)
    assert found.get("model", "") == (offer.vendor_model if offer.vendor_model in sent else "")
    assert found.get("model", "") in found["url"] + json.dumps(found.get("fixed", {}))
    assert contains(call.json, found.get("fixed", {}))


def contains(body: Any, part: dict[str, Any]) -> bool:
    return all(
        contains(body[name], value) if isinstance(value, dict) else body[name] == value for name, value in part.items()
    )


@pytest.mark.parametrize(
    ("said", "model", "tier", "vendors"),
    [
        ("kling 4k", "kling-3.0", "4k", ["runapi", "runcomfy", "klingai", "fal", "replicate"]),
        (
            "kling o3 pro",
            "kling-o3",
            "pro",
            ["runapi", "kling3api", "octopusx", "runcomfy", "klingai", "fal", "replicate"],
        ),
        (
            "可灵 专业版",
            "kling-3.0",
            "pro",
            ["runapi", "kling3api", "uniall", "runcomfy", "klingai", "fal", "replicate"],
        ),
    ],
)
def test_another_host_routes_by_this_file_alone(said: str, model: str, tier: str, vendors: list[str]) -> None:
    """Ten lines, and no program of ours."""
    wishes: dict[str, Any] = {"mode": "text-to-video"}
    for group in TRIGGERS["wishes"]:
        for phrase in (phrase for phrases in group["phrases"].values() for phrase in phrases):
            if f" {phrase} " in f" {said} ":
                wishes |= group["sets"]
    named = [name for name in GENERATED["models"] if f" {name} " in f" {said} "]
    wishes["model"] = GENERATED["models"][max(named, key=len)] if named else GENERATED["asked_first"][wishes["mode"]][0]
    sellers = GENERATED["routes"][wishes["model"]][wishes["tier"]][wishes["mode"]]
    assert (wishes["model"], wishes["tier"]) == (model, tier)
    assert [seller["provider"] for seller in sellers] == vendors
