"""Filming: one process drives a film from its first shot to its file, each shot bought once, whatever dies in between.

A film is driven under a lease like a task's. Every decision is read from the record and written back under that
lease, so that another process goes on exactly where this one ended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_server.domain.film import Film, FilmState, ShotStanding
from mcp_server.errors import ClipError, KlingError, LocalError
from mcp_server.films.order import ShotOrders
from mcp_server.films.standing import GOING, standings
from mcp_server.settings import is_object
from mcp_server.tasks.follow.waiters import set_within
from mcp_server.tasks.store.base import Lease, LeaseLostError, NewTask
from mcp_server.tasks.store.film_store import FilmLease, FilmStore

if TYPE_CHECKING:
    from mcp_server.tasks.runner import TaskRunner

_log = logging.getLogger("kling_video.films")
AGAIN_S: Final = 5.0
"""After trouble with the record, or a defect of ours."""
LOOK_S: Final = 30.0
"""How long a film sleeps at most while its shots are made; a change of one of them wakes it."""

Told = Callable[[int, float | None], Awaitable[None]]
Join = Callable[[Film, Sequence[ShotStanding], Told, Callable[[str], None]], Awaitable[dict[str, Any]]]
"""Joins the clips of a film; told how far it is, in percent, how many seconds are left, and of each step it passes."""


@dataclass
class FilmDriver:
    """Every film this process drives."""

    runner: TaskRunner
    records: FilmStore
    orders: ShotOrders
    join: Join
    _driving: dict[str, asyncio.Task[None]] = field(default_factory=dict[str, "asyncio.Task[None]"], init=False)

    def __len__(self) -> int:
        return len(self._driving)

    def drive(self, lease: FilmLease) -> None:
        """Work on the film until it ends or the lease is lost."""
        film_id = lease.film.id
        self.stop(film_id)
        self._driving[film_id] = made = asyncio.create_task(self._drive(lease), name=f"kling-{film_id}")
        made.add_done_callback(lambda done: self._ended(film_id, done))

    def stop(self, film_id: str) -> None:
        """Work on it no more; its shots are tasks, and go on."""
        if (driving := self._driving.pop(film_id, None)) is not None:
            driving.cancel()

    async def take_over(self) -> None:
        """Go on with films nobody living drives."""
        for lease in await self.records.take_over():
            _log.info("Film %s (%s) is made here now", lease.film.id, lease.film.state)
            self.drive(lease)

    async def let_go(self) -> None:
        """Stop driving what others took over meanwhile."""
        for film_id in set(self._driving) - await self.records.leased():
            self.stop(film_id)

    async def close(self) -> None:
        """Give every film to the other processes."""
        driving, self._driving = self._driving, {}
        for each in driving.values():
            each.cancel()
        await asyncio.gather(*driving.values(), return_exceptions=True)
        await self.records.release(driving)

    def told(self, film: Film) -> None:
        """Wake whoever waits for this film."""
        self.runner.waiters.wake(film.id)

    def _ended(self, film_id: str, done: asyncio.Task[None]) -> None:
        if self._driving.get(film_id) is done:
            del self._driving[film_id]

    async def _drive(self, lease: FilmLease) -> None:
        while True:
            try:
                film = await self._driven(lease)
                if film.state == "filming":
                    film = await self._filmed(lease)
                if film.state == "joining":
                    await self._joined(lease, film)
                return
            except LeaseLostError:
                return
            except KlingError as error:
                _log.warning("Film %s waits: %s", lease.film.id, error.what)
            except Exception:
                # A defect of ours must not leave a film half made, with money held back for it.
                _log.exception("Film %s: a round failed", lease.film.id)
            await self.runner.runtime.clock.sleep(AGAIN_S)

    async def _driven(self, lease: FilmLease) -> Film:
        film = await self.records.driven(lease)
        if film is None:
            raise LeaseLostError(lease.film.id)
        return film

    async def _filmed(self, lease: FilmLease) -> Film:
        """Buy what can be bought, whenever something changed, until every shot has come out one way or the other."""
        event = asyncio.Event()
        waiters, clock = self.runner.waiters, self.runner.runtime.clock
        ids: set[str] = {lease.film.id}
        try:
            while True:
                event.clear()
                film = await self._driven(lease)
                # Followed before they are read: what changes from now on is seen or heard.
                ids |= {shot.task_id for shot in film.shots if shot.task_id}
                waiters.follow(ids, event)
                standing = await self.standing(film)
                if await self._buy_next(lease, film, standing):
                    continue
                if not any(each.progress in GOING for each in standing):
                    return await self._all_shots_ended(lease, film, standing)
                await set_within(event, LOOK_S, clock.sleep)
        finally:
            waiters.leave(ids, event)

    async def standing(self, film: Film) -> list[ShotStanding]:
        """Every shot as its task stands."""
        tasks = await self.runner.store.many(shot.task_id for shot in film.shots if shot.task_id)
        return standings(film, {task.id: task for task in tasks})

    async def _buy_next(self, lease: FilmLease, film: Film, standing: Sequence[ShotStanding]) -> bool:
        """Buy every shot whose turn it is, as many at once as its vendor gets from us; whether any was."""
        making = Counter(each.shot.provider for each in standing if each.progress == "making" and each.shot.ordered)
        bought = False
        for number, each in enumerate(standing):
            limit = self.runner.runtime.catalog.providers[each.shot.provider].concurrency if each.shot.provider else 0
            if not each.shot.ordered or each.progress != "open" or making[each.shot.provider] >= limit:
                continue
            making[each.shot.provider] += 1
            film = await self._buy(lease, film, each, standing[number - 1] if number else None)
            bought = True
        return bought

    async def _buy(self, lease: FilmLease, film: Film, one: ShotStanding, before: ShotStanding | None) -> Film:
        """The film with this shot bought, or with the reason why it could not be."""
        shot = one.shot
        try:
            new = await self.orders.new_task(film, shot, before.path if before else None)
        except LeaseLostError:
            raise
        except KlingError as error:
            return await self._change(
                lease,
                f"shot {shot.id} could not be bought: {error.what}",
                money=True,
                shots=tuple(
                    replace(each, error=error.as_dict()) if each.id == shot.id else each for each in film.shots
                ),
            )
        self.runner.runtime.failpoint("film.before_shot")
        found: list[Film] = []
        await self.runner.buy_with(lambda: self._recorded(lease, shot.id, new, found))
        self.told(found[0])
        return found[0]

    async def _recorded(self, lease: FilmLease, shot_id: str, new: NewTask, found: list[Film]) -> Lease | None:
        changed, task = await self.records.buy(lease, shot_id, new)
        if changed is None:
            raise LeaseLostError(lease.film.id)
        found.append(changed)
        self.runner.runtime.failpoint("film.shot_recorded")
        return task

    async def _all_shots_ended(self, lease: FilmLease, film: Film, standing: Sequence[ShotStanding]) -> Film:
        """On to the joining, or to the end that says which shots are missing."""
        self.runner.runtime.failpoint("film.shots_made")
        missing = [each for each in standing if each.progress != "made"]
        if not missing:
            return await self._change(
                lease, "every shot is made", money=True, state="joining", reserved_usd=Decimal(0), progress=0
            )
        doubtful = [each for each in missing if each.progress == "uncertain" and each.shot.ordered]
        state: FilmState = "uncertain" if doubtful else "failed"
        return await self._change(
            lease,
            "; ".join(f"{each.shot.id}: {each.why}" for each in missing)[:500],
            money=True,
            state=state,
            reserved_usd=Decimal(0),
            error=_unmade(film, missing, doubtful).as_dict(),
        )

    async def _joined(self, lease: FilmLease, film: Film) -> Film:
        """The film's file, joined and checked; where it cannot be, the film stays and says why."""
        standing = await self.standing(film)
        if gone := [each for each in standing if each.path is None or not _there(each.path)]:
            return await self._failed_to_join(lease, _gone(film, gone))
        failpoint = self.runner.runtime.failpoint
        failpoint("film.before_join")

        async def told(progress: int, remaining_s: float | None) -> None:
            await self._change(lease, progress=progress, remaining_s=remaining_s)

        try:
            joined = await self.join(film, standing, told, lambda step: failpoint(f"film.{step}"))
        except KlingError as error:
            error.next_step = _to_join(film, error)
            return await self._failed_to_join(lease, error)
        failpoint("film.joined")
        made = await self._change(
            lease, "joined", money=True, state="succeeded", joined=joined, progress=None, remaining_s=None, error=None
        )
        failpoint("film.finished")
        return made

    async def _failed_to_join(self, lease: FilmLease, error: KlingError) -> Film:
        error.money = "charged" if not lease.film.simulated else "not_spent"
        return await self._change(
            lease,
            f"not joined: {error.what}",
            money=True,
            state="failed",
            error=error.as_dict(),
            progress=None,
            remaining_s=None,
        )

    async def _change(self, lease: FilmLease, what: str = "", *, money: bool = False, **changes: Any) -> Film:
        film = await self.records.change(lease, what, money=money, **changes)
        if film is None:
            raise LeaseLostError(lease.film.id)
        self.told(film)
        return film


