"""Every published price, cell by cell, to the cent and the credit.

`tests/golden/prices_<provider>.json` is a list of rows:
  offer, request    what is ordered
  rate, amount      exact, in `currency`; null where nobody published it
  usd               null where a credit has no dollar value; `usd_per_credit` gives it one
  day               of the quote; today's facts when left out
  why               words the arithmetic must contain (for what has no price, the reason)
"""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server import catalog
from mcp_server.catalog.prices import rank
from mcp_server.domain.catalog import Offer, Price
from mcp_server.domain.money import money
from mcp_server.domain.quote import Quote
from mcp_server.domain.request import CheckedRequest, Shot, VideoRequest
from mcp_server.ordering import pricing, validation
from mcp_server.settings import Settings

DAY = date(2026, 11, 21)
SELLABLE = [offer for offer in catalog.load().offers if not offer.not_sold_because]
GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("prices_*.json"))


def rows() -> list[Any]:
    found: list[Any] = []
    for path in GOLDEN:
        for number, row in enumerate(json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)):
            found.append(pytest.param(row, id=f"{number}-{row['offer']}"))
    return found


def exact(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def order(offer_id: str, request: dict[str, Any]) -> CheckedRequest:
    request = dict(request)
    for name in ("references", "shots"):
        if name in request:
            request[name] = tuple(Shot(**part) if isinstance(part, dict) else part for part in request[name])
    checked = validation.check(VideoRequest(**request), catalog.load().offer(offer_id))
    assert isinstance(checked, CheckedRequest), checked
    return checked


def covers(price: Price, offer: Offer) -> bool:
    return (
        price.provider == offer.provider
        and offer.model in price.models
        and (not price.tiers or offer.tier in price.tiers)
        and (not price.modes or offer.mode in price.modes)
    )


def quoted(offer_id: str, request: dict[str, Any], *, day: date = DAY, per_credit: Decimal | None = None) -> Quote:
    return pricing.quote(order(offer_id, request), catalog.load().prices, day=day, usd_per_credit=per_credit)


@pytest.mark.parametrize("row", rows())
def test_a_published_cell_is_quoted_exactly(row: dict[str, Any]) -> None:
    day = date.fromisoformat(row["day"]) if "day" in row else DAY
    quote = quoted(row["offer"], row["request"], day=day, per_credit=exact(row.get("usd_per_credit")))

    assert quote.rate == exact(row["rate"])
    assert quote.amount == exact(row["amount"])
    assert quote.usd == exact(row["usd"])
    if quote.amount is not None:
        assert quote.currency == row["currency"]
    assert row.get("why", "") in quote.arithmetic


@pytest.mark.parametrize("provider", ["kling3api", "runapi", "runcomfy", "klingai", "fal", "replicate", "comfy"])
def test_every_cell_of_a_vendors_table_is_in_the_golden_one(provider: str) -> None:
    prices = catalog.load().prices
    asked: set[tuple[int, str]] = set()
    for path in GOLDEN:
        for row in json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal):
            checked = order(row["offer"], row["request"])
            price = pricing.price_of(checked, prices, date.fromisoformat(row["day"]) if "day" in row else DAY)
            if price is not None:
                asked |= {(id(price), side) for side in sides(price, checked)}

    mine = [price for price in prices if price.provider == provider and price.unit in ("second", "clip")]
    mine = [price for price in mine if any(covers(price, offer) for offer in SELLABLE)]
    unasked = [
        (price.models, price.tiers, price.modes, price.when, price.effective_from, side)
        for price in mine
        for side in sides(price)
        if (id(price), side) not in asked
    ]
    assert mine
    assert unasked == []


def sides(price: Price, checked: CheckedRequest | None = None) -> set[str]:
    """The cells of a row: one, or silent and with sound where they differ; or the one a request asks for."""
    if price.silent is None or price.audio is None or price.silent == price.audio:
        return {"the only one"}
    if checked is None:
        return {"silent", "with sound"}
    return {"with sound" if checked.audio else "silent"}


@pytest.mark.parametrize("offer", catalog.load().offers, ids=lambda offer: offer.id)
def test_every_offer_has_a_price_or_says_that_none_is_published(offer: Offer) -> None:
    prices = [price for price in catalog.load().prices if covers(price, offer) and price.effective_from <= DAY]

    assert prices or offer.not_sold_because
    assert any(not price.when for price in prices) or offer.not_sold_because, "a price that holds without a condition"
    for one, other in combinations(prices, 2):
        assert one.when != other.when or rank(one) != rank(other), "two prices, and nothing decides"


def test_an_unpublished_price_is_none_with_a_reason() -> None:
    for offer, vendor in (
        ("octopusx/kling-o3/pro/text-to-video", "OctopusX"),
        ("uniall/kling-3.0/pro/text-to-video", "UniAll"),
    ):
        quote = quoted(offer, {"prompt": "x", "audio": True})

        assert (quote.amount, quote.usd, quote.usd_at_most, quote.rate) == (None, None, None, None)
        assert quote.unit == "unpublished"
        assert quote.arithmetic.startswith(f"unknown: {vendor} publishes no prices")


