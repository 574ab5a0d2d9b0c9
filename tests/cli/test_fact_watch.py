"""`doctor --facts`: what vendors say today beside what is written down here, against the sandbox and over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.sandboxes import served
from support.scripted_vendor import Vendor, serving
from support.services import service

from mcp_server import catalog
from mcp_server.__main__ import main
from mcp_server.cli.setup import fact_watch
from mcp_server.cli.setup.checks import Finding
from mcp_server.domain.catalog import Catalog
from mcp_server.providers import transport

PROVIDERS = catalog.load().providers
ASKED = {name for name, facts in PROVIDERS.items() if facts.live_facts or facts.live_prices}


@pytest.fixture
async def host() -> AsyncIterator[str]:
    async with served() as bench:
        yield bench.host


async def watched(folder: Path, host: str, *, key: str = "sandbox", facts: Catalog | None = None) -> list[Finding]:
    said = {facts.base_url_variable: f"{host}/{name}" for name, facts in PROVIDERS.items()}
    if key:
        said |= {facts.key_variable: key for facts in PROVIDERS.values()}
    buyer = service(folder, **said)
    if facts is not None:
        buyer.__dict__["catalog"] = facts
    return await fact_watch.look(buyer)


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in found}


async def test_against_the_sandbox_every_answer_is_as_it_is_written_down(host: str, tmp_path: Path) -> None:
    found = await watched(tmp_path, host)

    assert {"runapi", "comfy", "fal", "replicate"} == ASKED
    assert [finding for finding in found if finding.level == "bad"] == []
    whole = by_name(found)
    for name in ASKED:
        assert "answers; 0 facts here differ, 0 are new" in whole[name].what, name
        assert int(whole[name].what.split()[0]) > 0
    assert "says nothing of itself; what is known of it is of 2026-11-" in whole["uniall"].what


async def test_what_differs_is_told_with_the_day_since_when_we_know_it_otherwise(host: str, tmp_path: Path) -> None:
    facts = catalog.load()
    changed = tuple(
        replace(price, silent=price.silent * 2) if price.silent and price.provider in ASKED else price
        for price in facts.prices
    )
    kept = tuple(offer for offer in facts.offers if offer.model != "kling-3.0-turbo")
    found = await watched(tmp_path, host, facts=replace(facts, prices=changed, offers=kept))

    wrong = {finding.name: finding.what for finding in found if finding.level == "bad"}
    assert "not $1.40 as in the table, in force since 2026-" in wrong["runapi/kling-3.0/standard/text-to-video"]
    assert any(
        name.startswith("fal fal-ai/kling-video/v3/standard") and "read on 2026-" in what
        for name, what in wrong.items()
    )
    news = {finding.name: finding.what for finding in found if finding.level == "note"}
    assert "the catalog does not know it; looked at on 2026-" in news["runapi kling-v3-turbo-text-to-video"]


async def test_a_model_that_a_vendor_no_longer_has_is_a_fault(host: str, tmp_path: Path) -> None:
    facts = catalog.load()
    moved = tuple(
        replace(offer, vendor_model=f"{offer.vendor_model}-gone") if offer.provider in ASKED else offer
        for offer in facts.offers
    )
    found = await watched(tmp_path, host, facts=replace(facts, offers=moved))

    gone = {finding.name.split()[0] for finding in found if "does not have it today" in finding.what}
    assert gone == ASKED


async def test_without_keys_only_what_anybody_may_ask_is_asked(host: str, tmp_path: Path) -> None:
    whole = by_name(await watched(tmp_path, host, key=""))

    assert "answers; 0 facts here differ" in whole["runapi"].what
    assert "more could be asked with a key (FAL_KEY)" in whole["fal"].what
    assert (
        whole["replicate"].what.startswith("nothing was answered") and "REPLICATE_API_TOKEN" in whole["replicate"].what
    )
    assert "COMFY_API_KEY" in whole["comfy"].what


async def test_a_vendor_in_trouble_is_a_note_and_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GET_PAUSE_S", 0)
    async with serving(Vendor()) as vendor:
        vendor.answers = [(500, "", {})] * 10_000
        found = await watched(tmp_path, vendor.url)
        assert not any("MARKED" in str(one) for one in found)

    assert {finding.level for finding in found} == {"note"}
    whole = by_name(found)
    assert whole["replicate"].what == "nothing was answered"
    assert any("HTTP 500" in finding.what for finding in found)


async def test_the_command_ends_with_65_where_a_fact_is_wrong(
    host: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = catalog.load()
    dearer = tuple(replace(price, silent=Decimal(9)) if price.silent else price for price in facts.prices)
    for name, provider in PROVIDERS.items():
        monkeypatch.setenv(provider.base_url_variable, f"{host}/{name}")

    async def doctor() -> tuple[int, dict[str, Any]]:
        code = await asyncio.to_thread(main, ["doctor", "--facts", "--json"])
        return code, json.loads(capsys.readouterr().out.splitlines()[-1])

    assert (await doctor())[1]["ok"] is True
    monkeypatch.setattr("mcp_server.composition._Parts.load", lambda _: replace(facts, prices=dearer))
    code, said = await doctor()
    assert (code, said["ok"]) == (65, False)
    assert "update kling-video" in json.dumps(said).lower()
    assert main(["doctor", "--facts", "--offline"]) == 64
