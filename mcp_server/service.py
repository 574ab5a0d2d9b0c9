"""The story: plan -> buy -> follow -> tell. Everything a tool or a command does is one method here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from mcp_server import media
from mcp_server.answers.models import models
from mcp_server.answers.shapes import Estimate, Models, Spend, TaskAnswer, TaskList
from mcp_server.answers.spend import spend
from mcp_server.answers.tasks import offer_line, task_answer
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import RequestError, sentence
from mcp_server.ordering import limits
from mcp_server.ordering.plan import Plan, Planner, SourceTask

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.catalog import Catalog
    from mcp_server.domain.task import StateWord, Task
    from mcp_server.ordering.draft import Draft
    from mcp_server.providers.accounts import Account
    from mcp_server.settings import Settings
    from mcp_server.tasks.runner import TaskRunner

OURS = re.compile(r"^kv-\d{6}-[0-9a-z]{12}$")
"""What our own task ids look like; anything else named as a source is the vendor's id."""


@dataclass
class Service:
    """One user's way to buy Kling videos."""

    settings: Settings
    load_catalog: Callable[[], Catalog]
    open_runner: Callable[[], TaskRunner]
    """Called at the first use that needs the store."""
    account: Callable[[str, bool], Awaitable[Account]]
    now: Callable[[], float]
    closing: Callable[[], Awaitable[None]]
    """What else has to end, after the runner."""
    _blindness_told: bool = field(default=False, init=False)
    """Whether it was said that nobody can look into clips here."""

    @cached_property
    def catalog(self) -> Catalog:
        return self.load_catalog()

    @cached_property
    def runner(self) -> TaskRunner:
        return self.open_runner()

    @cached_property
    def planner(self) -> Planner:
        return Planner(self.settings, self.catalog)

    @property
    def today(self) -> date:
        return datetime.fromtimestamp(self.now(), UTC).date()

    async def estimate(self, arguments: VideoArguments, *, owner: str = "") -> Estimate:
        """What it would cost, here and elsewhere; spends nothing."""
        return self.priced(await self.prepare(arguments, owner=owner, buying=False))

    def priced(self, draft: Draft) -> Estimate:
        """A draft as an answer: the offer chosen, its price, why, and what else would fit."""
        plan = draft.plan
        return Estimate(
            chosen=offer_line(plan.quote, has_key=plan.offer.provider in plan.signed_in),
            prompt=plan.checked.prompt,
            route=plan.route.because,
            others=[offer_line(quote, has_key=quote.checked.offer.provider in plan.signed_in) for quote in plan.others],
            dropped=dict(plan.route.dropped[:8]),
            warnings=list(plan.warnings),
            simulated=plan.simulated,
            next_step=self._after_estimate(plan),
        )

    async def prepare(self, arguments: VideoArguments, *, owner: str = "", buying: bool = True) -> Draft:
        """What would be bought, read, planned, priced and checked down to the vendor's schema; nothing is sent."""
        from mcp_server.ordering.draft import draft
        from mcp_server.tasks.store.base import new_id

        limits.own_files(arguments, owner)
        source = await self._source(arguments, owner)
        if buying:
            await self._writable(self.settings.folder(arguments.output_dir))
        plan = self.planner.plan(arguments, day=self.today, source=source, buying=buying)
        facts = self.catalog.providers[plan.offer.provider]
        return await draft(plan, facts, task_id=new_id(self.now()), buying=buying)

    async def generate(
        self,
        arguments: VideoArguments,
        *,
        owner: str = "",
        wait_s: float = 10.0,
        confirmed: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> TaskAnswer:
        """Buy one clip, once: prepared and bought in one go. A key that is known is answered before anything else."""
        if (answer := await self.known(arguments, owner=owner)) is not None:
            return answer
        prepared = await self.prepare(arguments, owner=owner)
        return await self.buy(prepared, owner=owner, wait_s=wait_s, confirmed=confirmed, still=still)

    async def known(self, arguments: VideoArguments, *, owner: str = "") -> TaskAnswer | None:
        """The task that this idempotency key already stands for, if buying again would buy nothing."""
        limits.own_files(arguments, owner)
        known = await self._known(arguments, owner)
        if known is None or (known.simulated and self._may_buy(arguments)):
            return None
        return await self._answer(known, bought_now=True, known=True)

    async def buy(
        self,
        draft: Draft,
        *,
        owner: str = "",
        wait_s: float = 10.0,
        confirmed: bool = False,
        still: Callable[[], bool] = lambda: True,
    ) -> TaskAnswer:
        """Buy what was prepared, as it was shown: this offer, at this price.

        Answers when the vendor has accepted, at the latest after `wait_s`. `confirmed`: somebody said yes to the
        price. `still` is asked last of all whether it is wanted yet. Cancelling this coroutine never cancels the
        purchase: the process owns it.
        """
        plan = draft.plan
        if not plan.simulated and (known := await self._known(plan.arguments, owner)) is not None and known.simulated:
            from mcp_server.tasks.store.admission import rehearsed

            raise rehearsed(known)
        agreed = limits.within(draft, self.settings, confirmed=confirmed)
        if plan.simulated:
            # Settings the sandbox cannot play with are refused here, not as an order that failed.
            await self.account(plan.offer.provider, True)
        folder = self.settings.folder(plan.arguments.output_dir)
        new = draft.new_task(output_dir=folder, owner=owner, agreed=agreed)
        if not still():
            raise limits.StoppedError("It was stopped before it was ordered")
        task, created = await self.runner.buy(new, wait_s=wait_s)
        return await self._answer(task, bought_now=True, known=not created)

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
            owner=owner,
            limit=limit,
        )
        found = await self.runner.store.find(wanted)
        hint = "" if found else await self._nothing_found(state, owner)
        return TaskList(tasks=[await self._answer(task) for task in found], next_step=hint)

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

    async def cancel(self, task_id: str, *, owner: str = "", stop_following: bool = False) -> TaskAnswer:
        """Ask the vendor to stop where it can; the answer says what it said."""
        if stop_following:
            return await self._answer(await self.runner.control.stop_following(task_id, owner))
        cancelled = await self.runner.control.cancel(task_id, owner)
        answer = await self._answer(cancelled.task)
        return answer.model_copy(update={"note": sentence(cancelled.words)})

    async def again(
        self, task_id: str, changes: Mapping[str, Any], *, words: str = "", owner: str = ""
    ) -> VideoArguments:
        """The arguments that buy an earlier clip once more, with changes; nothing is bought yet."""
        from mcp_server.domain.arguments import VideoArguments
        from mcp_server.domain.parsing import read
        from mcp_server.language import reader
        from mcp_server.ordering.again import amended

        task = await self.runner.store.get(task_id, owner)
        wishes = reader.read(f"kling {words}", catalog=self.catalog) if words.strip() else None
        return read(VideoArguments, amended(task.request, changes, wishes))

    async def spend(self, *, days: int = 30, owner: str = "") -> Spend:
        """What was quoted and charged, and where the two differ; simulations are not in it."""
        from mcp_server.tasks.store.base import Filter, day_of

        since = self.now() - days * 86_400
        finished = await self.runner.store.find(
            Filter(states=("succeeded", "failed", "cancelled"), simulated=False, since=since, owner=owner, limit=1000)
        )
        return spend(await self.runner.store.spent(day_of(self.now() - (days - 1) * 86_400), owner), finished)

    async def sheet(self, task_id: str, *, owner: str = "") -> Path:
        """The contact sheet of a finished clip, made beside it when it is not there yet."""
        from mcp_server.media import isolated

        task = await self.runner.store.get(task_id, owner)
        return await isolated.sheet(_file(task), task.request.get("shots", ()))

    async def last_frame(self, task_id: str, *, owner: str = "") -> Path:
        """The last frame of a finished clip as PNG, to go on from."""
        from mcp_server.media import isolated

        return await isolated.last_frame(_file(await self.runner.store.get(task_id, owner)))

    async def move(self, task_id: str, output_dir: str) -> TaskAnswer:
        """An unfinished task's clip goes to another folder, which is made and written to once before."""
        folder = self.settings.folder(output_dir)
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

    async def start(self) -> None:
        """Go on with whatever an earlier process left unfinished; nothing where there is no record yet."""
        if self.settings.database.exists():
            await self.runner.start()

    async def close(self) -> None:
        """Hand over cleanly."""
        if "runner" in self.__dict__:
            await self.runner.close()
            await self.runner.runtime.transport.aclose()
        await self.closing()

    async def _known(self, arguments: VideoArguments, owner: str) -> Task | None:
        """The task this key stands for, before anything is routed, priced or uploaded again."""
        if arguments.idempotency_key is None:
            return None
        from mcp_server.tasks.store.base import Filter

        found = await self.runner.store.find(Filter(key=arguments.idempotency_key, owner=owner, limit=1))
        # Another request under the same key is the record's to refuse, in the transaction that would create it.
        return found[0] if found and found[0].request_digest == arguments.digest else None

    def _may_buy(self, arguments: VideoArguments) -> bool:
        """Whether these arguments could cost money now."""
        return arguments.provider != SANDBOX and bool(self.planner.signed_in)

    async def _writable(self, folder: Path) -> None:
        from mcp_server.tasks.download.files import writable

        await asyncio.to_thread(writable, folder)

    async def _source(self, arguments: VideoArguments, owner: str) -> SourceTask | None:
        """The finished task to build on, by our id or its vendor's; None where it is nobody's here."""
        name = arguments.source_task
        if name is None:
            return None
        store = self.runner.store
        task = await (store.get(name, owner) if OURS.match(name) else limits.own_job(store, name, owner))
        if task is None:
            return None
        if task.state not in ("succeeded", "saving") or task.job_id is None:
            raise RequestError(
                f"Task {name} is {task.state}; only a finished clip can be built on",
                next_step="Wait until it has succeeded, or name another source_task",
            )
        return SourceTask(task.provider, task.job_id, task.simulated, task.id, task.model)

    async def _answer(self, task: Task, *, bought_now: bool = False, known: bool = False) -> TaskAnswer:
        poll_after_s = None if task.finished else await self.runner.pacing.poll_after_s(task)
        expected_s = None if task.finished else await self.runner.pacing.expected_s(task)
        return task_answer(task, bought_now=bought_now, known=known, poll_after_s=poll_after_s, expected_s=expected_s)

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


def _file(task: Task) -> str:
    if task.artifact is None:
        raise RequestError(f"Task {task.id} is {task.state}: there is no file yet", money="unknown")
    return task.artifact.path
