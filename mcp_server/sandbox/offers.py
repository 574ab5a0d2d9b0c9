"""What the catalog says about an order: whether it is sold, under which schema, and at which price."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import relevance
from jsonschema.protocols import Validator

from mcp_server import catalog, places
from mcp_server.domain.catalog import Offer, Price
from mcp_server.sandbox.jobs import ClipOrder


@cache
def offers(vendor: str, vendor_model: str, modes: tuple[str, ...] = ()) -> tuple[Offer, ...]:
    """What the vendor sells under its own id, in these modes or in any."""
    return tuple(
        offer
        for offer in catalog.load().offers
        if offer.provider == vendor
        and not offer.not_sold_because
        and vendor_model in (offer.vendor_model, offer.vendor_model_audio)
        and (not modes or offer.mode in modes)
    )


@cache
def models(vendor: str) -> tuple[str, ...]:
    """Everything the vendor sells, by its own names."""
    sold = [offer for offer in catalog.load().offers if offer.provider == vendor and not offer.not_sold_because]
    return tuple(dict.fromkeys(offer.vendor_model for offer in sold))


def document(vendor: str, vendor_model: str, within: str = "") -> dict[str, Any] | None:
    """What a model takes, as an OpenAPI document with one input; None where the vendor does not sell it."""
    sold = offers(vendor, vendor_model)
    if not sold:
        return None
    schema = _schema(vendor, sold[0].schema)
    taken: dict[str, Any] = schema["properties"][within] if within else schema
    plain = {name: part for name, part in taken.items() if not name.startswith(("$", "x-"))}
    components = {"schemas": {"Input": plain}}
    return {"openapi": "3.0.4", "info": {"title": vendor_model}, "paths": {}, "components": components}


@cache
def offers_of(vendor: str, mode: str) -> tuple[Offer, ...]:
    """What the vendor sells for this kind of work, under whichever name."""
    return tuple(
        offer
        for offer in catalog.load().offers
        if offer.provider == vendor and offer.mode == mode and not offer.not_sold_because
    )


def problems(vendor: str, stem: str, body: Any) -> list[tuple[str, str]]:
    """Where the body breaks the vendor's schema, worst first: field (dotted) and sentence."""
    found = sorted(_validator(vendor, stem).iter_errors(body), key=relevance, reverse=True)
    return [(".".join(str(part) for part in error.absolute_path), str(error.message)[:300]) for error in found]


def accepts_any(vendor: str, stems: Iterable[str], body: Any) -> list[tuple[str, str]]:
    """No problem when one of the schemas takes the body, else the shortest list of problems."""
    none: list[tuple[str, str]] = []
    return min((problems(vendor, stem, body) for stem in dict.fromkeys(stems)), key=len, default=none)


@cache
def _validator(vendor: str, stem: str) -> Validator:
    return Draft202012Validator(_schema(vendor, stem))


def _schema(vendor: str, stem: str) -> dict[str, Any]:
    return json.loads((places.schemas() / vendor / f"{stem}.json").read_text(encoding="utf-8"))


def cost(order: ClipOrder, now: float) -> Decimal | None:
    """What the order costs in the vendor's currency today; None where nobody publishes it."""
    price = price_of(order, datetime.fromtimestamp(now, UTC).date())
    if price is None:
        return None
    rate = price.audio if order.audio else price.silent
    if rate is None:
        return None
    match price.unit:
        case "second":
            return rate * Decimal(str(order.seconds))
        case "clip":
            return rate
        case _:
            return None


def price_of(order: ClipOrder, day: date) -> Price | None:
    """The rate in force: the newest, and of those the one that looks closest at what was given."""
    fitting = [
        price
        for price in catalog.load().prices
        if price.provider == order.vendor
        and order.model in price.models
        and (not price.tiers or order.tier in price.tiers)
        and (not price.modes or order.mode in price.modes)
        and price.effective_from <= day
        and _conditions(price.when, order)
    ]
    return max(fitting, key=lambda price: (len(price.when), price.effective_from), default=None)


def _conditions(when: Mapping[str, bool], order: ClipOrder) -> bool:
    return all(order.given(name) is wanted for name, wanted in when.items())


def lowest_rate(vendor: str, vendor_model: str, day: date) -> Decimal | None:
    """The lowest rate per second that is in force for anything sold under this name."""
    sold = offers(vendor, vendor_model)
    fitting = [
        price
        for price in catalog.load().prices
        if price.provider == vendor
        and price.unit == "second"
        and price.effective_from <= day
        and not price.when
        and any(offer.model in price.models and (not price.tiers or offer.tier in price.tiers) for offer in sold)
        and any(not price.modes or offer.mode in price.modes for offer in sold)
    ]
    newest = max((price.effective_from for price in fitting), default=None)
    today = [price for price in fitting if price.effective_from == newest]
    return min((rate for price in today for rate in (price.silent, price.audio) if rate is not None), default=None)
