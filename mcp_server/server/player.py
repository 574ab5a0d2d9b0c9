"""The player that hosts with MCP Apps show beside an order: progress, then the clip, its route and its price."""

from __future__ import annotations

import json
from pathlib import Path

from mcp.server.apps import APP_MIME_TYPE, Apps
from mcp.server.mcpserver.resources import FileResource

from mcp_server.server.tools.declarations import PLAYER

PAGE = Path(__file__).with_name("player.html")
CLIP_ORIGINS = Path(__file__).with_name("clip_origins.json")
"""Where vendors say their clips lie, generated from their facts: read there, a start would take 3 ms longer."""


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
            meta={
                "ui": {
                    "csp": {"resourceDomains": json.loads(CLIP_ORIGINS.read_text(encoding="utf-8"))},
                    "prefersBorder": True,
                }
            },
        )
    )
    return apps
