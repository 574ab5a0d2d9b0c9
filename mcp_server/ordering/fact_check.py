"""Our facts beside what a vendor tells of itself today: each difference as a sentence, and how old our fact is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final, cast

from mcp_server.catalog.prices import in_force
from mcp_server.domain.catalog import Catalog, Offer, Price, Provider
from mcp_server.domain.money import money
from mcp_server.ordering.vendor_schema import schema_of
from mcp_server.providers.base import ModelToday, Told

_BOUNDS: Final = ("minimum", "maximum", "minItems", "maxItems", "maxLength")
_SHOWN: Final = 8
"""Values of a list that are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it is written down here."""

    about: str
    """The vendor's model, or our offer."""
    what: str
    news: bool = False
    """Whether it is only more than we know, and nothing here is wrong."""


def differences(facts: Provider, catalog: Catalog, told: Sequence[Told], day: date) -> Iterator[Difference]:
    """Everything these answers say that our facts do not, and the other way round."""
    offers = [offer for offer in catalog.offers if offer.provider == facts.id]
    ours: dict[str, list[Offer]] = {}
    for offer in offers:
        for model in filter(None, (offer.vendor_model, offer.vendor_model_audio)):
            ours.setdefault(model, []).append(offer)
    for answer in told:
        yield from _models(facts, ours, answer)
        for model in answer.models:
            sold = [offer for offer in ours.get(model.vendor_model, ()) if not offer.not_sold_because]
            if model.takes is not None:
                yield from _inputs(model, sold)
            if model.usd_per_second is not None:
                yield from _rates(model, model.usd_per_second, sold, tuple(catalog.prices), day)


def _models(facts: Provider, ours: Mapping[str, Sequence[Offer]], answer: Told) -> Iterator[Difference]:
    there = {model.vendor_model for model in answer.models if model.there}
    gone = [model.vendor_model for model in answer.models if not model.there]
    if answer.complete:
        sold = (model for model, offers in ours.items() if any(not offer.not_sold_because for offer in offers))
        gone += [model for model in sold if model not in there]
    for model in gone:
        known = ours.get(model, ())
        yield Difference(about=model, what=f"{facts.name} does not have it today; {_since(known)}")
    for model in sorted(there - ours.keys()):
        what = f"{facts.name} has it, and the catalog does not know it; looked at on {facts.checked.isoformat()}"
        yield Difference(about=model, what=what, news=True)


def _inputs(model: ModelToday, sold: Sequence[Offer]) -> Iterator[Difference]:
    for stem in dict.fromkeys(offer.schema for offer in sold):
        schema = schema_of(sold[0].provider, stem)
        known = f"{sold[0].provider}/{stem}.json of {schema.get('x-checked', 'an unknown day')}"
        inside = _mapping(_mapping(schema.get("properties")).get(model.within)) if model.within else schema
        for what, news in _fields(inside, model.takes or {}, ""):
            yield Difference(about=model.vendor_model, what=f"{what}; {known}", news=news)


def _fields(ours: Mapping[str, Any], theirs: Mapping[str, Any], where: str) -> Iterator[tuple[str, bool]]:
    """Each difference between two schemas, down through fields that are objects, and whether it is only more."""
    known, today = (
        # `"field": false` says that there is none.
        {name: part for name, part in _mapping(schema.get("properties")).items() if part is not False}
        for schema in (ours, theirs)
    )
    for name in sorted(known.keys() | today.keys()):
        path = f"{where}.{name}" if where else name
        if name not in today:
            if today:
                yield f"`{path}` is not taken today", False
        elif name not in known:
            yield f"`{path}` is taken today", True
        else:
            yield from _limits(_mapping(known[name]), _mapping(today[name]), path)
            yield from _fields(_mapping(known[name]), _mapping(today[name]), path)
    for name in sorted(_names(theirs.get("required")) - _names(ours.get("required"))):
        if name in known:
            yield f"`{f'{where}.{name}' if where else name}` is required today", False


def _limits(ours: Mapping[str, Any], theirs: Mapping[str, Any], path: str) -> Iterator[tuple[str, bool]]:
    ours_values, their_values = _values(ours), _values(theirs)
    if ours_values and their_values:
        if lost := sorted(ours_values - their_values):
            yield f"`{path}` does not take {_listed(lost)} today", False
        if more := sorted(their_values - ours_values):
            yield f"`{path}` takes {_listed(more)}, too, today", True
    for bound in _BOUNDS:
        if bound in theirs and bound in ours and ours[bound] != theirs[bound]:
            yield f"`{path}` has {bound} {theirs[bound]} today, not {ours[bound]}", False
    if "default" in ours and "default" in theirs and ours["default"] != theirs["default"]:
        yield f"`{path}` left out is {theirs['default']!r} today, not {ours['default']!r}", False


def _rates(
    model: ModelToday, today: Decimal, sold: Sequence[Offer], prices: Sequence[Price], day: date
) -> Iterator[Difference]:
    each = [price for offer in sold for price in in_force(offer, prices, day)]
    rows = [price for price in each if price.unit == "second" and price.currency == "USD"]
    said = f"{money(today, 'USD')} per second today, says the vendor"
    if not rows:
        if sold:
            yield Difference(about=model.vendor_model, what=f"{said}; the table has none", news=True)
        return
    known = [
        rate
        for price in rows
        for rate in (price.silent, price.audio, price.silent_at_most, price.audio_at_most)
        if rate is not None
    ]
    if today not in known:
        ours = " or ".join(money(rate, "USD") for rate in sorted(set(known)))
        newest = max(rows, key=lambda price: (price.effective_from, price.checked))
        since = f"in force since {newest.effective_from.isoformat()}, read on {newest.checked.isoformat()}"
        yield Difference(about=model.vendor_model, what=f"{said}; the table has {ours}, {since}")


def _since(offers: Sequence[Offer]) -> str:
    if not offers:
        return "nothing here is sold under this name"
    newest = max(offers, key=lambda offer: offer.checked)
    what = f"{len(offers)} offers" if len(offers) > 1 else offers[0].id
    return f"{what} written down on {newest.checked.isoformat()}, from {newest.source}"


def _values(schema: Mapping[str, Any]) -> frozenset[str]:
    several = schema.get("enum")
    return frozenset(str(value) for value in cast("list[Any]", several)) if isinstance(several, list) else frozenset()


def _names(value: Any) -> frozenset[str]:
    return frozenset(str(name) for name in cast("list[Any]", value)) if isinstance(value, list) else frozenset()


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _listed(values: Sequence[str]) -> str:
    shown = ", ".join(values[:_SHOWN])
    return shown if len(values) <= _SHOWN else f"{shown} and {len(values) - _SHOWN} more"
