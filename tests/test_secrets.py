"""Keys go to the vendor and nowhere else: not into answers, errors, logs, the record, or any file."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from support.services import hurried, service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import KlingError
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer

GOOD = "sandbox-MARKED-GOOD"
BAD = "MARKED-BAD"
FAULTS = ("", "drop_after_accept", "500_after_accept", "no_money", "content_refused", "failed", "file_cut", "html")


@pytest.fixture
async def vendors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """All vendors on loopback, as a server of their own."""
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    (tmp_path / "vendors").mkdir()
    clock = hurried()
    box = Sandbox(tmp_path / "vendors" / "jobs.db", now=clock.now, seconds=2, sleep=clock.sleep)
    served = SandboxServer(box)
    yield box, await served.start(), clock
    await served.stop()
    box.close()


def signed_in(urls, key: str) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, facts in catalog.load().providers.items():
        made |= {facts.key_variable: f"{key}-{name}", facts.base_url_variable: urls[name]}
        # What the sandbox takes for the secret key of an access key, and one that signs nothing it takes.
        made |= dict(zip(facts.key_pair, (f"{key}-{name}", f"{key}-{name}-secret-key-of-the-sandbox"), strict=False))
    return made


@pytest.mark.parametrize("provider", list(catalog.load().providers))
async def test_keys_are_nowhere_but_on_the_wire(
    provider: str, vendors, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    box, urls, clock = vendors
    told: list[str] = []
    buyer = service(tmp_path / "good", clock=clock, **signed_in(urls, GOOD))
    stranger = service(tmp_path / "bad", clock=clock, **signed_in(urls, BAD))
    wish = VideoArguments(prompt="a boat", provider=provider, accept_unknown_price=True)
    try:
        for fault in FAULTS:
            if fault:
                box.store.set_fault(provider, fault, 1, "")
            told += await bought(buyer, wish)
        told += await bought(stranger, wish)
    finally:
        await buyer.close()
        await stranger.close()
    told += [record.getMessage() for record in caplog.records]
    told += [repr(buyer.settings), repr(buyer.settings.secret("RUNAPI_API_KEY"))]

    assert any(task.get("state") == "succeeded" for task in facts_of(told))
    assert any("not_spent" in text for text in told), "the stranger was refused"
    for text in told:
        assert "MARKED" not in text
    for folder in ("good", "bad"):
        for path in (tmp_path / folder).rglob("*"):
            if path.is_file():
                assert b"MARKED" not in path.read_bytes(), path


def facts_of(told: list[str]) -> list[dict]:
    return [json.loads(text) for text in told if text.startswith("{")]


async def bought(buyer, wish: VideoArguments) -> list[str]:
    """Everything a caller gets to read."""
    try:
        ordered = await buyer.generate(wish)
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    except KlingError as error:
        return [str(error), repr(error), json.dumps(error.as_dict(), default=str)]
    return [json.dumps(ordered.facts()), json.dumps(task.facts())]
