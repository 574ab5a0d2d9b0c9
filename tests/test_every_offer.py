"""Everything in the catalog can really be bought: over HTTP, through its own protocol, to a file with the right bytes."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from support.orders import ordinary
from support.services import arguments, service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.catalog import Offer

SOLD = [offer for offer in catalog.load().offers if not offer.not_sold_because]


@pytest.mark.parametrize("provider", sorted({offer.provider for offer in SOLD}))
async def test_every_offer_is_bought_once_and_ends_as_a_file(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clip itself is another test's matter; here the shipped one stands for all.
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    offers = [offer for offer in SOLD if offer.provider == provider]
    buyer = service(tmp_path)
    try:
        await asyncio.gather(*(buy(buyer, offer) for offer in offers))
    finally:
        await buyer.close()

    bought = {row[0] for row in rows(tmp_path, "select offer_id from tasks where state = 'succeeded'")}
    assert bought == {offer.id for offer in offers}


def rows(folder: Path, query: str) -> list[tuple]:
    with closing(sqlite3.connect(folder / "home" / "tasks.db")) as db:
        return db.execute(query).fetchall()


async def earlier_clip(buyer, offer: Offer) -> str:
    """A finished clip of the same model, for what continues one."""
    wish = VideoArguments(prompt="a boat", provider=offer.provider, model=offer.model, mode="text-to-video")
    ordered = await buyer.generate(wish)
    (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    assert task.state == "succeeded"
    return task.task_id


async def buy(buyer, offer: Offer) -> None:
    wish = arguments(ordinary(offer), provider=offer.provider, model=offer.model, tier=offer.tier, mode=offer.mode)
    if wish.source_task is not None:
        wish = wish.model_copy(update={"source_task": await earlier_clip(buyer, offer)})

    ordered = await buyer.generate(wish)
    (task,) = await buyer.get([ordered.task_id], wait_s=2_000)

    assert (task.state, task.error) == ("succeeded", None), offer.id
    assert (task.plays, task.model, task.tier, task.mode) == (offer.provider, offer.model, offer.tier, offer.mode)
    saved = Path(task.video_path).read_bytes()
    assert hashlib.sha256(saved).hexdigest() == task.sha256
    async with httpx.AsyncClient(timeout=60) as client:
        assert (await client.get(task.video_url)).content == saved
