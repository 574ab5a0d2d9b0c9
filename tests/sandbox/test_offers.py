"""Two readings of the same documents meet: every offer our adapters can order, ordered at the sandbox, to the clip."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from support.orders import ordinary
from support.sandboxes import EPOCH, Bench, bench

from mcp_server import catalog
from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport
from mcp_server.ordering import pricing, validation
from mcp_server.ordering.vendor_schema import merge_options
from mcp_server.providers import wire
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.json_bodies import encode

OFFERS = [offer for offer in catalog.load().offers if not offer.not_sold_because]


async def sent(b: Bench, provider: str, call: HttpCall) -> HttpReply:
    reply = await b.client.request(
        call.method,
        f"{b.host}/{provider}{call.path}",
        content=None if call.json is None else encode(call.json),
        params=dict(call.params),
        headers=dict(call.headers),
    )
    return HttpReply(status=reply.status_code, body=parsed(reply), text=reply.text, headers=dict(reply.headers))


def parsed(reply: httpx.Response) -> Any:
    return json.loads(reply.text, parse_float=Decimal) if "json" in reply.headers.get("content-type", "") else None


async def finished(b: Bench, adapter: Any, job: Job, offer: Offer) -> JobReport:
    report = adapter.read_status(job, await sent(b, offer.provider, adapter.status(job, offer)))
    if report.needs_result:
        report = adapter.read_result(job, await sent(b, offer.provider, adapter.result(job)))
    return report


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.id)
async def test_every_offer_is_taken_on_and_delivered(offer: Offer) -> None:
    adapter = wire(catalog.load().providers[offer.provider])
    async with bench(rendering=False) as b:
        request = ordinary(offer)
        if "source_task" in (*offer.requires, *(group[0] for group in offer.one_of)) or request.source_task:
            request = await with_source(b, offer, request)
        checked = validation.check(request, offer)
        assert isinstance(checked, CheckedRequest), checked

        call = adapter.submit(checked, key="task_x")
        call = replace(call, json=merge_options(call.json, request.options))
        job = adapter.read_submit(await sent(b, offer.provider, call))
        first = await finished(b, adapter, job, offer)
        b.finish()
        last = await finished(b, adapter, job, offer)

        assert first.state in ("queued", "running")
        assert last.state == "succeeded" and last.video_urls, last
        assert (await b.stranger.get(last.video_urls[0])).headers["content-type"] == "video/mp4"
        seen = (await b.client.get(f"{b.host}/control/jobs/{offer.provider}/{job.id}")).json()
        assert (seen["model"], seen["tier"]) == (offer.model, offer.tier)
        if checked.duration is not None:
            assert seen["seconds"] == checked.duration
        if checked.audio is not None:
            assert seen["audio"] is checked.audio
        quote = pricing.quote(checked, catalog.load().prices, day=datetime.fromtimestamp(EPOCH, UTC).date())
        if quote.amount is not None:
            assert Decimal(seen["price"]) == quote.amount, quote.arithmetic


async def with_source(b: Bench, offer: Offer, request: Any) -> Any:
    """A finished clip of the only line that can be continued."""
    body = {"model": "kling-v2.5-turbo-text-to-video-pro", "prompt": "x", "duration_seconds": 5}
    reply = await b.client.post(f"{b.host}/{offer.provider}/api/v1/kling/text_to_video", json=body)
    assert reply.status_code == 200, reply.text
    b.finish()
    return replace(request, source_task=reply.json()["id"])
