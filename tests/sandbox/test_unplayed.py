"""A vendor the sandbox cannot play: never chosen without a key, refused by name in words, sold as before with a key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.services import service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.catalog import Catalog
from mcp_server.errors import NoOfferError, NotSignedInError

SIGNED_IN = {"RUNCOMFY_TOKEN": "t", "RUNCOMFY_BASE_URL": "http://127.0.0.1:9"}


@pytest.fixture(autouse=True)
def unplayed(monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """The catalog if nobody had taught the sandbox RunComfy, who is cheapest, and OctopusX, who alone sells 2.5."""
    facts = catalog.load()
    unknown = {name: replace(facts.providers[name], rehearsable=False) for name in ("runcomfy", "octopusx")}
    made = replace(facts, providers={**facts.providers, **unknown})
    monkeypatch.setattr("mcp_server.catalog.load", lambda: made)
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    return made


def wish(**more: Any) -> VideoArguments:
    return VideoArguments(**{"prompt": "a paper boat", "model": "kling-3.0", "tier": "pro", **more})


async def test_without_a_key_an_order_leads_past_it(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    rehearsed = await buyer.generate(wish())
    estimate = await buyer.estimate(wish())
    listed = buyer.models(provider="sandbox", detail=True)

    await buyer.close()
    assert "runcomfy" not in catalog.load().rehearsable
    assert rehearsed.simulated and rehearsed.plays != "runcomfy"
    assert estimate.chosen.provider != "runcomfy"
    assert "runcomfy" in {line.provider for line in estimate.others}
    assert listed.offers and not [line for line in listed.offers if line.offer.startswith("runcomfy/")]


async def test_by_name_it_is_refused_with_the_way_to_sign_in(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(NotSignedInError, match=r"The sandbox cannot play RunComfy.*RUNCOMFY_TOKEN"):
        await buyer.generate(wish(provider="runcomfy"))
    estimate = await buyer.estimate(wish(provider="runcomfy"))
    with pytest.raises(NoOfferError, match="the sandbox cannot play OctopusX, and there is no key for OctopusX"):
        await buyer.generate(wish(model="kling-2.5"))

    await buyer.close()
    assert (estimate.chosen.provider, estimate.simulated) == ("runcomfy", False)
    assert not (tmp_path / "home").exists()


async def test_a_rehearsal_that_was_begun_there_says_that_it_cannot_go_on(tmp_path: Path) -> None:
    buyer = service(tmp_path)

    with pytest.raises(NotSignedInError, match="The sandbox cannot play RunComfy"):
        await buyer.account("runcomfy", True)

    await buyer.close()


async def test_with_a_key_it_sells_as_before(tmp_path: Path) -> None:
    buyer = service(tmp_path, **SIGNED_IN)

    plan = (await buyer.prepare(wish(), buying=False)).plan

    await buyer.close()
    assert (plan.offer.provider, plan.simulated) == ("runcomfy", False)
