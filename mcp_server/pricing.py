"""A checked request and the dated prices: what it will cost, with the arithmetic spelled out."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from decimal import Decimal

from mcp_server.domain.catalog import Price
from mcp_server.domain.quote import Quote
from mcp_server.domain.request import CheckedRequest


def quote(
    checked: CheckedRequest,
    prices: Iterable[Price],
    *,
    day: date,
    usd_per_credit: Decimal | None = None,
) -> Quote:
    """What this costs on this day; unknown stays unknown."""
    price = price_of(checked, prices, day)
    if price is None:
        return _unknown(checked, None, "no price is published for this")
    if price.unit == "unpublished":
        return _unknown(checked, price, price.note or "the vendor publishes no price for this")
    rate, sound = _rate(checked, price)
    if rate is None:
        return _unknown(checked, price, f"no price is published {sound}")
    each = f"{money(rate, price.currency)} ({sound})" if sound else money(rate, price.currency)
    if price.unit == "unstated":
        return _unknown(checked, price, f"{each} is printed, but not per what: {price.note}", rate)
    if price.unit == "clip":
        return _known(checked, price, rate, rate, f"{each} per clip, whatever its length", usd_per_credit)
    if checked.duration is None:
        return _open_length(checked, price, rate, each, usd_per_credit)
    amount = rate * checked.duration
    arithmetic = f"{checked.duration} s × {each} = {money(amount, price.currency)}"
    return _known(checked, price, rate, amount, arithmetic, usd_per_credit)


def price_of(checked: CheckedRequest, prices: Iterable[Price], day: date) -> Price | None:
    """The rate in force: the newest that fits; of two of one day, the one with more conditions."""
    fitting = [price for price in prices if price.effective_from <= day and _fits(checked, price)]
    return max(fitting, key=lambda price: (len(price.when), price.effective_from), default=None)


def money(amount: Decimal, currency: str) -> str:
    """`$0.56` or `240 credits`, exact, without trailing zeros beyond cents."""
    text = format(amount.normalize(), "f")
    if currency != "USD":
        return f"{text} credits"
    whole, _, cents = text.partition(".")
    return f"${whole}.{cents.ljust(2, '0')}"


def _fits(checked: CheckedRequest, price: Price) -> bool:
    offer = checked.offer
    return (
        price.provider == offer.provider
        and offer.model in price.models
        and (not price.tiers or offer.tier in price.tiers)
        and (not price.modes or offer.mode in price.modes)
        and all(checked.request.given(name) is wanted for name, wanted in price.when.items())
    )


def _rate(checked: CheckedRequest, price: Price) -> tuple[Decimal | None, str]:
    """The rate that applies and the word that says why."""
    if price.silent == price.audio and price.silent is not None:
        return price.silent, ""
    if checked.audio:
        return price.audio, "with sound"
    if checked.audio is None and price.audio is None:
        # Sound is not a question here: one rate stands for whatever comes out.
        return price.silent, ""
    return price.silent, "silent"


def _known(
    checked: CheckedRequest,
    price: Price,
    rate: Decimal,
    amount: Decimal,
    arithmetic: str,
    usd_per_credit: Decimal | None,
) -> Quote:
    usd: Decimal | None = amount
    if price.currency == "credits":
        usd = None if usd_per_credit is None else amount * usd_per_credit
        if usd is not None and usd_per_credit is not None:
            arithmetic += f" × {money(usd_per_credit, 'USD')} per credit = {money(usd, 'USD')}"
    return _quote(checked, price, rate=rate, amount=amount, usd=usd, usd_at_most=usd, arithmetic=arithmetic)


def _open_length(
    checked: CheckedRequest, price: Price, rate: Decimal, each: str, usd_per_credit: Decimal | None
) -> Quote:
    offer = checked.offer
    note = offer.duration_note or "the vendor decides the length"
    bound = offer.duration_at_most
    most: Decimal | None = None
    arithmetic = f"{each} per second; {note}"
    if bound is not None:
        most = rate * bound
        if price.currency == "credits":
            most = None if usd_per_credit is None else most * usd_per_credit
        if most is not None:
            arithmetic += f"; at most {bound} s = {money(most, 'USD')}"
    return _quote(checked, price, rate=rate, amount=None, usd=None, usd_at_most=most, arithmetic=arithmetic)


def _unknown(checked: CheckedRequest, price: Price | None, why: str, rate: Decimal | None = None) -> Quote:
    return _quote(checked, price, rate=rate, amount=None, usd=None, usd_at_most=None, arithmetic=f"unknown: {why}")


def _quote(
    checked: CheckedRequest,
    price: Price | None,
    *,
    rate: Decimal | None,
    amount: Decimal | None,
    usd: Decimal | None,
    usd_at_most: Decimal | None,
    arithmetic: str,
) -> Quote:
    return Quote(
        checked=checked,
        amount=amount,
        currency=price.currency if price else "USD",
        rate=rate,
        unit=price.unit if price else "unpublished",
        usd=usd,
        usd_at_most=usd_at_most,
        arithmetic=arithmetic,
        effective_from=price.effective_from if price else None,
        source=price.source if price else "",
        not_included=(price.note,) if price and price.note and price.unit in ("second", "clip") else (),
    )