def test_before_the_first_table_there_is_no_price() -> None:
    first = min(price.effective_from for price in catalog.load().prices if price.provider == "kling3api")

    quote = quoted("kling3api/kling-3.0/pro/text-to-video", {"prompt": "x"}, day=first - timedelta(days=1))

    assert quote.amount is None
    assert quote.arithmetic == "unknown: no price is published for this"


def test_the_user_says_what_a_credit_costs() -> None:
    settings = Settings.read({"KLING3API_USD_PER_CREDIT": "0.0125", "HOME": "/nowhere"})

    quote = quoted(
        "kling3api/kling-3.0/pro/text-to-video",
        {"prompt": "x", "duration": 5, "audio": True},
        per_credit=settings.usd_per_credit,
    )

    assert (quote.amount, quote.currency, quote.usd) == (Decimal(400), "credits", Decimal("5.00"))
    assert quote.arithmetic == "5 s × 80 credits (with sound) = 400 credits × $0.0125 per credit = $5.00"


def test_the_arithmetic_is_spelled_out() -> None:
    silent = quoted("kling3api/kling-3.0/pro/text-to-video", {"prompt": "x", "duration": 5})
    fixed = quoted("kling3api/kling-o3/pro/video-edit", {"prompt": "x", "video": "https://example.com/a.mp4"})
    odd = quoted(
        "kling3api/kling-o3/standard/reference-to-video", {"prompt": "x", "references": ["https://example.com/a.png"]}
    )

    assert silent.arithmetic == "5 s × 54 credits (silent) = 270 credits"
    assert silent.effective_from == DAY
    assert silent.source == "kling3api.com/docs (English)"
    assert fixed.arithmetic == "435 credits per clip, whatever its length"
    assert "odd" in odd.note


# What the facts do not hold today must still be counted right: one offer, one made-up price.
PLAIN = VideoRequest(prompt="x", duration=10)


def priced(**changes: Any) -> Price:
    row: dict[str, Any] = {
        "provider": "kling3api",
        "models": ("kling-3.0",),
        "tiers": (),
        "modes": (),
        "unit": "second",
        "currency": "USD",
        "silent": Decimal("0.10"),
        "audio": Decimal("0.15"),
        "when": {},
        "effective_from": date(2026, 1, 1),
        "source": "made up",
        "checked": date(2026, 1, 1),
    }
    return Price(**(row | changes))


def made_up(request: VideoRequest = PLAIN, **changes: Any) -> CheckedRequest:
    """A checked request whose offer decides neither length nor sound unless told so."""
    row: dict[str, Any] = {
        "id": "kling3api/kling-3.0/pro/text-to-video",
        "provider": "kling3api",
        "model": "kling-3.0",
        "tier": "pro",
        "mode": "text-to-video",
        "vendor_model": "x",
        "schema": "x",
        "requires": ("prompt",),
        "accepts": ("image", "video"),
        "durations": (5, 10),
        "audio": "choice",
        "source": "made up",
        "checked": date(2026, 1, 1),
    }
    checked = validation.check(request, Offer(**(row | changes)))
    assert isinstance(checked, CheckedRequest), checked
    return checked


def test_where_sound_is_charged_and_not_known_only_the_bound_is_said() -> None:
    quote = pricing.quote(made_up(audio="unknown"), [priced()], day=DAY)

    assert (quote.amount, quote.usd, quote.rate) == (None, None, None)
    assert quote.usd_at_most == Decimal("1.50")
    assert quote.arithmetic == (
        "$0.10 per second silent, $0.15 with sound; whether there will be sound is not known beforehand; "
        "at most 10 s = $1.50"
    )


def test_one_printed_rate_stands_for_whatever_sound_comes_out() -> None:
    for rates in ({"silent": Decimal("0.10"), "audio": None}, {"silent": None, "audio": Decimal("0.10")}):
        quote = pricing.quote(made_up(audio="unknown"), [priced(**rates)], day=DAY)

        assert quote.amount == Decimal("1.00")
        assert quote.arithmetic == "10 s × $0.10 = $1.00"


def test_sound_without_a_published_rate_has_no_price() -> None:
    loud = VideoRequest(prompt="x", duration=10, audio=True)

    quote = pricing.quote(made_up(loud), [priced(audio=None)], day=DAY)

    assert quote.amount is None
    assert quote.arithmetic == "unknown: no price is published with sound"


def test_a_number_that_does_not_say_per_what_is_no_price() -> None:
    quote = pricing.quote(made_up(), [priced(unit="unstated", note="20 is printed")], day=DAY)

    assert (quote.amount, quote.rate) == (None, Decimal("0.10"))
    assert "not per what" in quote.arithmetic


