"""An order longer than any clip that is sold, which says its shots: it becomes a board."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from mcp_server.films.board import Board, from_arguments

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Catalog, Offer
    from mcp_server.domain.request import Shot, VideoRequest

_LOOK: Final = ("tier", "provider", "aspect_ratio", "resolution", "audio")
_ONE_CLIP: Final = (
    *("negative_prompt", "cfg_scale", "video", "audio_file", "source_task", "options", "off_peak"),
    *("not_tiers", "not_models", "not_providers"),
)
"""What a board has no word for: such an order is one clip, or none."""
_TITLE_MAX: Final = 60
_LONGER: Final = (
    "This is longer than any clip that is sold, so it is planned as a film of its shots; nothing is bought."
)


def board_of(request: VideoRequest, catalog: Catalog) -> Board | None:
    """The board of these shots; None where they are one, fit into one clip, or want what a board cannot say."""
    sold = [seconds for offer in catalog.offers if _could(offer, request, catalog) for seconds in offer.durations]
    total = request.duration or sum(shot.duration or 0 for shot in request.shots)
    if len(request.shots) < 2 or not sold or total <= max(sold) or any(getattr(request, name) for name in _ONE_CLIP):
        return None
    lengths = _lengths(request.shots, request.duration, min(sold), max(sold))
    look: dict[str, Any] = {name: value for name in _LOOK if (value := getattr(request, name)) is not None}
    if (model := request.vendor_model or request.model) is not None:
        look["model"] = model
    if request.prompt.strip():
        look["style"] = request.prompt
    shots: list[dict[str, Any]] = [
        {"id": f"shot-{number}", "prompt": shot.prompt}
        | ({} if seconds is None else {"duration": seconds})
        | ({"cast": ["cast"]} if request.references else {})
        for number, (shot, seconds) in enumerate(zip(request.shots, lengths, strict=True), 1)
    ]
    for shot, place in ((shots[0], "image"), (shots[-1], "end_image")):
        if (picture := getattr(request, place)) is not None:
            shot[place] = picture
    board: dict[str, Any] = {"title": _title(request.shots[0].prompt), "look": look, "shots": shots}
    if request.references:
        board["cast"] = {"cast": {"pictures": list(request.references)}}
    return from_arguments(board)


def told(board: Board, request: VideoRequest) -> str:
    """What whoever ordered one clip should know."""
    seconds = sum(shot.duration or 0 for shot in board.shots)
    if request.duration is None or seconds == request.duration:
        return _LONGER
    return f"{_LONGER} Its shots come to {seconds} of {request.duration} s: say how long each is, or add one."


def _could(offer: Offer, request: VideoRequest, catalog: Catalog) -> bool:
    """Whether a shot could be ordered there, as far as it was named."""
    if offer.not_sold_because or offer.mode != (request.mode or "text-to-video"):
        return False
    named = request.model in (None, offer.model) and request.tier in (None, offer.tier)
    asked = request.model is not None or not catalog.models[offer.model].by_name
    return named and asked and request.provider in (None, offer.provider)


def _lengths(shots: Sequence[Shot], total: int | None, shortest: int, longest: int) -> list[int | None]:
    """Each shot's own length, else its part of what the others leave, as far as such a clip is sold."""
    open_shots = sum(shot.duration is None for shot in shots)
    if total is None or not open_shots:
        return [shot.duration for shot in shots]
    each, odd = divmod(max(0, total - sum(shot.duration or 0 for shot in shots)), open_shots)
    found: list[int | None] = []
    for shot in shots:
        part = each + (odd > 0)
        odd -= shot.duration is None
        found.append(shot.duration or min(longest, max(shortest, part)))
    return found


def _title(prompt: str) -> str:
    line = " ".join(prompt.split()).rstrip(".")
    return line if len(line) <= _TITLE_MAX else f"{line[:_TITLE_MAX].rsplit(' ', 1)[0]} …"
