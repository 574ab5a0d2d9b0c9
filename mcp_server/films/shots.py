"""One shot of a board as an order: its words, its pictures, and what makes two shots the same purchase."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_server.domain.arguments import VideoArguments
from mcp_server.films.board import Board, BoardShot, Look
from mcp_server.providers.media_inputs import kind_of, located

LAST_FRAME: Final = "last-frame.png"
"""Stands in the place of the picture a shot continues from, which is there when the shot before is made."""
_LOOK: Final = ("tier", "model", "provider", "aspect_ratio", "resolution", "audio")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One way to order a shot, and what it leaves out of what the board says."""

    arguments: VideoArguments
    left_out: tuple[str, ...] = ()


def words(shot: BoardShot, board: Board) -> str:
    """The prompt as it is ordered: the scene, who is in it, the style of the film."""
    notes = [f"{name}: {note}" for name in shot.cast if (note := board.cast[name].note)]
    parts = [shot.prompt or "", *notes, board.look.style or ""]
    return " ".join(
        part.strip() if part.strip()[-1] in ".!?…" else f"{part.strip()}." for part in parts if part.strip()
    )


def pictures(clip: Sequence[BoardShot], board: Board) -> list[str]:
    """The pictures of everybody in it, each once."""
    return list(dict.fromkeys(picture for name in _cast(clip) for picture in board.cast[name].pictures))


def ways(clip: Sequence[BoardShot], board: Board, look: Look) -> Iterator[Wanted]:
    """How a shot, or several as one clip, could be ordered: as it is wanted first, then with less, as far as that
    can be done without.
    """
    shot = clip[0]
    given: dict[str, Any] = {name: value for name in _LOOK if (value := getattr(look, name)) is not None}
    if len(clip) > 1:
        given["shots"] = [{"prompt": words(each, board), "duration": each.duration} for each in clip]
    else:
        given["prompt"] = words(shot, board)
        if shot.duration is not None:
            given["duration"] = shot.duration
    image = LAST_FRAME if shot.begin == "continue" else shot.image
    given |= {name: value for name, value in (("image", image), ("end_image", clip[-1].end_image)) if value is not None}
    references = pictures(clip, board)
    from_picture = "image" in given or "end_image" in given
    for with_cast in (True, False) if references else (False,):
        left_out = () if with_cast or not references else (_without_cast(clip),)
        asked = given | ({"references": references} if with_cast else {})
        shaped = {name: value for name, value in asked.items() if name != "aspect_ratio"}
        if shot.begin == "continue":
            # The frame it begins with has the shape of the film already.
            yield Wanted(VideoArguments.model_validate(shaped), left_out)
            continue
        yield Wanted(VideoArguments.model_validate(asked), left_out)
        if "aspect_ratio" in asked and (from_picture or with_cast):
            told = "its shape is that of its picture: no offer at hand takes a picture and a shape"
            yield Wanted(VideoArguments.model_validate(shaped), (*left_out, told))


def _cast(clip: Sequence[BoardShot]) -> list[str]:
    """Who is in it."""
    return list(dict.fromkeys(name for shot in clip for name in shot.cast))


def _without_cast(clip: Sequence[BoardShot]) -> str:
    return (
        f"the pictures of {' and '.join(_cast(clip))} are not used: no offer at hand takes them for such a shot; "
        "who they are is said in words alone"
    )


def revision(clip: Sequence[BoardShot], board: Board, *, draft: bool) -> str:
    """What decides the clip, as one word: two with the same are the same purchase."""
    if len(clip) > 1:
        return digest({"shots": [revision([shot], board, draft=draft) for shot in clip]})[:24]
    (shot,) = clip
    look = board.look
    content: dict[str, Any] = {
        "look": {"provider": look.provider} if draft else {name: getattr(look, name) for name in _LOOK},
        "draft": draft,
        "prompt": words(shot, board),
        "duration": shot.duration,
        "continues": shot.begin == "continue",
        "image": _content(shot.image),
        "end_image": _content(shot.end_image),
        "cast": [_content(picture) for picture in pictures(clip, board)],
    }
    return digest(content)[:24]


def digest(content: Mapping[str, Any]) -> str:
    """The hash of JSON, whatever the order of its names."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _content(medium: str | None) -> str | None:
    """A medium by what is in it, where it lies here; by its address elsewhere."""
    if medium is None or kind_of(medium) != "file":
        return medium
    path = located(medium)
    try:
        return medium if path is None else f"file:{hashlib.sha256(Path(path).read_bytes()).hexdigest()}"
    except OSError:
        # It is looked for, and missed in words, when the shot is planned.
        return medium
