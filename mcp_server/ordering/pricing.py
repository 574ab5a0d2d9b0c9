"""A checked request and the dated prices: what it will cost, with the arithmetic spelled out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from decimal import Decimal

from mcp_server.catalog.prices import rank, sold_at
from mcp_server.domain.catalog import Price, Provider
from mcp_server.domain.money import money
from mcp_server.domain.quote import Quote
from mcp_server.domain.request import CheckedRequest, native_option


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
    if rate is None and checked.audio is None and price.silent is not None and price.audio is not None:
        return _open_sound(checked, price, price.silent, price.audio, usd_per_credit)
    if rate is None:
        return _unknown(checked, price, f"no price is published {sound}".rstrip())
    each = f"{money(rate, price.currency)} ({sound})" if sound else money(rate, price.currency)
    if price.unit == "unstated":
        return _unknown(checked, price, f"{each} is printed, but not per what: {price.note}", rate)
    if (most := _higher(checked, price)) is not None:
        both = f"{each} or {money(most, price.currency)} per {price.unit}: sources differ"
        return _bounded(checked, price, rate, both, most, usd_per_credit)
    if price.unit == "clip":
        return _known(checked, price, rate, rate, f"{each} per clip, whatever its length", usd_per_credit)
    if checked.duration is None:
        return _open_length(checked, price, rate, each, usd_per_credit)
    amount = rate * checked.duration
    arithmetic = f"{checked.duration} s × {each} = {money(amount, price.currency)}"
    return _known(checked, price, rate, amount, arithmetic, usd_per_credit)


def unsettled(quote: Quote, provider: Provider) -> Quote:
    """The quote, or an unknown one where the caller's native fields may move the bill in ways nobody documents."""
    options = quote.checked.request.options
    moving = [name for name in provider.open_price_options if native_option(options, name) is not None]
    if not moving:
        return quote
    named = " and ".join(f"`options.{name}`" for name in moving)
    arithmetic = f"unknown: nobody says what {named} adds to {quote.arithmetic}"
    return replace(quote, amount=None, usd=None, usd_at_most=None, arithmetic=arithmetic)


def price_of(checked: CheckedRequest, prices: Iterable[Price], day: date) -> Price | None:
    """The rate in force: one for this very condition before a general one, then the newest, then the narrowest."""
    provider = checked.offer.provider
    # Whose it is comes first: most are another vendor's.
    theirs = (price for price in prices if price.provider == provider and price.effective_from <= day)
    fitting = [price for price in theirs if _fits(checked, price)]
    return max(fitting, key=rank, default=None)


def _fits(checked: CheckedRequest, price: Price) -> bool:
    return sold_at(checked.offer, price) and all(
        checked.request.given(name) is wanted for name, wanted in price.when.items()
    )


def _rate(checked: CheckedRequest, price: Price) -> tuple[Decimal | None, str]:
    """The rate that applies and the word that says why."""
    if price.silent == price.audio and price.silent is not None:
        return price.silent, ""
    if checked.audio is None:
        # Where one rate is printed, sound is not a question: it stands for whatever comes out.
        only = [rate for rate in (price.silent, price.audio) if rate is not None]
        return (only[0] if len(only) == 1 else None), ""
    return (price.audio, "with sound") if checked.audio else (price.silent, "silent")


def _higher(checked: CheckedRequest, price: Price) -> Decimal | None:
    """The other rate, where sources differ: limits count with it."""
    return price.audio_at_most if checked.audio else price.silent_at_most


def _known(
    checked: CheckedRequest,
    price: Price,
    rate: Decimal,
    amount: Decimal,
    arithmetic: str,
    usd_per_credit: Decimal | None,
) -> Quote:
    usd = _usd(amount, price, usd_per_credit)
    if price.currency == "credits" and usd is not None and usd_per_credit is not None:
        arithmetic += f" × {money(usd_per_credit, 'USD')} per credit = {money(usd, 'USD')}"
    return _quote(checked, price, rate=rate, amount=amount, usd=usd, usd_at_most=usd, arithmetic=arithmetic)


def _open_length(
    checked: CheckedRequest, price: Price, rate: Decimal, each: str, usd_per_credit: Decimal | None
) -> Quote:
    note = checked.offer.duration_note or "the vendor decides the length"
    return _bounded(checked, price, rate, f"{each} per second; {note}", rate, usd_per_credit)


def _open_sound(
    checked: CheckedRequest, price: Price, silent: Decimal, audio: Decimal, usd_per_credit: Decimal | None
) -> Quote:
    """Whether there will be sound is not known, and it is charged for: only the bound is."""
    per = "per clip" if price.unit == "clip" else "per second"
    arithmetic = (
        f"{money(silent, price.currency)} {per} silent, {money(audio, price.currency)} with sound; "
        "whether there will be sound is not known beforehand"
    )
    return _bounded(checked, price, None, arithmetic, max(silent, audio), usd_per_credit)


def _bounded(
    checked: CheckedRequest,
    price: Price,
    rate: Decimal | None,
    arithmetic: str,
    dearest: Decimal,
    usd_per_credit: Decimal | None,
) -> Quote:
    """An order whose exact sum the vendor will only know afterwards, with its upper bound where there is one."""
    seconds = checked.duration or _longest(checked)
    if price.unit == "unstated":
        most = None
    elif price.unit == "clip":
        most = dearest
    else:
        most = None if seconds is None else dearest * seconds
    if most is None:
        return _quote(checked, price, rate=rate, amount=None, usd=None, usd_at_most=None, arithmetic=arithmetic)
    yours = "" if checked.clip_seconds is None else f" (the clip that goes in has {checked.clip_seconds:.1f} s)"
    for_long = "" if price.unit == "clip" else f"{seconds} s{yours} = "
    arithmetic += f"; at most {for_long}{money(most, price.currency)}"
    usd = _usd(most, price, usd_per_credit)
    return _quote(checked, price, rate=rate, amount=None, usd=None, usd_at_most=usd, arithmetic=arithmetic)


def _longest(checked: CheckedRequest) -> int | None:
    """The most seconds that can be billed: by the clip that goes in, where it was looked at, else as documented."""
    documented = checked.offer.duration_at_most
    if checked.clip_seconds is None:
        return documented
    # Nobody says how seconds are rounded, and clips come back a frame longer.
    whole = int(checked.clip_seconds) + 1
    return whole if documented is None else min(whole, documented)


def _usd(amount: Decimal, price: Price, usd_per_credit: Decimal | None) -> Decimal | None:
    if price.currency == "USD":
        return amount
    return None if usd_per_credit is None else amount * usd_per_credit


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
        not_included=price.not_included if price else (),
        note=price.note if price else "",
    )
