"""Buying from the command line: route and price first, a question where it is dear, then the clip."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from mcp_server.answers.tasks import quote_answer
from mcp_server.cli import formatting
from mcp_server.cli.interrupt import Interrupt, Interrupted
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks.watching import follow
from mcp_server.errors import MONEY_SENTENCE, paragraph
from mcp_server.ordering import limits

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Estimate, TaskAnswer
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.ordering.draft import Draft
    from mcp_server.service import Service

ASK_ABOVE_USD = Decimal(1)
"""Where a person is asked who has set no limit of their own (KLING_CONFIRM_ABOVE_USD)."""
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

    async def run(self) -> int:
        """Buy, follow, tell; the exit code."""
        with Interrupt() as interrupt:
            try:
                if (known := await interrupt.unless(self.service.known(self.arguments))) is not None:
                    return await self._ordered(interrupt, known)
                draft = await interrupt.unless(self.service.prepare(self.arguments))
                confirmed = self._agreed(draft)
                # From here on, what is pressed comes too late to stop the order.
                interrupt.check()
            except (Interrupted, KeyboardInterrupt):
                self.screen.note("\nStopped before anything was ordered. Nothing was charged.")
                return formatting.INTERRUPTED
            if confirmed is None:
                self.screen.note("Not ordered. Nothing was charged.")
                return 78
            return await self._buy(interrupt, draft, confirmed=confirmed)

    def _agreed(self, draft: Draft) -> bool | None:
        """Whether somebody said yes to this price; False when nobody had to be asked, None when they said no."""
        show_route(self.screen, self.service.priced(draft))
        try:
            return limits.within(draft, self.service.settings, beforehand=self.yes, ask_above_usd=ASK_ABOVE_USD)
        except limits.ConfirmationNeededError as asked:
            if not self.screen.can_ask:
                raise self._unasked(asked) from None
        return True if self.screen.ask(self._question(draft)) else None

    def _question(self, draft: Draft) -> str:
        if draft.plan.quote.most_usd is None:
            return "Nobody publishes this price. Buy it all the same?"
        return f"Buy it for {formatting.cost(quote_answer(draft.plan.quote))}?"

    def _unasked(self, asked: limits.ConfirmationNeededError) -> limits.ConfirmationNeededError:
        """The refusal where nobody is there to answer; what it says can be typed."""
        asked.why = "nobody can be asked here"
        asked.next_step = (
            "Say --accept-unknown-price, name a provider with a published price, or set KLING_ACCEPT_UNKNOWN_PRICE=1"
            if asked.draft.plan.quote.most_usd is None
            else "Say --yes, or --max-cost-usd with at least that price"
        )
        return asked

    async def _buy(self, interrupt: Interrupt, draft: Draft, *, confirmed: bool) -> int:
        stop = asyncio.Event()
        order = asyncio.ensure_future(
            self.service.buy(draft, wait_s=_ACCEPT_S, confirmed=confirmed, still=lambda: not stop.is_set())
        )
        try:
            # Ctrl-C must not lose the id of what may be bought by then: the order is waited for, then cancelled.
            task = await interrupt.unless(_unharmed(order))
        except Interrupted:
            # It may not be recorded yet: then nothing is ordered at all.
            stop.set()
            self.screen.note(f"\nThe order is on its way; it is cancelled as soon as its vendor answers. {_SECOND}")
            task = await self._twice(interrupt, _unharmed(order))
            if task is not None:
                return await self._cancel(interrupt, task)
            # Closing waits a moment for answers that cost money: an order nobody knows the fate of is worse.
            self.screen.note("\nLeaving. The order may have been taken: `kling-video tasks` shows what came of it.")
            return formatting.INTERRUPTED
        return await self._ordered(interrupt, task)

    async def _ordered(self, interrupt: Interrupt, task: TaskAnswer) -> int:
        """Follow what is ordered to its end, or as far as was asked."""
        if self.wait or task.state == "submitting":
            self.screen.note(f"Task {task.task_id} · Ctrl-C cancels")
        try:
            if not self.wait:
                return self._left(await interrupt.unless(self._sent(task)))
            (task,) = await follow(self.service, [task.task_id], screen=self.screen, interrupt=interrupt)
        except Interrupted:
            return await self._cancel(interrupt, task)
        return tell(self.screen, task)

    async def _sent(self, task: TaskAnswer) -> TaskAnswer:
        """The task once its order has left: leaving earlier would take the files that are handed over along."""
        told = ""
        while task.state == "submitting":
            if task.note not in ("", told):
                told = task.note
                self.screen.note(told)
            (task,) = await self.service.get([task.task_id], wait_s=_LOOK_S)
        return task

    def _left(self, task: TaskAnswer) -> int:
        if task.finished_at and task.state != "succeeded":
            return tell(self.screen, task)
        if self.screen.as_json:
            self.screen.facts(task.facts())
        else:
            self.screen.line(task.task_id)
            self.screen.note(f"Ordered. `kling-video wait {task.task_id}` fetches the clip.")
        return 0

    async def _cancel(self, interrupt: Interrupt, task: TaskAnswer) -> int:
        """Ask the vendor to stop, and say what that means for the money."""
        self.screen.note(f"\nAsking {task.plays or task.provider} to cancel {task.task_id}. {_SECOND}")
        found = await self._twice(interrupt, self.service.cancel(task.task_id))
        if found is None:
            self.screen.note(f"Left. The task goes on: kling-video wait {task.task_id}")
            return formatting.INTERRUPTED
        if self.screen.as_json:
            self.screen.facts(found.facts())
        self.screen.note(found.note)
        self.screen.note(what_it_cost(found))
        if found.state == "succeeded" and found.video_path:
            self.screen.line(found.video_path)
        elif found.finished_at is None:
            self.screen.note(f"It goes on without you: kling-video wait {task.task_id}")
        return formatting.INTERRUPTED

    async def _twice(self, interrupt: Interrupt, work: object) -> TaskAnswer | None:
        """The result, or None when Ctrl-C is pressed once more."""
        try:
            return await interrupt.unless(work)  # type: ignore[arg-type]
        except Interrupted:
            return None


async def _unharmed(order: asyncio.Future[TaskAnswer]) -> TaskAnswer:
    return await asyncio.shield(order)


def what_it_cost(task: TaskAnswer) -> str:
    """The money of a task somebody wanted to stop."""
    if task.simulated:
        return "It was a simulation: nothing was charged."
    settled = task.cost.settled if task.cost else None
    if settled is not None:
        return f"Cost: {formatting.settled(settled)}."
    if task.state == "cancelled":
        return "Cost: not known; the vendor does not say what a cancelled clip costs."
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
    reckoning = formatting.reckoning(chosen.cost)
    arithmetic = f": {reckoning}" if reckoning else ""
    free = " (a simulation: nothing is charged)" if estimate.simulated else ""
    screen.note(f"Price {formatting.cost(chosen.cost)}{arithmetic}{free}")
    for warning in estimate.warnings:
        screen.note(f"! {warning}", "yellow")


def tell(screen: Screen, task: TaskAnswer) -> int:
    """How it ended: the file on standard output, everything else beside it."""
    if screen.as_json:
        screen.facts(task.facts())
        return formatting.exit_code(task)
    if task.state != "succeeded":
        screen.note(ending(task), "bold red")
        return formatting.exit_code(task)
    if task.video_path:
        screen.line(task.video_path)
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
