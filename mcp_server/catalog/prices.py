"""Which published rate is in force for what, and how a person reads it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from mcp_server.domain.catalog import Offer, Price
from mcp_server.domain.money import money


def sold_at(offer: Offer, price: Price) -> bool:
    """Whether this rate is one for that offer, whatever its day and its conditions."""
    return (
        price.provider == offer.provider
        and offer.model in price.models
        and (not price.tiers or offer.tier in price.tiers)
        and (not price.modes or offer.mode in price.modes)
    )


def rank(price: Price) -> tuple[int, date, int]:
    """What decides between two rates that fit; the facts hold no two that fit and rank the same."""
    return len(price.when), price.effective_from, bool(price.tiers) + bool(price.modes)


def unpriced(provider: str, prices: Iterable[Price], *, credit_known: bool) -> str:
    """Why nobody knows in dollars what this vendor charges for anything; empty where it is known for something."""
    numbers = [price for price in prices if price.provider == provider and price.unit in ("second", "clip")]
    if not numbers:
        return "publishes no prices"
    if all(price.currency == "credits" for price in numbers) and not credit_known:
        return "prices in credits, and what one costs in dollars is not set (KLING3API_USD_PER_CREDIT)"
    return ""


def in_force(offer: Offer, prices: Iterable[Price], day: date) -> tuple[Price, ...]:
    """The rates of an offer on this day; several where conditions decide."""
    found: dict[tuple[tuple[str, bool], ...], Price] = {}
    for price in prices:
        if price.effective_from > day or not sold_at(offer, price):
            continue
        condition = tuple(sorted(price.when.items()))
        if condition not in found or rank(price) > rank(found[condition]):
            found[condition] = price
    return tuple(found.values())


def rates(offer: Offer, prices: Iterable[Price], day: date) -> tuple[str, ...]:
    """The rates in force for an offer, as a person reads them."""
    found = in_force(offer, prices, day)
    return tuple(_said(price, sorted(price.when.items())) for price in found) or ("unpublished",)


def _said(price: Price, condition: Iterable[tuple[str, bool]]) -> str:
    per = {"second": "/s", "clip": "/clip", "unstated": " (per what is not stated)", "unpublished": ""}[price.unit]
    if price.unit == "unpublished":
        text = "unpublished"
    elif price.silent_at_most is not None or price.audio_at_most is not None:
        text = f"{_range(price.silent, price.silent_at_most, price.currency)}{per} silent, "
        text += f"{_range(price.audio, price.audio_at_most, price.currency)}{per} with sound; sources differ"
    elif price.silent == price.audio or price.audio is None:
        text = f"{money(price.silent, price.currency)}{per}" if price.silent is not None else "unpublished"
    elif price.silent is None:
        text = f"{money(price.audio, price.currency)}{per} with sound"
    else:
        silent, sound = money(price.silent, price.currency), money(price.audio, price.currency)
        text = f"{silent}{per} silent, {sound}{per} with sound"
    given = [f"{'with' if wanted else 'without'} {name}" for name, wanted in condition]
    return f"{text} ({', '.join(given)})" if given else text


def _range(rate: Decimal | None, most: Decimal | None, currency: str) -> str:
    if rate is None:
        return "unpublished"
    return money(rate, currency) if most is None else f"{money(rate, currency)} to {money(most, currency)}"
