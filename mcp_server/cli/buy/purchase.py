"""Buying from the command line: route and price first, a question where it is dear, then the clip."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli import formatting
from mcp_server.cli.interrupt import Interrupt, Interrupted
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks import film_screen
from mcp_server.cli.tasks.watching import follow
from mcp_server.errors import MONEY_SENTENCE, NoOfferError, paragraph
from mcp_server.ordering import limits

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Estimate, OrderAnswer, OrderedAnswer, TaskAnswer
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.films.films import FilmOrder
    from mcp_server.ordering.draft import Draft
    from mcp_server.service import Service

T = TypeVar("T")
_ACCEPT_S = 10.0
_LOOK_S = 0.5
_SECOND = "Ctrl-C again leaves."


@dataclass(frozen=True, slots=True, kw_only=True)
class Purchase:
    """One order at a terminal or in a script."""

    service: Service
    screen: Screen
    arguments: VideoArguments
    yes: bool = False
    wait: bool = True
    notify: bool = False
    """Whether the desktop shows how it ended."""

    async def run(self) -> int:
        """Buy, follow, tell; the exit code."""
        with Interrupt() as interrupt:
            try:
                if (known := await interrupt.unless(self.service.known(self.arguments))) is not None:
                    return await self._ordered(interrupt, known)
                try:
                    draft = await interrupt.unless(self.service.prepare(self.arguments))
                except NoOfferError:
                    found = await self.service.long_order(self.arguments)
                    if found is None:
                        raise
                    return await self._as_film(*found)
                confirmed = self._agreed(draft)
                # From here on, what is pressed comes too late to stop the order.
                interrupt.check()
            except (Interrupted, KeyboardInterrupt):
                self.screen.note("Stopped before anything was ordered. Nothing was charged.", gap=True)
                return formatting.INTERRUPTED
            if confirmed is None:
                self.screen.note("Not ordered. Nothing was charged.")
                return 78
            return await self._buy(interrupt, draft, confirmed=confirmed)

    async def _as_film(self, order: FilmOrder, why: str) -> int:
        """The film that an order longer than any clip is planned as; --yes was said to one clip, and buys none."""
        from mcp_server.cli.buy.film_purchase import FilmPurchase

        self.screen.note(why)
        film = FilmPurchase(service=self.service, screen=self.screen, order=order, wait=self.wait, notify=self.notify)
        return await film.run()

    def _agreed(self, draft: Draft) -> bool | None:
        """Whether somebody said yes to this price; False when nobody had to be asked, None when they said no."""
        show_route(self.screen, self.service.priced(draft))
        try:
            return limits.within(draft, self.service.settings, beforehand=self.yes, ask_above_usd=limits.ASK_ABOVE_USD)
        except limits.ConfirmationNeededError as asked:
            if not self.screen.can_ask:
                raise unasked(asked) from None
        return True if self.screen.ask(self._question(draft)) else None

    def _question(self, draft: Draft) -> str:
        if draft.plan.most_usd is None:
            return "Nobody publishes this price. Buy it all the same?"
        it = "it" if draft.plan.arguments.clips == 1 else f"all {draft.plan.arguments.clips}"
        return f"Buy {it} for {formatting.cost(draft.plan.total)}?"

    async def _buy(self, interrupt: Interrupt, draft: Draft, *, confirmed: bool) -> int:
        stop = asyncio.Event()
        order = asyncio.ensure_future(
            self.service.buy(draft, wait_s=_ACCEPT_S, confirmed=confirmed, still=lambda: not stop.is_set())
        )
        try:
            # Ctrl-C must not lose the id of what may be bought by then: the order is waited for, then cancelled.
            bought = await interrupt.unless(_unharmed(order))
        except Interrupted:
            # It may not be recorded yet: then nothing is ordered at all.
            stop.set()
            said = f"The order is on its way; it is cancelled as soon as its vendor answers. {_SECOND}"
            self.screen.note(said, gap=True)
            bought = await self._twice(interrupt, _unharmed(order))
            if bought is not None:
                return await self._cancel(interrupt, bought.each)
            # Closing waits a moment for answers that cost money: an order nobody knows the fate of is worse.
            said = "Leaving. The order may have been taken: `kling-video tasks` shows what came of it."
            self.screen.note(said, gap=True)
            return formatting.INTERRUPTED
        return await self._ordered(interrupt, bought)

    async def _ordered(self, interrupt: Interrupt, order: OrderAnswer) -> int:
        """Follow what is ordered to its end, or as far as was asked."""
        tasks, ids = order.each, [task.task_id for task in order.each]
        if self.wait or any(task.state == "submitting" for task in tasks):
            self.screen.note(f"Task {' '.join(ids)} · {self._ctrl_c(tasks[0])}")
        try:
            if not self.wait:
                return self._left(order, [await interrupt.unless(self._sent(task)) for task in tasks])
            ended = await follow(self.service, ids, screen=self.screen, interrupt=interrupt)
        except Interrupted:
            return await self._cancel(interrupt, tasks)
        if self.notify:
            from mcp_server.cli.tasks import desktop

            desktop.notify(self.screen, ended)
        return tell_all(self.screen, ended)

    def _ctrl_c(self, task: TaskAnswer) -> str:
        """What Ctrl-C can do about this order: not every vendor stops a clip, and most only while it waits."""
        facts = self.service.catalog.providers.get(task.plays or task.provider)
        match "none" if facts is None else facts.cancel:
            case "running":
                return "Ctrl-C cancels"
            case "queued":
                return "Ctrl-C cancels while it is in the queue"
            case _:
                name = task.provider if facts is None else facts.name
                return f"Ctrl-C leaves; {name} cannot cancel, so it is made and billed"

    async def _sent(self, task: TaskAnswer) -> TaskAnswer:
        """The task once its order has left: leaving earlier would take the files that are handed over along.

        In a record that many machines share it is a worker's by now.
        """
        told = ""
        while task.state == "submitting" and self.service.settings.database_url is None:
            if task.note not in ("", told):
                told = task.note
                self.screen.note(told)
            (task,) = await self.service.get([task.task_id], wait_s=_LOOK_S)
        return task

    def _left(self, order: OrderAnswer, tasks: list[TaskAnswer]) -> int:
        over = [task for task in tasks if task.finished_at and task.state != "succeeded"]
        if self.screen.as_json:
            several = order.model_copy(update={"tasks": tasks})
            self.screen.facts((several if order.tasks else tasks[0]).facts())
            return max(map(formatting.exit_code, over), default=0)
        ids = [task.task_id for task in tasks if task not in over]
        for task_id in ids:
            self.screen.line(task_id)
        if ids:
            self.screen.note(f"Ordered. `kling-video wait {' '.join(ids)}` fetches the clip.")
        return max((tell(self.screen, task) for task in over), default=0)

    async def _cancel(self, interrupt: Interrupt, tasks: list[TaskAnswer]) -> int:
        """Ask the vendor to stop each, and say what that means for the money."""
        ids = " ".join(task.task_id for task in tasks)
        self.screen.note(f"Asking {tasks[0].plays or tasks[0].provider} to cancel {ids}. {_SECOND}", gap=True)
        asked = asyncio.gather(*(self.service.cancel(task.task_id) for task in tasks), return_exceptions=True)
        answers = await self._twice(interrupt, _unharmed(asked))
        if answers is None:
            self.screen.note(f"Left. The task goes on: kling-video wait {ids}")
            return formatting.INTERRUPTED
        found = [answer for answer in answers if not isinstance(answer, BaseException)]
        if self.screen.as_json and found:
            self.screen.facts(_facts(found))
        for task in found:
            self._stopped(task, f"{task.task_id}: " if len(tasks) > 1 else "")
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return formatting.INTERRUPTED

    def _stopped(self, task: TaskAnswer, whose: str) -> None:
        self.screen.note(f"{whose}{task.note}")
        self.screen.note(f"{whose}{what_it_cost(task)}")
        if task.state == "succeeded" and task.place:
            self.screen.line(task.place)
        elif task.finished_at is None:
            self.screen.note(f"It goes on without you: kling-video wait {task.task_id}")

    async def _twice(self, interrupt: Interrupt, work: Coroutine[Any, Any, T]) -> T | None:
        """The result, or None when Ctrl-C is pressed once more."""
        try:
            return await interrupt.unless(work)
        except Interrupted:
            return None


def unasked(asked: limits.ConfirmationNeededError) -> limits.ConfirmationNeededError:
    """The refusal where nobody is there to answer; what it says can be typed."""
    asked.why = "nobody can be asked here"
    asked.next_step = (
        "Say --accept-unknown-price, name a provider with a published price, or set KLING_ACCEPT_UNKNOWN_PRICE=1"
        if asked.order.most_usd is None
        else "Say --yes, or --max-cost-usd with at least that price"
    )
    return asked


async def _unharmed(work: asyncio.Future[T]) -> T:
    return await asyncio.shield(work)


def what_it_cost(task: TaskAnswer) -> str:
    """The money of a task somebody wanted to stop."""
    if task.simulated:
        return "It was a simulation: nothing was charged."
    settled = task.cost.settled if task.cost else None
    if settled is not None:
        return f"Cost: {formatting.settled(settled)}."
    if task.state == "cancelled":
        # A vendor that stopped a clip leaves a settlement, if only to say that nobody knows.
        return "Cost: nothing, it was never sent."
    if task.error:
        return MONEY_SENTENCE[task.error.get("money", "unknown")]
    return f"Cost: {formatting.cost(task.cost.estimated if task.cost else None)}, billed as ordered."


def show_route(screen: Screen, estimate: Estimate) -> None:
    """What will be ordered, from whom, why, and for how much; beside the answer."""
    chosen = estimate.chosen
    order = [chosen.tier, chosen.mode, chosen.resolution, chosen.aspect_ratio]
    if chosen.duration is not None:
        order.append(f"{chosen.duration} s")
    if chosen.audio is not None:
        order.append("with sound" if chosen.audio else "silent")
    screen.note(f"{chosen.provider} · {chosen.model} · {' · '.join(filter(None, order))}", "bold")
    screen.note(estimate.route)
    cost = estimate.total or chosen.cost
    reckoning = formatting.reckoning(cost)
    arithmetic = f": {reckoning}" if reckoning else ""
    free = " (a simulation: nothing is charged)" if estimate.simulated else ""
    price = formatting.cost(cost)
    said = price.capitalize() if price == formatting.UNKNOWN else f"Price {price}"
    screen.note(f"{said}{arithmetic.replace(': unknown: ', ': ', 1)}{free}")
    for warning in estimate.warnings:
        screen.note(f"! {warning}", "yellow")


def tell_all(screen: Screen, tasks: Sequence[OrderedAnswer]) -> int:
    """How each ended, as one object where JSON is wanted; the exit code of the worst."""
    if not screen.as_json:
        return max(tell(screen, task) for task in tasks)
    screen.facts(_facts(tasks))
    return max(map(formatting.exit_code, tasks))


def _facts(tasks: Sequence[OrderedAnswer]) -> dict[str, Any]:
    return tasks[0].facts() if len(tasks) == 1 else {"tasks": [task.facts() for task in tasks]}


def tell(screen: Screen, task: OrderedAnswer) -> int:
    """How it ended: the file on standard output, everything else beside it."""
    if isinstance(task, FilmAnswer):
        return film_screen.tell(screen, task)
    if screen.as_json:
        screen.facts(task.facts())
        return formatting.exit_code(task)
    if task.state != "succeeded":
        screen.note(ending(task), "bold red")
        return formatting.exit_code(task)
    if task.place:
        screen.line(task.place)
    parts = [formatting.size(task.bytes), "simulated, nothing charged" if task.simulated else formatting.paid(task)]
    screen.note(f"Ready: {' · '.join(filter(None, parts))}", "green")
    for difference in task.differences:
        screen.note(f"! Not as ordered: {difference}", "bold yellow")
    if task.note:
        screen.note(task.note)
    return 0


def ending(task: TaskAnswer) -> str:
    """Why there is no clip, in one paragraph."""
    error = task.error or {}
    what = str(error.get("what") or f"Task {task.task_id} is {task.state}")
    money = MONEY_SENTENCE.get(error.get("money", "unknown"), "")  # type: ignore[reportArgumentType] - read from a row
    return formatting.typed(paragraph(what, str(error.get("why", "")), str(error.get("next_step", "")), money))
