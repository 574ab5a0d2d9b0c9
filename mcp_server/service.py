"""The story: plan -> buy -> follow -> tell. Everything a tool or a command does is one method here."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from functools import cached_property, partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

from mcp_server import media
from mcp_server.answers.models import models
from mcp_server.answers.shapes import (
    Balances,
    Estimate,
    FilmAnswer,
    Models,
    OrderAnswer,
    OrderedAnswer,
    Spend,
    TaskAnswer,
    TaskList,
)
from mcp_server.answers.spend import spend
from mcp_server.answers.tasks import linked, offer_line, order_answer, task_answer
from mcp_server.domain.film import film_states
from mcp_server.domain.task import names_film
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import KlingError, LocalError, RequestError, sentence
from mcp_server.ordering import limits
from mcp_server.ordering.plan import Plan, Planner
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.catalog import Catalog, Provider
    from mcp_server.domain.task import StateWord, Task
    from mcp_server.films.films import FilmOrder, Films
    from mcp_server.media.copies import Copies
    from mcp_server.media.fitted_copy import FittedCopy
    from mcp_server.media.progress import Progress
    from mcp_server.metrics import Reading
    from mcp_server.object_store import Link, ObjectStore
    from mcp_server.ordering.draft import Draft
    from mcp_server.ordering.earlier import Earlier
    from mcp_server.providers.accounts import Account
    from mcp_server.settings import Secret, Settings
    from mcp_server.tasks.callbacks import CallbackReceiver
    from mcp_server.tasks.runner import TaskRunner
    from mcp_server.tasks.store.base import Filter, NewTask
    from mcp_server.tasks.submit.kept_media import KeptMedia


READ_S = 3.0
"""How long the record may take to answer whoever only watches."""
WRITTEN_TO_S = 1.0
"""So long after it took a file, a folder is believed to take another: orders may come by the hundred."""


@dataclass
class Service:
    """One user's way to buy Kling videos."""

    settings: Settings
    load_catalog: Callable[[], Catalog]
    open_runner: Callable[[], TaskRunner]
    """Called at the first use that needs the record."""
    open_objects: Callable[[], ObjectStore]
    """Called at the first use of a clip that is not in a folder."""
    kept_media: Callable[[], KeptMedia]
    open_films: Callable[[TaskRunner, Planner], Films]
    account: Callable[[str, bool], Awaitable[Account]]
    now: Callable[[], float]
    closing: Callable[[], Awaitable[None]]
    """What else has to end, after the runner."""
    _written_to: dict[str, float] = field(default_factory=dict[str, float], init=False)
    """When a folder for clips was last seen to take a file."""
    _is_loaded: bool = field(default=False, init=False)
    """Whether words and schemas are: then a plan takes a few milliseconds."""
    _blindness_told: bool = field(default=False, init=False)
    """Whether it was said that nobody can look into clips here."""

    @cached_property
    def catalog(self) -> Catalog:
        return self.load_catalog()

    def load(self) -> None:
        """Import and read what a plan takes, words and schemas: not on a loop, which it would hold up for a while."""
        from mcp_server.language.lexicon import lexicon
        from mcp_server.ordering import draft

        draft.load()
        lexicon(self.load_catalog())
        self._is_loaded = True

    @cached_property
    def runner(self) -> TaskRunner:
        runner = self.open_runner()
        self.__dict__["films"] = self.open_films(runner, self.planner)
        return runner

    @cached_property
    def films(self) -> Films:
        """Films, which are made of tasks; opened with the runner, so that those of dead processes go on."""
        _ = self.runner
        films: Films = self.__dict__["films"]
        return films

    @cached_property
    def callbacks(self) -> CallbackReceiver:
        """What vendors post about jobs."""
        from mcp_server.providers.accounts import SANDBOX_CALLBACK_SECRET
        from mcp_server.providers.callbacks import secret_of
        from mcp_server.tasks.callbacks import CallbackReceiver

        def secret(facts: Provider) -> Secret | None:
            return secret_of(facts, self.settings)

        return CallbackReceiver(self.runner.runtime, secret, SANDBOX_CALLBACK_SECRET)

    @cached_property
    def objects(self) -> ObjectStore:
        return self.open_objects()

    @cached_property
    def copies(self) -> Copies:
        from mcp_server.media.copies import Copies

        return Copies()

    @cached_property
    def planner(self) -> Planner:
        return Planner(self.settings, self.catalog)

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.now(), UTC).date()

    async def estimate(self, arguments: VideoArguments, *, owner: str = "") -> Estimate:
        """What it would cost, here and elsewhere; spends nothing."""
        return self.priced(await self.prepare(arguments, owner=owner, buying=False))

    async def film_price(self, arguments: VideoArguments, *, owner: str = "") -> FilmAnswer | None:
        """The price of the film that an order longer than any clip is; None where it is none. Nothing is kept."""
        if (found := await self.long_order(arguments, owner=owner)) is None:
            return None
        order, why = found
        film = await self.films.price(order, owner=owner)
        return film.model_copy(update={"note": f"{why} {film.note}".strip()})

    def priced(self, draft: Draft) -> Estimate:
        """A draft as an answer: the offer chosen, its price, why, and what else would fit."""
        plan = draft.plan
        return Estimate(
            chosen=offer_line(plan.quote, has_key=plan.signed_in.reaches(plan.offer)),
            prompt=plan.checked.prompt,
            route=plan.route.because,
            others=[offer_line(quote, has_key=plan.signed_in.reaches(quote.checked.offer)) for quote in plan.others],
            dropped=dict(plan.route.dropped[:8]),
            count=plan.arguments.count,
            total=plan.total if plan.arguments.clips > 1 else None,
            warnings=list(plan.warnings),
            simulated=plan.simulated,
            next_step=self._after_estimate(plan),
        )

    async def prepare(self, arguments: VideoArguments, *, owner: str = "", buying: bool = True) -> Draft:
        """What would be bought, read, planned, priced and checked down to the vendor's schema; nothing is sent."""
        if not self._is_loaded:
            await asyncio.to_thread(self.load)
        from mcp_server.ordering import earlier
        from mcp_server.ordering.draft import draft
        from mcp_server.tasks.store.base import new_id

        arguments = await self.whole(arguments, owner=owner)
        limits.own_files(arguments, owner)
        before = earlier.Earlier()
        if earlier.named(arguments):
            before = await earlier.found(arguments, self.runner.store, owner, making=buying, objects=self.objects)
        if buying:
            await self._writable(self.settings.destination(arguments.output_dir))
        plan = await self._planned(arguments, before, buying=buying)
        # Files in words, too; what stands for a task of one's own was looked up here.
        unsaid = {name: () if name == "references" else None for name in before.media}
        limits.own_files(replace(plan.request, **unsaid), owner)
        facts = self.catalog.providers[plan.offer.provider]
        task_ids = [new_id(self.now()) for _ in range(arguments.clips)]
        return await draft(plan, facts, task_ids=task_ids, buying=buying)

    async def generate(
        self,
        arguments: VideoArguments,
        *,
        owner: str = "",
        wait_s: float = 10.0,
        confirmed: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> OrderAnswer:
        """Buy it, once: prepared and bought in one go. A key that is known is answered before anything else."""
        arguments = await self.whole(arguments, owner=owner)
        if (answer := await self.known(arguments, owner=owner)) is not None:
            return answer
        prepared = await self.prepare(arguments, owner=owner)
        return await self.buy(prepared, owner=owner, wait_s=wait_s, confirmed=confirmed, still=still)

    async def long_order(self, arguments: VideoArguments, *, owner: str = "") -> tuple[FilmOrder, str] | None:
        """What is longer than any clip that is sold, as the film its shots are, and why; None where it is none."""
        from mcp_server.films.films import FilmOrder
        from mcp_server.films.long_order import board_of, told

        arguments = await self.whole(arguments, owner=owner)
        request = self.planner.wanted(arguments)
        board = board_of(request, self.catalog) if arguments.clips == 1 else None
        return (
            None if board is None else (FilmOrder(board=board, output_dir=arguments.output_dir), told(board, request))
        )

    async def known(self, arguments: VideoArguments, *, owner: str = "") -> OrderAnswer | None:
        """The order that this idempotency key already stands for, if buying again would buy nothing."""
        arguments = await self.whole(arguments, owner=owner)
        limits.own_files(arguments, owner)
        known = await self._known(arguments, owner)
        if not known or (known[0].simulated and self._may_buy(arguments)):
            return None
        return await self._ordered(known, known=True)

    async def buy(
        self,
        draft: Draft,
        *,
        owner: str = "",
        wait_s: float = 10.0,
        confirmed: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> OrderAnswer:
        """Buy what was prepared, as it was shown: this offer, at this price, all of it or nothing.

        Answers when the vendor has accepted, at the latest after `wait_s`. `confirmed`: somebody said yes to the
        price. `still` is asked last of all whether it is wanted yet. Cancelling this coroutine never cancels the
        purchase: the process owns it.
        """
        plan = draft.plan
        if not plan.simulated and (known := await self._known(plan.arguments, owner)) and known[0].simulated:
            from mcp_server.tasks.store.admission import rehearsed

            raise rehearsed(known[0])
        agreed = limits.within(draft, self.settings, confirmed=confirmed)
        if plan.simulated:
            # Settings the sandbox cannot play with are refused here, not as an order that failed.
            await self.account(plan.offer.provider, True)
        place = self.settings.destination(plan.arguments.output_dir)
        order = await self._kept(draft.new_tasks(output_dir=place, owner=owner, agreed=agreed))
        if not still():
            raise limits.StoppedError("It was stopped before it was ordered")
        tasks, created = await self.runner.buy_all(order, wait_s=wait_s)
        return await self._ordered(tasks, known=not created)

    async def get(
        self,
        task_ids: Sequence[str],
        *,
        wait_s: float = 0,
        until: Literal["any", "all"] = "all",
        owner: str = "",
        on_progress: Callable[[list[TaskAnswer]], Awaitable[None]] | None = None,
    ) -> list[TaskAnswer]:
        """Tasks as they stand, after waiting up to `wait_s` for the end of any or all."""
        for task_id in task_ids:
            await self.runner.control.resume(task_id, owner)

        async def told(task: Task) -> None:
            if on_progress is not None:
                await on_progress([await self._answer(task)])

        tasks = await self.runner.wait(task_ids, timeout_s=wait_s, until=until, on_progress=told)
        return [self._told_once(await self._answer(task)) for task in tasks]

    async def go_on(self, ids: Sequence[str], *, owner: str = "") -> None:
        """Take up those of the films that only this machine stood in the way of: a full disk, a file that was gone."""
        if films := [each for each in ids if names_film(each)]:
            await self.films.go_on(films, owner=owner)

    async def get_any(
        self,
        ids: Sequence[str],
        *,
        wait_s: float = 0,
        until: Literal["any", "all"] = "all",
        owner: str = "",
        on_progress: Callable[[Sequence[OrderedAnswer]], Awaitable[None]] | None = None,
    ) -> list[OrderedAnswer]:
        """Tasks and films as they stand, after waiting up to `wait_s` for the end of any or all."""
        films = [each for each in ids if names_film(each)]
        tasks = [each for each in ids if not names_film(each)]
        looks: list[Coroutine[Any, Any, Sequence[OrderedAnswer]]] = []
        if tasks:
            looks.append(self.get(tasks, wait_s=wait_s, until=until, owner=owner, on_progress=on_progress))
        if films:
            looks.append(self.films.get(films, wait_s=wait_s, until=until, owner=owner, on_progress=on_progress))
        found = await _looked(looks, until)
        if left := [each for each in ids if each not in found]:
            # The others as they stand, once the first is there.
            found |= {each.id: each for each in await self.get_any(left, owner=owner)}
        return [found[each] for each in ids]

    def models(
        self,
        *,
        provider: str | None = None,
        model: str | None = None,
        tier: str | None = None,
        mode: str | None = None,
        detail: bool = False,
    ) -> Models:
        """What can be bought, short unless asked for more."""
        return models(
            self.catalog,
            signed_in=self.planner.signed_in,
            day=self.today,
            provider=provider,
            model=model,
            tier=tier,
            mode=mode,
            detail=detail,
        )

    async def tasks(
        self,
        *,
        search: str | None = None,
        state: StateWord | None = None,
        provider: str | None = None,
        before: str | None = None,
        limit: int = 20,
        owner: str = "",
    ) -> TaskList:
        """Earlier purchases, newest first; of a vendor only what was really ordered there."""
        from mcp_server.catalog.names import names
        from mcp_server.domain.task import states_of
        from mcp_server.tasks.store.base import Filter

        names(self.catalog).certain_provider(provider, SANDBOX)
        wanted = Filter(
            states=states_of(state),
            provider=None if provider == SANDBOX else provider,
            simulated=None if provider is None else provider == SANDBOX,
            text=search,
            before=before,
            owner=owner,
            limit=limit,
        )
        found = await self.runner.store.find(wanted)
        films = await self._films(wanted, state, provider)
        hint = "" if found or films else await self._nothing_found(state, owner)
        return TaskList(tasks=[await self._answer(task) for task in found], films=films, next_step=hint)

    async def _films(self, wanted: Filter, state: StateWord | None, provider: str | None) -> list[FilmAnswer]:
        """The films that the same filter means; of a vendor those with a shot of it."""
        states = film_states(state)
        if states is None:
            return []
        found = await self.films.find(
            states=states, text=wanted.text, simulated=wanted.simulated, owner=wanted.owner or "", limit=wanted.limit
        )
        theirs = [film for film in found if provider in (None, SANDBOX) or provider in film.providers]
        return [film.short() for film in theirs]

    async def _nothing_found(self, state: StateWord | None, owner: str) -> str:
        """What to do where no task matches: it must not lead to buying again what is under way or in doubt."""
        from mcp_server.domain.task import UNFINISHED
        from mcp_server.tasks.store.base import Filter

        store = self.runner.store
        if unfinished := await store.find(Filter(states=UNFINISHED, owner=owner, limit=100)):
            count = "100 or more" if len(unfinished) == 100 else str(len(unfinished))
            told = f"{count} unfinished; the newest is {unfinished[0].id}"
            return f"No task matches, but there are tasks under way ({told}). Look at them before ordering anything."
        if not await store.find(Filter(owner=owner, limit=1)):
            return "There is no task in this record yet. generate_video makes one."
        if state == "unfinished":
            return "Nothing is under way. list_tasks without a state shows what has ended."
        return "No task matches. list_tasks alone shows the newest; `search` looks for words of the prompt."

    async def named(self, name: str, *, owner: str = "") -> str:
        """The id of the task or film a person means: the id itself, the end of it that file names carry, or a file."""
        from mcp_server.domain.task import short_name
        from mcp_server.tasks.store.base import Filter

        ending = short_name(name)
        if ending is None:
            return name
        tasks = await self.runner.store.find(Filter(ending=ending, owner=owner, limit=5))
        ids = [task.id for task in tasks] + [film.id for film in await self.films.ending(ending, owner=owner)]
        if len(ids) > 1:
            raise RequestError(f"{name!r} could be {', '.join(ids)}", next_step="Say one of them", money="unknown")
        return ids[0] if ids else name

    async def cancel(self, task_id: str, *, owner: str = "", stop_following: bool = False) -> TaskAnswer:
        """Ask the vendor to stop where it can; the answer says what it said."""
        if stop_following:
            return await self._answer(await self.runner.control.stop_following(task_id, owner))
        cancelled = await self.runner.control.cancel(task_id, owner)
        answer = await self._answer(cancelled.task)
        return answer.model_copy(update={"note": sentence(cancelled.words)})

    async def stop(self, any_id: str, *, owner: str = "", stop_following: bool = False) -> OrderedAnswer:
        """A task or a film stopped, as far as it can be."""
        if not names_film(any_id):
            return await self.cancel(any_id, owner=owner, stop_following=stop_following)
        if stop_following:
            raise RequestError(
                "Only tasks can be left to themselves; a film is stopped as a whole",
                next_step="Leave stop_following out: shots that were bought are kept, the others are not bought",
                money="unknown",
            )
        return await self.films.cancel(any_id, owner=owner)

    async def whole(self, arguments: VideoArguments, *, owner: str = "") -> VideoArguments:
        """The arguments with those of the task they repeat (`again`) under them; else as they came."""
        if arguments.again is None:
            return arguments
        from mcp_server.ordering.again import repeated

        return repeated(await self.runner.store.get(arguments.again, owner), arguments, self.catalog)

    async def spend(self, *, days: int = 30, owner: str = "") -> Spend:
        """What was quoted and charged, and where the two differ; simulations are not in it."""
        from mcp_server.tasks.store.base import Filter, day_of

        since = self.now() - days * 86_400
        finished = await self.runner.store.find(
            Filter(states=("succeeded", "failed", "cancelled"), simulated=False, since=since, owner=owner, limit=1000)
        )
        return spend(
            await self.runner.store.spent(day_of(self.now() - (days - 1) * 86_400), owner),
            finished,
            today=day_of(self.now()),
            held=await self.films.held_back(owner),
            budget=self.settings.daily_budget_usd,
        )

    async def balances(self) -> Balances:
        """What is left behind every key, asked now of all vendors at once; spends nothing."""
        from mcp_server.ordering import balances

        transport = self.runner.runtime.transport
        accounts = [await self.account(name, False) for name in sorted(self.planner.signed_in.keyed)]
        lines = await asyncio.gather(*(balances.line(transport, account) for account in accounts))
        hint = "" if lines else "No key is set, so there is no account: the sandbox plays the vendors, for free."
        return Balances(accounts=lines, next_step=hint)

    async def look(self, task_ids: Sequence[str], *, owner: str = "") -> list[TaskAnswer]:
        """Tasks as they stand, for whoever only watches: nothing is waited for, and what was left is not taken up."""
        found = await self.runner.store.many(task_ids)
        return [await self._answer(task) for task in found if task.owner == owner]

    async def sheet(self, task_id: str, *, owner: str = "") -> Path:
        """The contact sheet of a finished clip, made beside it when it is not there yet; a film has its own."""
        from mcp_server.media import isolated

        if names_film(task_id):
            return Path(await self._here(await self.films.sheet(task_id, owner=owner)))
        task = await self.runner.store.get(task_id, owner)
        return await isolated.sheet(await self._here(_file(task)), task.request.get("shots", ()))

    async def poster(self, task_id: str, *, owner: str = "") -> Path:
        """A small picture of a finished clip: whoever shows many need not load them. Who looked into it left one."""
        from mcp_server.media import isolated

        task = await self.runner.store.get(task_id, owner)
        made = isolated.poster_at(self.settings.posters, task)
        return made if made.exists() else await isolated.poster(await self._here(_file(task)), made)

    async def last_frame(self, task_id: str, *, owner: str = "") -> Path:
        """The last frame of a finished clip or film as PNG, to go on from."""
        from mcp_server.media import isolated

        return await isolated.last_frame(str(await self.file(task_id, owner=owner)))

    async def fitted(
        self, task_id: str, megabytes: float, *, owner: str = "", wait_s: float | None = None
    ) -> FittedCopy | Progress:
        """A copy of a finished clip or film in at most so many million bytes; after `wait_s` how far it is."""
        return await self.copies.get(str(await self.file(task_id, owner=owner)), megabytes, wait_s=wait_s)

    async def file(self, any_id: str, *, owner: str = "") -> Path:
        """The file of a task or a film on this machine, fetched where it lies elsewhere; RequestError without one."""
        if names_film(any_id):
            return Path(await self._here(await self.films.file(any_id, owner=owner)))
        return Path(await self._here(_file(await self.runner.store.get(any_id, owner))))

    async def handed(self, file: Path) -> str:
        """Where a caller gets at a file that was made of a clip: its path, or a link where clips are in a store."""
        if self.settings.bucket is None:
            return str(file)
        address = await self.objects.put_made(file, f"{self.settings.bucket}/clips")
        return (await self.objects.link(address)).url

    async def _here(self, place: str) -> str:
        return str(await self.objects.local(place))

    async def move(self, task_id: str, output_dir: str) -> TaskAnswer:
        """An unfinished task's clip goes to another folder, which is made and written to once before."""
        folder = self.settings.destination(output_dir)
        await self._writable(folder)
        return await self._answer(await self.runner.control.move(task_id, folder))

    async def settle(
        self, task_id: str, *, bought: bool, job_id: str | None = None, owner: str | None = None
    ) -> TaskAnswer:
        """What the user found out about an order whose answer was lost; with the vendor's job id it is followed.

        Without an owner it is whoever keeps this home, who settles anybody's.
        """
        return await self._answer(
            await self.runner.control.settle_uncertain(task_id, bought=bought, job_id=job_id, owner=owner)
        )

    async def checks(self) -> Mapping[str, bool]:
        """Whether each thing that an order needs can be used now: the record, the clips' folder, the loops."""
        return {
            "record": await self._readable(),
            "clips": await asyncio.to_thread(_can_be_made, self.settings.output_dir),
            "loops": not self.settings.has_record or self.runner.alive,
        }

    async def metrics(self) -> str:
        """Everything this process counts, as Prometheus reads it, and what there is to see of a shared record."""
        from mcp_server import __version__

        more: list[Reading] = [("kling_build_info", {"version": __version__}, 1)]
        with contextlib.suppress(KlingError, TimeoutError):
            async with asyncio.timeout(READ_S):
                more += await self.runner.store.readings()
        return self.runner.runtime.metrics.text(more)

    async def _readable(self) -> bool:
        try:
            async with asyncio.timeout(READ_S):
                await self.runner.store.readings()
        except (KlingError, TimeoutError):
            return False
        return True

    async def start(self) -> None:
        """Go on with whatever an earlier process left unfinished; nothing where there is no record yet."""
        if self.settings.has_record:
            await self.runner.start()

    async def close(self) -> None:
        """Hand over cleanly."""
        if "copies" in self.__dict__:
            await self.copies.close()
        if "runner" in self.__dict__:
            await self.films.close()
            await self.runner.close()
            await self.runner.runtime.transport.aclose()
        await self.closing()

    async def _known(self, arguments: VideoArguments, owner: str) -> list[Task]:
        """The tasks this key stands for, before anything is routed, priced or uploaded again."""
        from mcp_server.tasks.store.base import Filter

        found: list[Task] = []
        for key in arguments.keys:
            found += await self.runner.store.find(Filter(key=key, owner=owner, limit=1))
        # Another request under the same key is the record's to refuse, in the transaction that would create it.
        same = len(found) == len(arguments.keys) and all(task.request_digest == arguments.digest for task in found)
        return found if same else []

    def _may_buy(self, arguments: VideoArguments) -> bool:
        """Whether these arguments could cost money now."""
        return arguments.provider != SANDBOX and bool(self.planner.signed_in)

    async def _planned(self, arguments: VideoArguments, before: Earlier, *, buying: bool) -> Plan:
        """The plan; one of long words is made beside the loop, which serves others."""
        planned = partial(self.planner.plan, arguments, day=self.today, earlier=before, buying=buying)
        return await asyncio.to_thread(planned) if arguments.big else planned()

    async def _writable(self, place: str) -> None:
        """Nothing, or the refusal of a folder no clip could be saved in; an object store is a worker's to look at."""
        from mcp_server.tasks.download.files import writable

        if not is_object(place) and monotonic() - self._written_to.get(place, float("-inf")) > WRITTEN_TO_S:
            await asyncio.to_thread(writable, Path(place))
            self._written_to[place] = monotonic()

    async def _kept(self, order: Sequence[NewTask]) -> Sequence[NewTask]:
        if not order[0].local_media:
            return order
        # Variations differ in their ids and keys alone.
        first = await self.kept_media().kept(order[0])
        return [replace(new, request=first.request, local_media=first.local_media) for new in order]

    async def _ordered(self, tasks: Sequence[Task], *, known: bool) -> OrderAnswer:
        return order_answer([await self._answer(task, bought_now=True, known=known) for task in tasks])

    async def _answer(self, task: Task, *, bought_now: bool = False, known: bool = False) -> TaskAnswer:
        poll_after_s = None if task.finished else await self.runner.pacing.poll_after_s(task)
        expected_s = None if task.finished else await self.runner.pacing.expected_s(task)
        answer = task_answer(task, bought_now=bought_now, known=known, poll_after_s=poll_after_s, expected_s=expected_s)
        if task.artifact is None or not is_object(task.artifact.path):
            return answer
        return linked(answer, *await self._link(task.artifact.path))

    async def _link(self, place: str) -> tuple[Link | None, str]:
        """A link to what lies in the object store, or why there is none now."""
        try:
            return await self.objects.link(place), ""
        except LocalError as error:
            return None, error.story

    def _told_once(self, answer: TaskAnswer) -> TaskAnswer:
        """With the first finished clip: that nobody can look into clips here, where that is so."""
        if answer.state != "succeeded" or self._blindness_told or media.available():
            return answer
        self._blindness_told = True
        return answer.model_copy(update={"note": f"{answer.note} {media.WITHOUT}".strip()})

    def _after_estimate(self, plan: Plan) -> str:
        if plan.simulated:
            return (
                "No key is set, so generate_video would run a free simulation of this. "
                "`kling-video auth PROVIDER` stores a key for the real thing."
                if not plan.signed_in
                else "generate_video with provider=sandbox rehearses this for free."
            )
        return "Tell the user the price; when they agree, call generate_video with the same arguments."


async def _looked(
    looks: Sequence[Coroutine[Any, Any, Sequence[OrderedAnswer]]], until: Literal["any", "all"]
) -> dict[str, OrderedAnswer]:
    """What all of them found, or the first; the others are left."""
    begun = [asyncio.ensure_future(look) for look in looks]
    when = asyncio.FIRST_COMPLETED if until == "any" else asyncio.FIRST_EXCEPTION
    try:
        done, _ = await asyncio.wait(begun, return_when=when)
        return {each.id: each for one in done for each in one.result()}
    finally:
        for each in begun:
            each.cancel()
        await asyncio.gather(*begun, return_exceptions=True)


def _can_be_made(folder: Path) -> bool:
    """Whether files can be written there, or the folder made."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return place.is_dir() and os.access(place, os.W_OK | os.X_OK)


def _file(task: Task) -> str:
    if task.artifact is None:
        raise RequestError(f"Task {task.id} is {task.state}: there is no file yet", money="unknown")
    return task.artifact.path
