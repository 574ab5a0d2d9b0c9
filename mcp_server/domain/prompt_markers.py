"""Names of pictures and clips inside a prompt, where a vendor asks for them: `<<<image_1>>>`."""

from __future__ import annotations

import re

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import VideoRequest


def missing(request: VideoRequest, offer: Offer) -> tuple[str, ...]:
    """The names this offer wants to read and the prompt does not say."""
    wanted = [offer.reference_marker.format(n=n) for n in range(1, len(request.references) + 1)]
    if request.given("video"):
        wanted.append(offer.video_marker)
    return tuple(name for name in wanted if name and name not in request.prompt)


def stray(request: VideoRequest, offer: Offer) -> tuple[str, ...]:
    """The names the prompt says although nothing of that kind goes in."""
    there = len(request.references)
    found = [
        name
        for name, number in _images(request.prompt, offer.reference_marker)
        if not number.isdecimal() or not 1 <= int(number) <= there
    ]
    if offer.video_marker and offer.video_marker in request.prompt and not request.given("video"):
        found.append(offer.video_marker)
    return tuple(dict.fromkeys(found))


def _images(prompt: str, marker: str) -> list[tuple[str, str]]:
    if not marker:
        return []
    before, after = (re.escape(part) for part in marker.split("{n}"))
    return [(match.group(0), match.group(1)) for match in re.finditer(f"{before}(\\w+){after}", prompt)]
