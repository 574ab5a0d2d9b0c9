"""prebuilt.mp4, which is served without the `media` extra."""

from __future__ import annotations

from pathlib import Path

from mcp_server.sandbox.jobs import Scene
from mcp_server.sandbox.video.cache import PREBUILT
from mcp_server.sandbox.video.render import Clip, render

WORDS = "This clip is always the same. Install kling-video[media] to have what you ordered drawn here."
CLIP = Clip(width=640, height=360, audio=True, title="example", shots=(Scene(prompt=WORDS, seconds=5),))


def draw(path: Path = PREBUILT) -> None:
    """Draw it again; the same bytes for the same PyAV."""
    render(CLIP, path)
