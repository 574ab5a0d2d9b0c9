"""For tests of the MCP server: the vendors played in this process, the real service before them, and clients."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp.client import Client

from mcp_server.composition import build
from mcp_server.domain.task import FINISHED
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer, variables
from mcp_server.server.server import KlingServer, build_server
from mcp_server.settings import Settings

ERAS = ("legacy", "2026-07-28")
ORDER = {"prompt": "a paper boat in the rain", "provider": "runcomfy", "tier": "standard", "duration": 5}


@dataclass
class Vendors:
    """The vendors' side: what they were asked, and what shall go wrong."""

    box: Sandbox
    environment: dict[str, str]
    """What a program needs to buy from them and to leave nothing outside the test's folder."""

    def submits(self) -> list[dict[str, Any]]:
        return self.box.store.journal(action="submit")

    def fault(self, vendor: str, kind: str, value: str = "", count: int | None = 1) -> None:
        self.box.store.set_fault(vendor, kind, count, value)

    def settings(self, **more: str) -> Settings:
        return Settings.read({**self.environment, **more})

    def server(self, **more: str) -> KlingServer:
        settings = self.settings(**more)
        return build_server(lambda: build(settings), settings=settings)


@asynccontextmanager
async def vendors(folder: Path, *, seconds: float = 0.2, rendering: bool = False) -> AsyncIterator[Vendors]:
    """All of them, on loopback, with keys that open them; with `rendering`, clips are what was ordered."""
    box = Sandbox(folder / "vendors.db", now=time.time, seconds=seconds, rendering=rendering)
    embedded = SandboxServer(box)
    urls = await embedded.start()
    environment = {
        **variables(urls),
        "HOME": str(folder / "user"),
        "KLING_HOME": str(folder / "home"),
        "KLING_OUTPUT_DIR": str(folder / "videos"),
    }
    try:
        yield Vendors(box, environment)
    finally:
        await embedded.stop()
        box.close()


@asynccontextmanager
async def client(server: KlingServer, era: str, **options: Any) -> AsyncIterator[Client]:
    """The SDK's own client, in this process."""
    async with Client(server, mode=era, **options) as connected:
        yield connected


async def ordered(connected: Client, **more: Any) -> dict[str, Any]:
    """One order's answer."""
    answer = await connected.call_tool("generate_video", {**ORDER, **more})
    assert not answer.is_error, answer.content[0].text
    return answer.structured_content


async def ended(connected: Client, look: dict[str, Any], **options: Any) -> Any:
    """`get_task`'s answer when nothing goes on any more: a busy machine takes longer than one call may wait."""
    for _ in range(8):
        answer: Any = await connected.call_tool("get_task", look, **options)
        facts = answer.structured_content
        if all(one["state"] in FINISHED or one.get("error") for one in facts.get("tasks", [facts])):
            break
    return answer
