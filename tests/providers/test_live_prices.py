"""`estimate --live`: the vendor's own word beside the table, asked for nothing and without a key."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.scripted_vendor import Vendor, serving
from support.services import service

from mcp_server.cli.buy import live_prices
from mcp_server.domain.arguments import VideoArguments

PRICED = {"prompt": "a boat", "model": "kling-3.0", "tier": "4k", "duration": 5}
UNPRICED = {"prompt": "a boat", "model": "kling-o1", "tier": "pro", "provider": "runapi"}


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serving(Vendor()) as one:
        yield one


def says(cents: float | None, status: str = "available") -> tuple[int, str, dict[str, str]]:
    quote = {"pricing_status": status, "currency": "USD", "reservation_amount_cents": cents, "as_of": "2026-11-21"}
    return 200, json.dumps({"price_quote": quote}), {}


async def asked(folder: Path, vendor: Vendor, wish: dict[str, Any], **variables: str) -> list[live_prices.Live]:
    buyer = service(folder, RUNAPI_BASE_URL=vendor.url, **variables)
    try:
        return await live_prices.asked(buyer, (await buyer.prepare(VideoArguments(**wish), buying=False)).plan)
    finally:
        await buyer.close()


@pytest.mark.parametrize(
    ("wish", "answer", "sentence"),
    [
        (PRICED, says(335), "$3.35 today, says the vendor; as in the table"),
        (PRICED, says(340.5), "$3.405 today, says the vendor; not $3.35 as in the table"),
        (UNPRICED, says(90), "$0.90 today, says the vendor; the table has none"),
        (PRICED, says(None, "unavailable"), "the vendor has no price for this"),
        (PRICED, (500, "", {}), "RunAPI answered HTTP 500 without a reason"),
    ],
)
async def test_the_vendors_word_stands_beside_the_tables(
    wish: dict[str, Any], answer: Any, sentence: str, vendor: Vendor, tmp_path: Path
) -> None:
    vendor.answers = [answer]

    (found,) = await asked(tmp_path, vendor, wish)

    assert found.sentence == f"{found.offer}: {sentence}"
    assert found.offer.startswith("runapi/")
    assert set(found.facts()) <= {"offer", "usd", "as_of", "table_usd", "since", "trouble"}
    assert all(isinstance(value, str) and value for value in found.facts().values())
    assert [one.line for one in vendor.asked] == ["POST /api/v1/price_quotes HTTP/1.1"]
    assert "authorization" not in vendor.asked[0].headers
    body = json.loads(vendor.asked[0].body)
    assert (body["service"], body["action"]) == ("kling", "text_to_video")
    assert "callback_url" not in body["params"] and body["params"]["prompt"] == "a boat"


async def test_a_key_is_not_shown_for_what_anybody_may_ask(vendor: Vendor, tmp_path: Path) -> None:
    vendor.answers = [says(335)]

    await asked(tmp_path, vendor, PRICED | {"provider": "runapi"}, RUNAPI_API_KEY="k-MARKED")

    assert "MARKED" not in str(vendor.asked)


async def test_where_no_vendor_tells_its_price_that_is_said(vendor: Vendor, tmp_path: Path) -> None:
    found = await asked(tmp_path, vendor, {"prompt": "a boat", "provider": "octopusx", "model": "kling-2.6"})

    assert found == []
    assert live_prices.told(found) == ["No vendor of these tells its price beforehand."]
    assert vendor.asked == []
