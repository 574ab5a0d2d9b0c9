"""The promises of every record of films, and what a change makes of one; no SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Protocol, TypedDict, Unpack, cast

from mcp_server.domain.film import FILM_MOVES, Film, FilmShot, FilmState, clips_of
from mcp_server.domain.task import Task
from mcp_server.errors import RequestError, UnknownTaskError
from mcp_server.tasks.store.base import Budget, Lease, NewTask
from mcp_server.tasks.store.moves import IllegalMoveError


@dataclass(frozen=True, slots=True)
class FilmLease:
    """A film this process may drive, with the proof."""

    film: Film
    number: int


class FilmChanges(TypedDict, total=False):
    """What can become of a film."""

    state: FilmState
    shots: tuple[FilmShot, ...]
    reserved_usd: Decimal
    joined: dict[str, Any] | None
    progress: int | None
    remaining_s: float | None
    error: dict[str, Any] | None
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmFilter:
    """Which films to list; what is None does not matter."""

    states: tuple[FilmState, ...] = ()
    text: str | None = None
    """Words in the title and in the shots."""
    simulated: bool | None = None
    digest: str | None = None
    """What was written of the board, and whether it is a draft."""
    ending: str | None = None
    """What the film's id ends with."""
    owner: str | None = None
    limit: int = 20


class FilmUnderWayError(RequestError):
    """The film is being made: what it is made of cannot be changed meanwhile."""

    code = "film_under_way"


class FilmStore(Protocol):
    """Where films are written down, beside their tasks and in the same transactions."""

    @property
    def at_once(self) -> bool:
        """Whether a film is driven by the process that starts it; else by one that follows tasks."""
        ...

    async def plan(self, film: Film) -> Film:
        """The film as it is planned now, recorded; FilmUnderWayError where it is being made."""
        ...

    async def start(self, film: Film, budget: Budget) -> FilmLease:
        """The film under way, with the money of all its shots held back in one transaction.

        BudgetError where the day has not as much left, FilmUnderWayError where another call was first.
        """
        ...

    async def buy(self, lease: FilmLease, shot_id: str, new: NewTask) -> tuple[Film | None, Lease | None]:
        """The shot's purchase written down, with its part of what the film holds back, in one transaction.

        Under a key that is known it is that purchase, and nothing is paid. A lease only where this process is to send
        it; no film where this process does not drive it any more.
        """
        ...

    async def change(
        self, lease: FilmLease, what: str = "", *, money: bool = False, **changes: Unpack[FilmChanges]
    ) -> Film | None:
        """What happened, by who drives it; None when that is not this process any more."""
        ...

    async def driven(self, lease: FilmLease) -> Film | None:
        """The film as it stands; None when this process does not drive it any more."""
        ...

    async def cancel(self, film_id: str) -> Film | None:
        """The film stopped, nothing held back and nobody driving it; None where there is nothing to stop."""
        ...

    async def get(self, film_id: str, owner: str | None = None) -> Film:
        """The film as it stands; UnknownTaskError."""
        ...

    async def many(self, ids: Iterable[str]) -> list[Film]:
        """Those of the films that exist and can be read."""
        ...

    async def find(self, wanted: FilmFilter) -> list[Film]:
        """The films that match, newest first."""
        ...

    async def keyed(self, owner: str, keys: Iterable[str]) -> dict[str, Task]:
        """The tasks that stand under these keys."""
        ...

    async def take_over(self) -> list[FilmLease]:
        """Films under way that no living process drives; from now on it is ours."""
        ...

    async def leased(self) -> set[str]:
        """Ids of the films this process drives."""
        ...

    async def release(self, film_ids: Iterable[str]) -> None:
        """Give films to whoever takes them over next."""
        ...


def planned(film: Film, before: Film | None, now: float) -> Film:
    """The film as it is planned now; FilmUnderWayError, IllegalMoveError."""
    refuse_driven(before)
    made = replace(film, created_at=before.created_at if before else now, updated_at=now)
    if before is not None:
        check_move(before, made)
    return made


def started(film: Film, before: Film | None, now: float) -> Film:
    """The film under way, with what its unbought shots can cost held back; FilmUnderWayError, IllegalMoveError."""
    refuse_driven(before)
    made = replace(
        film,
        state="filming",
        reserved_usd=sum((most or Decimal(0) for most in unpaid(film)), Decimal(0)),
        created_at=before.created_at if before else now,
        updated_at=now,
        finished_at=None,
        error=None,
        joined=before.joined if before else None,
    )
    if before is not None:
        check_move(before, made)
    return made


def unpaid(film: Film) -> list[Decimal | None]:
    """What each shot that is still to be bought costs at most; a simulation costs nothing."""
    return [] if film.simulated else [shot.most_usd for shot in film.shots if shot.ordered and not shot.bought]


def with_purchase(film: Film, shot_id: str, task_id: str) -> FilmChanges:
    """What becomes of a film whose shot, with all in one order with it, is this purchase: that part is free again."""
    shots = tuple(
        replace(shot, task_id=task_id, error=None) if clip[0].id == shot_id else shot
        for clip in clips_of(film.shots)
        for shot in clip
    )
    if film.simulated:
        return {"shots": shots, "reserved_usd": Decimal(0)}
    left = sum((shot.most_usd or Decimal(0) for shot in shots if not shot.bought), Decimal(0))
    return {"shots": shots, "reserved_usd": min(film.reserved_usd, left)}


def film_changed(film: Film, changes: FilmChanges, now: float) -> Film:
    """The film with these changes; IllegalMoveError."""
    changed = replace(film, updated_at=now, **cast("dict[str, Any]", changes))
    check_move(film, changed)
    return changed if changed.under_way else replace(changed, finished_at=film.finished_at or now)


STOPPED: FilmChanges = {"state": "cancelled", "reserved_usd": Decimal(0), "progress": None}


def owned(found: Sequence[Film], film_id: str, owner: str | None) -> Film:
    """The film that was found under this id, if it is this owner's (None: anybody's); UnknownTaskError."""
    if found and (owner is None or found[0].owner == owner):
        return found[0]
    raise UnknownTaskError(
        f"There is no film {film_id!r} in this record",
        why="it was made elsewhere, under another KLING_HOME, or the id is misspelt",
        next_step="list_tasks shows every film and task of this record",
    )


def refuse_driven(film: Film | None) -> None:
    """Nothing, or FilmUnderWayError."""
    if film is not None and film.under_way:
        raise FilmUnderWayError(
            f"Film {film.id} is {film.state}",
            why="what it is made of cannot be changed while it is made",
            next_step=f"get_task {film.id} follows it; cancel_task stops it, and what is bought is kept",
        )


def check_move(before: Film, after: Film) -> None:
    """Nothing, or IllegalMoveError: a defect of this program."""
    if after.state != before.state and after.state not in FILM_MOVES[before.state]:
        raise IllegalMoveError(f"{before.id}: {before.state} → {after.state}")
