"""A film: our durable record of a board being made, out of ordinary tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Literal, Protocol, TypeVar, get_args

from mcp_server.domain.task import StateWord, Task

FilmState = Literal["planned", "filming", "joining", "succeeded", "failed", "cancelled", "uncertain"]
FILM_STATES: Final = get_args(FilmState)
FILM_UNDER_WAY: Final[frozenset[FilmState]] = frozenset({"filming", "joining"})
"""Some process drives it; everything else waits for somebody's word."""

FILM_MOVES: Final[Mapping[FilmState, frozenset[FilmState]]] = {
    "planned": frozenset({"planned", "filming", "cancelled"}),
    "filming": frozenset({"joining", "failed", "cancelled", "uncertain"}),
    "joining": frozenset({"succeeded", "failed", "cancelled"}),
    # A film that ended is taken up again with a new wording, a shot to redo, or what was missing.
    "succeeded": frozenset({"planned", "filming"}),
    "failed": frozenset({"planned", "filming", "cancelled"}),
    "cancelled": frozenset({"planned", "filming"}),
    "uncertain": frozenset({"planned", "filming", "cancelled"}),
}
"""Every legal move; the record refuses all others."""


def film_states(word: StateWord | None) -> tuple[FilmState, ...] | None:
    """The states of films that a word for tasks means: all without one, none (None) where films know no such state."""
    if word is None:
        return FILM_STATES
    if word == "unfinished":
        return tuple(FILM_UNDER_WAY)
    return tuple(state for state in FILM_STATES if state == word) or None


Begin = Literal["cut", "continue", "dissolve", "multi-shot"]
"""`multi-shot`: a cut inside one clip, ordered together with the shot before."""
ShotProgress = Literal["open", "waiting", "making", "made", "failed", "uncertain", "blocked"]
"""`open` may be bought now, `waiting` when the shot before is made, `blocked` not at all as things are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmShot:
    """One piece of a film: how it will be bought, and the task it was bought as."""

    id: str
    begin: Begin
    seconds: int | None
    """None where the vendor or the file decides."""
    clip: str = ""
    """A file that is simply used; nothing is bought for it."""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """What is ordered, by the names of `generate_video`, with every choice said; the picture before is put in later."""
    revision: str = ""
    """What makes two shots the same purchase: the content of the board that decides the clip."""
    take: int = 0
    """Counts how often it was bought with the same words, because that was asked for or the one before failed."""
    offer: str = ""
    provider: str = ""
    model: str = ""
    tier: str = ""
    mode: str = ""
    quote: Mapping[str, Any] = field(default_factory=dict[str, Any])
    most_usd: Decimal | None = None
    """What it can cost at most; None when nobody knows."""
    audio: bool | None = None
    warnings: tuple[str, ...] = ()
    task_id: str = ""
    """The purchase; empty while there is none. Shots of one clip share it."""
    error: Mapping[str, Any] | None = None
    """Why it could not be bought, or what is wrong with its clip."""

    @property
    def bought(self) -> bool:
        """Whether there is nothing left to buy for it."""
        return bool(self.clip or self.task_id)

    @property
    def within(self) -> bool:
        """Whether it is a part of the clip that the shot before is ordered with: nothing is bought for it alone."""
        return self.begin == "multi-shot"

    @property
    def ordered(self) -> bool:
        """Whether an order is placed under its id: for itself, and for those within its clip."""
        return not self.clip and not self.within

    @property
    def continues(self) -> bool:
        """Whether its first frame is the last one of the shot before."""
        return self.begin == "continue" and not self.clip


class _Shot(Protocol):
    @property
    def within(self) -> bool: ...


_AnyShot = TypeVar("_AnyShot", bound=_Shot)


def clips_of(shots: Sequence[_AnyShot]) -> list[tuple[_AnyShot, ...]]:
    """The shots by the clip they are in: several of one multi-shot order, all others alone."""
    found: list[tuple[_AnyShot, ...]] = []
    for shot in shots:
        if shot.within and found:
            found[-1] = (*found[-1], shot)
        else:
            found.append((shot,))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """Our durable record of a board being made."""

    id: str
    state: FilmState
    created_at: float
    updated_at: float
    owner: str
    """Who makes it, where callers are told apart (HTTP)."""
    board: Mapping[str, Any]
    """As its author wrote it, as JSON."""
    digest: str
    """What makes two boards the same film."""
    simulated: bool
    draft: bool
    output_dir: str
    shots: tuple[FilmShot, ...]
    quote: Mapping[str, Any]
    """The price of the whole board, as an answer."""
    final_quote: Mapping[str, Any] | None = None
    """With a draft: what the same board costs as it was meant."""
    warnings: tuple[str, ...] = ()
    reserved_usd: Decimal = Decimal(0)
    """What is held back for shots that are still to be bought; each one takes its part along into its task."""
    allow_unknown_price: bool = False
    """Somebody's yes to a price that nobody publishes."""
    joined: Mapping[str, Any] | None = None
    """The finished film: its file, sheet and checks."""
    progress: int | None = None
    """Of the joining, in percent."""
    remaining_s: float | None = None
    error: Mapping[str, Any] | None = None
    note: str = ""
    finished_at: float | None = None

    @property
    def title(self) -> str:
        return str(self.board.get("title", ""))

    @property
    def under_way(self) -> bool:
        """Whether something happens by itself."""
        return self.state in FILM_UNDER_WAY

    def shot(self, shot_id: str) -> FilmShot:
        """The shot with this id; KeyError."""
        for shot in self.shots:
            if shot.id == shot_id:
                return shot
        raise KeyError(shot_id)


@dataclass(frozen=True, slots=True)
class ShotStanding:
    """One shot as it stands."""

    shot: FilmShot
    progress: ShotProgress
    task: Task | None = None
    defects: tuple[str, ...] = ()
    """What is wrong with its clip, as far as somebody could look into it."""
    why: str = ""
    """Why it waits or is blocked, or what became of it."""

    @property
    def within(self) -> bool:
        """Whether it is a part of the clip that the shot before is in."""
        return self.shot.within

    @property
    def path(self) -> str | None:
        """Its clip, where it is there: a path, or an address in the object store."""
        if self.shot.clip:
            return self.shot.clip
        return self.task.artifact.path if self.task is not None and self.task.artifact is not None else None
