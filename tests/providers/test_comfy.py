"""What is particular about Comfy Router: one key stands for one order, and it says beforehand what an order would cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.services import hurried, service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.providers import live_prices
from mcp_server.providers.base import HttpCall, HttpReply

FACTS = catalog.load().providers["comfy"]


@pytest.mark.parametrize("fault", ["drop_after_accept:2", "500_after_accept", "html", "drop_before_accept"])
async def test_a_lost_answer_is_asked_for_again_under_its_key_and_buys_once(tmp_path: Path, fault: str) -> None:
    buyer = service(tmp_path, clock=hurried(60), KLING_SANDBOX_FAULTS=f"comfy={fault}", KLING_SANDBOX_SECONDS="1")
    try:
        made = await buyer.generate(VideoArguments(prompt="a boat", provider="comfy", model="kling-4.0-flash"))
        (task,) = await buyer.get([made.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    assert (task.state, task.plays) == ("succeeded", "comfy")


@pytest.mark.parametrize(
    ("body", "usd"),
    [
        ({"source": "exact", "amount": "0.785"}, Decimal("0.785")),
        ({"source": "estimated", "min_amount": Decimal("0.5"), "max_amount": Decimal("0.9")}, Decimal("0.9")),
        ({"source": "unknown", "reason": "no rate"}, None),
        ({"source": "exact"}, None),
    ],
)
def test_an_estimate_is_read_at_its_upper_end_and_a_missing_sum_is_not_free(
    body: dict[str, Any], usd: Decimal | None
) -> None:
    found = live_prices(FACTS).read_quote(FACTS, HttpReply(status=200, body=body | {"pricing_as_of": "2026-11-28"}))

    assert (found.usd, found.basis, found.as_of) == (usd, body["source"], "2026-11-28")


def test_the_estimate_is_asked_with_the_very_body_of_the_order_and_is_not_paid() -> None:
    order = HttpCall(method="POST", path="/v2/models/kling/kling-4.0/requests", json={"prompt": "p"}, paid=True)

    asked = live_prices(FACTS).quote_call(order)

    assert (asked.path, asked.json, asked.paid) == ("/v2/models/kling/kling-4.0/estimate", {"prompt": "p"}, False)
