"""Films: plan a board, buy it, follow it, stop it. One method for everything a tool or a command does with a film."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

from mcp_server import media
from mcp_server.answers.films import film_answer, unkept_step, whole
from mcp_server.answers.tasks import linked
from mcp_server.domain.film import FILM_UNDER_WAY
from mcp_server.errors import ArgumentError, KlingError, LocalError, RequestError
from mcp_server.films import board_media
from mcp_server.films.board import Board, checked, from_arguments
from mcp_server.films.order import standing
from mcp_server.films.plan import FilmPlan, FilmPlanner
from mcp_server.films.shots import digest
from mcp_server.ordering import limits
from mcp_server.providers.media_inputs import SLOTS, kind_of, located
from mcp_server.settings import is_object
from mcp_server.tasks.follow.waiters import set_within
from mcp_server.tasks.store.base import new_id
from mcp_server.tasks.store.film_store import FilmFilter, FilmUnderWayError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost, FilmAnswer
    from mcp_server.domain.film import Film, FilmState, ShotStanding
    from mcp_server.films.filming import FilmDriver
    from mcp_server.object_store import ObjectStore
    from mcp_server.ordering.plan import Planner
    from mcp_server.settings import Settings
    from mcp_server.tasks.runner import TaskRunner
    from mcp_server.tasks.store.film_store import FilmStore

UNFINISHED_FILM: tuple[FilmState, ...] = ("planned", *FILM_UNDER_WAY)
"""A film in such a state is the one that a board just like it means."""

_MOST_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmOrder:
    """What somebody wants of a film."""

    board: Board | None = None
    film_id: str | None = None
    redo: tuple[str, ...] = ()
    draft: bool | None = None
    """None: as the film was."""
    max_cost_usd: Decimal | None = None
    accept_unknown_price: bool = False
    output_dir: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmDraft:
    """A film as it can be shown, agreed to and bought."""

    film: Film
    plan: FilmPlan
    order: FilmOrder

    @property
    def simulated(self) -> bool:
        return self.film.simulated

    @property
    def total(self) -> Cost:
        """The price of the whole board."""
        return self.plan.quote

    @property
    def most_usd(self) -> Decimal | None:
        """What the whole board can cost at most; None when nobody knows."""
        return self.plan.most_usd

    @property
    def to_buy(self) -> Cost:
        """The price of what is not bought yet."""
        return whole([shot for shot in self.film.shots if not shot.bought])


@dataclass
class Films:
    """One user's films."""

    settings: Settings
    planner: Planner
    runner: TaskRunner
    records: FilmStore
    driver: FilmDriver
    objects: ObjectStore

    async def make(self, order: FilmOrder, *, owner: str = "", buying: bool = False) -> FilmAnswer:
        """The film planned, and with `buying` bought as far as it is not: within the limit named, or not at all.

        A film that is being made already is answered as it stands.
        """
        if (going := await self.going(order, owner=owner)) is not None:
            return going
        draft = await self.prepare(order, owner=owner)
        return await (self.buy(draft) if buying else self.keep(draft))

    async def prepare(self, order: FilmOrder, *, owner: str = "") -> FilmDraft:
        """What would be filmed, planned and priced down to each shot's offer; nothing is sent or written down."""
        before = None if order.film_id is None else await self.records.get(order.film_id, owner)
        board = order.board or (from_arguments(before.board) if before else None)
        if board is None:
            raise ArgumentError("There is no board to film", next_step="Give `board`, or the film_id of an earlier one")
        checked(board)
        board_media.own_files(board, order.output_dir, owner)
        draft = bool(before and before.draft) if order.draft is None else order.draft
        resolved, simulations = await board_media.resolved(board, self.runner.store, owner, self.objects)
        day = datetime.fromtimestamp(self.runner.runtime.clock.now(), UTC).date()
        plan = await asyncio.to_thread(FilmPlanner(self.planner).plan, resolved, day=day, draft=draft)
        if simulations and not plan.simulated:
            raise RequestError(
                f"{' and '.join(simulations)} are simulations: their clips are test pictures, and this film is real",
                next_step="Name clips that were made for real",
            )
        film = await self._film(board, plan, before, order, owner)
        return FilmDraft(film=film, plan=plan, order=order)

    async def price(self, order: FilmOrder, *, owner: str = "") -> FilmAnswer:
        """The film as it would be planned, with the price of each shot and of all; nothing is written down."""
        film = (await self.prepare(order, owner=owner)).film
        answer = await self.answer(film)
        if await self.records.many([film.id]):
            return answer
        return answer.model_copy(update={"film_id": "", "next_step": unkept_step(film)})

    async def keep(self, draft: FilmDraft) -> FilmAnswer:
        """The plan written down, so that it can be bought by its id; nothing is bought."""
        if (going := await self._made_now(draft)) is not None:
            return going
        self.runner.runtime.failpoint("film.before_record")
        film = await self.records.plan(replace(await self._reachable(draft.film), state="planned"))
        self.runner.runtime.failpoint("film.recorded")
        return await self.answer(film)

    async def buy(
        self,
        draft: FilmDraft,
        *,
        confirmed: bool = False,
        beforehand: bool = False,
        ask_above_usd: Decimal | None = None,
    ) -> FilmAnswer:
        """Film what was prepared, as it was shown: all of it within what was agreed to, or nothing."""
        if (going := await self._made_now(draft)) is not None:
            return going
        order = draft.order
        agreed = limits.agreed(
            draft,
            self.settings,
            max_cost_usd=order.max_cost_usd,
            said=order.max_cost_usd is not None,
            accept_unknown_price=order.accept_unknown_price,
            confirmed=confirmed,
            beforehand=beforehand,
            ask_above_usd=ask_above_usd,
        )
        if not media.available():
            raise RequestError(
                "A film cannot be joined here",
                why=media.WITHOUT,
                next_step="Install the extra `media`, then call again",
            )
        from mcp_server.tasks.download.files import writable

        if not is_object(draft.film.output_dir):
            await asyncio.to_thread(writable, Path(draft.film.output_dir))
        film = await self._reachable(draft.film)
        await self.runner.start()
        self.runner.runtime.failpoint("film.before_record")
        lease = await self.records.start(replace(film, allow_unknown_price=agreed), self.runner.budget)
        self.runner.runtime.failpoint("film.started")
        if self.records.at_once:
            self.driver.drive(lease)
        return await self.answer(lease.film)

    async def get(
        self,
        film_ids: Sequence[str],
        *,
        wait_s: float = 0,
        until: Literal["any", "all"] = "all",
        owner: str = "",
        on_progress: Callable[[Sequence[FilmAnswer]], Awaitable[None]] | None = None,
    ) -> list[FilmAnswer]:
        """Films as they stand, after waiting up to `wait_s` for the end of any or all."""
        films = [await self.records.get(film_id, owner) for film_id in film_ids]
        await self.runner.start()
        clock, waiters = self.runner.runtime.clock, self.runner.waiters
        end, shown = clock.monotonic() + wait_s, ""
        event = waiters.join(film_ids)
        ids = {*film_ids, *(shot.task_id for film in films for shot in film.shots if shot.task_id)}
        try:
            while True:
                event.clear()
                films = await self.records.many(film_ids)
                ids |= {shot.task_id for film in films for shot in film.shots if shot.task_id}
                waiters.follow(ids, event)
                answers = [await self.answer(film) for film in films]
                face = repr([_face(answer) for answer in answers])
                if on_progress is not None and face != shown:
                    shown = face
                    await on_progress(answers)
                over = [not film.under_way for film in films]
                left = end - clock.monotonic()
                if left <= 0 or not over or (any(over) if until == "any" else all(over)):
                    return answers
                await set_within(event, left, clock.sleep)
        finally:
            waiters.leave(ids, event)

    async def go_on(self, film_ids: Sequence[str], *, owner: str = "") -> None:
        """Join what this machine could not join before: all its shots are made, so nothing is bought."""
        for film_id in film_ids:
            film = await self.records.get(film_id, owner)
            if not await self._unjoined(film):
                continue
            await self.runner.start()
            # Another call may be a moment ahead.
            with suppress(FilmUnderWayError):
                lease = await self.records.start(film, self.runner.budget)
                if self.records.at_once:
                    self.driver.drive(lease)

    async def cancel(self, film_id: str, *, owner: str = "") -> FilmAnswer:
        """Stop what is not bought, ask the vendors to stop what is, and say what each comes to."""
        film = await self.records.get(film_id, owner)
        stopped = await self.records.cancel(film_id)
        if stopped is None:
            answer = await self.answer(film)
            why = "It was cancelled before." if film.state == "cancelled" else "There is nothing to stop: it is made."
            return answer.model_copy(update={"note": why})
        self.driver.stop(film_id)
        self.driver.told(stopped)
        said: list[str] = []
        for each in await self.driver.standing(stopped):
            if each.shot.within:
                continue
            if each.task is not None and not each.task.finished:
                said.append(await self._stop(each, owner))
            elif not each.shot.bought:
                said.append(f"{each.shot.id}: not bought, it cost nothing")
        answer = await self.answer(await self.records.get(film_id, owner))
        return answer.model_copy(update={"note": "; ".join(said) or "Nothing of it was under way."})

    async def held_back(self, owner: str = "") -> Decimal:
        """What films under way hold back for shots that are not bought yet."""
        under_way = FilmFilter(states=tuple(FILM_UNDER_WAY), simulated=False, owner=owner, limit=_MOST_AT_ONCE)
        return sum((film.reserved_usd for film in await self.records.find(under_way)), Decimal(0))

    async def find(
        self,
        *,
        states: Sequence[FilmState] = (),
        text: str | None = None,
        owner: str = "",
        simulated: bool | None = None,
        limit: int = 20,
    ) -> list[FilmAnswer]:
        """Earlier films, newest first."""
        found = await self.records.find(
            FilmFilter(states=tuple(states), text=text, simulated=simulated, owner=owner, limit=limit)
        )
        return [await self.answer(film) for film in found]

    async def ending(self, ending: str, *, owner: str = "") -> list[Film]:
        """The films whose id ends so."""
        return await self.records.find(FilmFilter(ending=ending, owner=owner, limit=5))

    async def file(self, film_id: str, *, owner: str = "") -> str:
        """Where the joined file lies; RequestError while there is none."""
        return _there(await self.records.get(film_id, owner), "path")

    async def sheet(self, film_id: str, *, owner: str = "") -> str:
        """Where the contact sheet of the joined film lies: a row for each shot, and the frames around each seam."""
        return _there(await self.records.get(film_id, owner), "sheet")

    async def answer(self, film: Film) -> FilmAnswer:
        """The film as callers read it."""
        answer, place = film_answer(film, await self.driver.standing(film)), (film.joined or {}).get("path", "")
        if film.state != "succeeded" or not is_object(place):
            return answer
        try:
            return linked(answer, await self.objects.link(place))
        except LocalError as error:
            return linked(answer, None, error.story)

    async def close(self) -> None:
        """Give every film to the other processes."""
        await self.driver.close()

    async def going(self, order: FilmOrder, *, owner: str = "") -> FilmAnswer | None:
        """The film that is being made already, where nothing about it is to be changed."""
        if order.film_id is None or order.board is not None or order.redo or order.draft is not None:
            return None
        film = await self.records.get(order.film_id, owner)
        return await self.answer(film) if film.under_way else None

    async def _reachable(self, film: Film) -> Film:
        """The film with what its shots are made of where every machine that may make them gets at it."""
        if not self.settings.made_elsewhere:
            return film
        media = self.driver.orders.media
        if film.board.get("sound") and self.settings.bucket is not None:
            raise RequestError(
                "A sound of this machine cannot be laid under a film that another machine joins",
                next_step="Leave `sound` out, and lay it under the finished film",
            )

        async def kept(said: Any) -> Any:
            if isinstance(said, list):
                return [await kept(each) for each in cast("list[Any]", said)]
            path = located(said) if isinstance(said, str) and kind_of(said) == "file" else None
            return await media.keep(path) if path is not None and path.is_file() else said

        shots = [
            replace(
                shot,
                clip=await kept(shot.clip) if shot.clip else "",
                arguments={name: await kept(said) if name in SLOTS else said for name, said in shot.arguments.items()},
            )
            for shot in film.shots
        ]
        return replace(film, shots=tuple(shots))

    async def _made_now(self, draft: FilmDraft) -> FilmAnswer | None:
        """The film as it stands, where the very same one is being made: nothing is bought again."""
        if not draft.film.under_way or draft.order.redo:
            return None
        film = await self.records.get(draft.film.id)
        if film.digest != draft.film.digest:
            return None
        return (await self.answer(film)).model_copy(update={"note": "This film is being made already."})

    async def _unjoined(self, film: Film) -> bool:
        """Whether all its shots are made, and only this machine stood in the way of joining them."""
        if film.state != "failed" or (film.error or {}).get("code") != LocalError.code:
            return False
        return all(each.progress == "made" for each in await self.driver.standing(film))

    async def _stop(self, each: ShotStanding, owner: str) -> str:
        try:
            outcome = await self.runner.control.cancel(each.shot.task_id, owner)
        except KlingError as error:
            return f"{each.shot.id} ({each.shot.task_id}): {error.what}"
        return f"{each.shot.id} ({each.shot.task_id}): {outcome.words}"

    async def _film(self, board: Board, plan: FilmPlan, before: Film | None, order: FilmOrder, owner: str) -> Film:
        """The film's row as it will be, each shot with the purchase it already is."""
        from mcp_server.domain.film import Film

        _known_shots(order.redo, plan)
        written = board.written()
        face = digest({"board": written, "draft": plan.draft})
        if before is None:
            same = await self.records.find(
                FilmFilter(states=UNFINISHED_FILM, digest=face, owner=owner, simulated=plan.simulated, limit=1)
            )
            before = same[0] if same else None
        shots = await standing(
            plan.shots, self.records, title=board.title, owner=owner, simulated=plan.simulated, redo=order.redo
        )
        earlier = before.output_dir if before is not None and order.output_dir is None else ""
        now = self.runner.runtime.clock.now()
        return Film(
            id=before.id if before else new_id(now, "kf"),
            state=before.state if before else "planned",
            created_at=before.created_at if before else now,
            updated_at=now,
            owner=owner,
            board=written,
            digest=face,
            simulated=plan.simulated,
            draft=plan.draft,
            output_dir=earlier or self.settings.destination(order.output_dir),
            shots=shots,
            quote=plan.quote.facts(),
            final_quote=plan.final_quote.facts() if plan.final_quote else None,
            warnings=plan.warnings,
            joined=before.joined if before else None,
        )


def _there(film: Film, what: Literal["path", "sheet"]) -> str:
    path = (film.joined or {}).get(what) if film.state == "succeeded" else None
    if not path:
        raise RequestError(f"Film {film.id} is {film.state}: it has no file yet", money="unknown")
    return str(path)


def _known_shots(redo: Sequence[str], plan: FilmPlan) -> None:
    known = {shot.id: shot for shot in plan.shots}
    for shot_id in redo:
        if shot_id not in known:
            near = get_close_matches(shot_id, known, n=1)
            raise ArgumentError(
                f"The board has no shot {shot_id!r} to redo",
                why=f"the nearest is {near[0]}" if near else f"its shots are {', '.join(known)}",
            )
        if known[shot_id].clip:
            raise ArgumentError(f"Shot {shot_id!r} uses a clip as it is: there is nothing to buy again")


def _face(answer: FilmAnswer) -> tuple[object, ...]:
    """What of a film is worth telling again when it changed."""
    shots = tuple((shot.state, shot.progress, shot.task_id) for shot in answer.shots)
    return answer.state, answer.progress, answer.note, shots