def test_a_length_the_vendor_decides_is_bounded_where_the_bound_is_known() -> None:
    anyhow = {"durations": (), "duration_note": "as long as the clip"}
    silent = VideoRequest(prompt="x")

    open_end = pricing.quote(made_up(silent, **anyhow), [priced()], day=DAY)
    bounded = pricing.quote(made_up(silent, **anyhow, duration_at_most=30), [priced()], day=DAY)
    credits = pricing.quote(made_up(silent, **anyhow, duration_at_most=30), [priced(currency="credits")], day=DAY)

    assert (open_end.usd, open_end.usd_at_most) == (None, None)
    assert (bounded.usd, bounded.usd_at_most) == (None, Decimal("3.00"))
    assert bounded.arithmetic == "$0.10 (silent) per second; as long as the clip; at most 30 s = $3.00"
    assert credits.usd_at_most is None
    assert credits.arithmetic.endswith("at most 30 s = 3 credits")


def test_the_newer_price_is_in_force_from_its_day_and_the_older_one_stays_for_older_days() -> None:
    old, new = priced(), priced(silent=Decimal("0.20"), effective_from=date(2026, 6, 1))

    for table in ([old, new], [new, old]):
        assert pricing.quote(made_up(), table, day=date(2026, 5, 31)).rate == Decimal("0.10")
        assert pricing.quote(made_up(), table, day=date(2026, 6, 1)).rate == Decimal("0.20")


def test_a_price_for_this_very_condition_and_this_very_mode_comes_first() -> None:
    general, narrow = priced(), priced(silent=Decimal("0.30"), modes=("text-to-video",))
    with_video = priced(silent=Decimal("0.40"), when={"video": True}, effective_from=date(2025, 1, 1))
    filmed = VideoRequest(prompt="x", duration=10, video="https://example.com/a.mp4")

    for table in ([general, narrow, with_video], [with_video, narrow, general]):
        assert pricing.quote(made_up(), table, day=DAY).rate == Decimal("0.30")
        assert pricing.quote(made_up(filmed), table, day=DAY).rate == Decimal("0.40")


def test_where_sources_differ_the_higher_rate_counts_for_every_limit() -> None:
    table = [priced(silent_at_most=Decimal("0.20"), audio_at_most=Decimal("0.30"))]
    loud = VideoRequest(prompt="x", duration=10, audio=True)

    silent, sound = (pricing.quote(made_up(request), table, day=DAY) for request in (PLAIN, loud))

    assert (silent.usd, silent.most_usd, sound.most_usd) == (None, Decimal("2.00"), Decimal("3.00"))
    assert silent.arithmetic == "$0.10 (silent) or $0.20 per second: sources differ; at most 10 s = $2.00"
    assert silent.price_rank > pricing.quote(made_up(), [priced(silent=Decimal("9"))], day=DAY).price_rank


def test_what_is_charged_besides_is_said_and_a_remark_is_not_taken_for_it() -> None:
    quote = pricing.quote(made_up(), [priced(note="odd", not_included=("upscaling",))], day=DAY)

    assert (quote.not_included, quote.note) == (("upscaling",), "odd")


def test_money_is_written_exactly() -> None:
    assert money(Decimal("0.5"), "USD") == "$0.50"
    assert money(Decimal("0.0125"), "USD") == "$0.0125"
    assert money(Decimal(4), "USD") == "$4.00"
    assert money(Decimal("2.4E+2"), "credits") == "240 credits"
    assert money(Decimal("4.20"), "credits") == "4.2 credits"


CLIP = "https://example.com/a.mp4"


@given(
    offer=st.sampled_from(SELLABLE),
    seconds=st.integers(1, 30),
    audio=st.sampled_from([None, True, False]),
    per_credit=st.none() | st.decimals(0, 10, places=4),
)
def test_an_amount_is_never_a_float_and_always_rate_times_seconds(
    offer: Offer, seconds: int, audio: bool | None, per_credit: Decimal | None
) -> None:
    inputs = {name: CLIP for name in ("image", "video", "audio_file", "source_task") if name in offer.requires}
    for group in offer.one_of:
        if group[0] in ("image", "video", "audio_file", "source_task"):
            inputs[group[0]] = CLIP
    references = (CLIP,) if "references" in offer.requires else ()
    request = VideoRequest(prompt="x", duration=seconds, audio=audio, references=references, **inputs)
    checked = validation.check(request, offer)
    if not isinstance(checked, CheckedRequest):
        return
    quote = pricing.quote(checked, catalog.load().prices, day=DAY, usd_per_credit=per_credit)

    for sum_ in (quote.amount, quote.usd, quote.usd_at_most, quote.rate):
        assert sum_ is None or (type(sum_) is Decimal and sum_ >= 0)
    if quote.amount is not None and quote.rate is not None:
        assert quote.amount == quote.rate * (1 if quote.unit == "clip" else checked.duration or 0)
    if quote.amount is None:
        assert quote.usd is None
    elif quote.currency == "USD":
        assert quote.usd == quote.amount == quote.usd_at_most
    else:
        assert quote.usd == (None if per_credit is None else quote.amount * per_credit)