def _unmade(film: Film, missing: Sequence[ShotStanding], doubtful: Sequence[ShotStanding]) -> KlingError:
    """Why there is no film, shot by shot, and what to do."""
    named = ", ".join(each.shot.id for each in missing)
    again = [each.shot.id for each in missing if each.shot.ordered and each.progress in ("failed", "uncertain")]
    flawed = [
        before.id
        for before, each in zip(film.shots, film.shots[1:], strict=False)
        if any(one.shot.id == each.id and one.progress == "blocked" and "flaw" in one.why for one in missing)
    ]
    redo = [*again, *flawed]
    first = (
        f"Settle {' and '.join(each.shot.task_id for each in doubtful)} first (`kling-video settle`): "
        "it may have been charged. "
        if doubtful
        else ""
    )
    return KlingError(
        f"{len(missing)} of {len(film.shots)} shots are not made: {named}",
        why="; ".join(f"{each.shot.id}: {each.why}" for each in missing),
        next_step=f"{first}make_film with film_id {film.id}, redo {redo} and max_cost_usd buys only these anew; the "
        "others are kept",
        money="not_spent" if film.simulated else "may_have_been_charged" if doubtful else "unknown",
    )


def _joins(film: Film) -> str:
    return f"get_task with task_id {film.id} and wait_s up to 25 joins it, and nothing is bought again"


def _to_join(film: Film, error: KlingError) -> str:
    """What to do about a film whose clips are there and which could not be joined."""
    if isinstance(error, ClipError):
        return error.next_step
    if error.details.get("unwritable"):
        elsewhere = f"make_film with film_id {film.id}, output_dir and max_cost_usd puts it into another folder"
        return f"Let that folder be written to; then {_joins(film)}. Or {elsewhere}"
    return "; then ".join(filter(None, (error.next_step, _joins(film))))


def _there(place: str) -> bool:
    """Whether it is there; an object that is not shows when it is fetched."""
    return is_object(place) or Path(place).is_file()


def _gone(film: Film, missing: Sequence[ShotStanding]) -> LocalError:
    paths = ", ".join(str(each.path) for each in missing)
    redo = [each.shot.id for each in missing if not each.shot.clip]
    anew = f". Or make_film with film_id {film.id}, redo {redo} and max_cost_usd buys it again" if redo else ""
    return LocalError(
        f"The clip of {' and '.join(each.shot.id for each in missing)} is not there any more: {paths}",
        why="it was moved or deleted, and the film is made of it",
        next_step=f"Put it back; then {_joins(film)}{anew}",
    )
