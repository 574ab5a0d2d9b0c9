"""The player that hosts with MCP Apps show beside an order: progress, then the clip, its route and its price."""

from __future__ import annotations

from pathlib import Path

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.mcpserver.resources import FileResource

from mcp_server.server.tools.declarations import CLIP_ORIGINS, PLAYER

PAGE = Path(__file__).with_name("player.html")


def player() -> Apps:
    """The extension with its one page."""
    apps = Apps()
    apps.add_resource(
        FileResource(
            uri=PLAYER,
            name="player",
            title="Kling player",
            description="Progress of an ordered Kling video, then the clip with its route and price.",
            mime_type=APP_MIME_TYPE,
            encoding="utf-8",
            path=PAGE,
            # Small clips come through `resources/read`; large ones play from where they are, as far as that is known.
            meta={"ui": {"csp": {"resourceDomains": list(CLIP_ORIGINS)}, "prefersBorder": True}},
        )
    )
    return apps
