"""The board: the shots of a film as their author wrote them, in a tool's call or in a TOML or JSON file."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from mcp_server.domain.arguments import Medium, Name, Scene, Seconds, at_most, type_none
from mcp_server.domain.described import Described
from mcp_server.domain.parsing import read
from mcp_server.domain.task import names_task
from mcp_server.domain.vocabulary import Tier
from mcp_server.errors import ArgumentError, RequestError

SHOTS_MAX: Final = 100
FILE_MAX: Final = 1024 * 1024
"""A board of a hundred shots with the longest prompts takes half of it."""
SUFFIXES: Final = (".toml", ".json")

_ID: Final = re.compile(r"[\w-]+")


def _id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise ValueError("an id is one word of letters, digits, - and _")
    return text


ShotId = Annotated[str, at_most(40), AfterValidator(_id)]


class _Strict(Described, BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Look(_Strict):
    """What all shots of a film share."""

    tier: Tier | type_none = None
    model: Name | type_none = None
    provider: Name | type_none = None
    aspect_ratio: Name | type_none = None
    resolution: Literal["720p", "1080p", "4k"] | type_none = None
    audio: bool | type_none = None
    style: Scene | type_none = None
    """For every prompt"""


class CastMember(_Strict):
    """Somebody or something that stays the same from shot to shot."""

    pictures: Annotated[list[Medium], at_most(50)] = []
    note: Scene | type_none = None


class BoardShot(_Strict):
    """One shot, as it is wanted."""

    id: ShotId
    prompt: Scene | type_none = None
    duration: Seconds | type_none = None
    begin: Literal["cut", "continue", "dissolve", "multi-shot"] = "cut"
    """continue: from the last frame before; multi-shot: in one order with it"""
    image: Medium | type_none = None
    end_image: Medium | type_none = None
    cast: Annotated[list[Name], at_most(50)] = []
    clip: Medium | type_none = None
    """task_id or file to use"""

    @property
    def within(self) -> bool:
        """Whether it is a part of the clip that the shot before is ordered with."""
        return self.begin == "multi-shot"


class Board(_Strict):
    """A whole film."""

    title: Name
    look: Look = Look()
    cast: dict[str, CastMember] = {}
    """name"""
    shots: Annotated[list[BoardShot], Field(min_length=1), at_most(SHOTS_MAX)]
    sound: Medium | type_none = None
    """File laid under it all"""

    def written(self) -> dict[str, Any]:
        """What its author said, as JSON."""
        return self.model_dump(mode="json", exclude_unset=True, exclude_none=True)


def from_file(path: Path) -> Board:
    """The board in a file; what it names relatively lies beside it."""
    if path.suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"{path} is no board", why=f"a board is a {' or '.join(SUFFIXES)} file")
    try:
        if path.stat().st_size > FILE_MAX:
            raise ArgumentError(f"{path} is no board", why=f"it has more than {FILE_MAX:,} bytes")
        text = path.read_text(encoding="utf-8-sig")
        found: object = tomllib.loads(text) if path.suffix.lower() == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise RequestError(f"The board {path} cannot be read", why=str(reason)) from error
    if not isinstance(found, Mapping):
        raise ArgumentError(f"{path} is no board", why="it holds no object with `title` and `shots`")
    return _beside(from_arguments(found), path.absolute().parent)  # type: ignore[reportUnknownArgumentType]


def from_arguments(given: Mapping[str, Any]) -> Board:
    """The board as it came in a call: strict, and every mistake named in one line."""
    return checked(read(Board, given))


def checked(board: Board) -> Board:
    """The board, or the refusal of what cannot be filmed whoever sells it; a line for each mistake."""
    if problems := tuple(_mistakes(board)):
        raise ArgumentError(
            problems[0] if len(problems) == 1 else f"{len(problems)} things in the board cannot be filmed",
            problems=problems,
            why="" if len(problems) == 1 else "; ".join(problems),
            next_step="Correct the board and call again",
        )
    return board


def _mistakes(board: Board) -> Iterator[str]:
    for shot_id, times in Counter(shot.id for shot in board.shots).items():
        if times > 1:
            yield f"{times} shots have the id {shot_id!r}; each needs its own, so that one of them can be redone"
    before: BoardShot | None = None
    for shot in board.shots:
        problems = [*_wrong(shot, board, first=before is None), *_not_within(shot, before)]
        yield from (f"shot {shot.id!r}: {problem}" for problem in problems)
        before = shot


def _wrong(shot: BoardShot, board: Board, *, first: bool) -> Iterator[str]:
    if first and shot.begin != "cut":
        yield f"it is the first, so there is nothing to {_TO[shot.begin]}; leave `begin` out"
    if shot.begin == "continue" and shot.image is not None:
        yield "`image` and `begin: continue` both say how it begins; leave one out"
    for name in shot.cast:
        if name not in board.cast:
            known = ", ".join(board.cast) or "nobody"
            yield f"the cast has no {name!r}; in `cast` is {known}"
    if shot.clip is None:
        if not (shot.prompt or "").strip():
            yield "`prompt` is missing: say what is seen, or name a `clip` to use"
        return
    ordered = [name for name in ("prompt", "duration", "image", "end_image", "cast") if getattr(shot, name)]
    if ordered:
        yield f"`clip` is used as it is, so {' and '.join(f'`{name}`' for name in ordered)} would do nothing"
    if shot.begin == "continue":
        yield "`clip` is used as it is, so it cannot continue another; begin with cut or dissolve"
    if shot.begin == "multi-shot":
        yield "`clip` is used as it is, so it is in no order with another; begin with cut or dissolve"


_TO: Final = {"continue": "continue from", "dissolve": "dissolve from", "multi-shot": "be in one order with"}


def _not_within(shot: BoardShot, before: BoardShot | None) -> Iterator[str]:
    """Why it cannot be a part of the clip that the shot before is ordered as."""
    if shot.begin != "multi-shot" or before is None:
        return
    if before.clip is not None:
        yield f"{before.id} is a clip that is there, so nothing can be ordered together with it; begin with cut"
    if shot.image is not None:
        yield "`image` is a clip's first frame, and it is inside of one; begin with cut"
    for one in (before, shot):
        if one.clip is None and one.duration is None:
            yield f"`duration` of {one.id} is missing: of shots in one order each says its seconds"
    if before.end_image is not None:
        yield f"`end_image` of {before.id} is a clip's last frame, and this shot is in the same clip; begin with cut"


def _beside(board: Board, folder: Path) -> Board:
    """The same with whole paths in the place of relative ones."""

    def placed(medium: str | None) -> str | None:
        if medium is None or not _relative(medium):
            return medium
        return str(folder / medium)

    def member(one: CastMember) -> CastMember:
        return one.model_copy(update={"pictures": [placed(picture) for picture in one.pictures]})

    shots = [
        shot.model_copy(update={name: placed(given) for name in _FILES if (given := getattr(shot, name)) is not None})
        for shot in board.shots
    ]
    cast = {name: member(one) if one.pictures else one for name, one in board.cast.items()}
    update: dict[str, Any] = {"shots": shots}
    if board.cast:
        update["cast"] = cast
    if board.sound is not None:
        update["sound"] = placed(board.sound)
    return board.model_copy(update=update)


_FILES: Final = ("image", "end_image", "clip")


def _relative(medium: str) -> bool:
    """Whether it is a path that means something only beside the board."""
    from mcp_server.providers.media_inputs import kind_of

    text = medium.strip()
    is_path = kind_of(text) == "file" and not text.lower().startswith("file:") and not names_task(text)
    return is_path and not text.startswith("~") and not Path(text).is_absolute()
