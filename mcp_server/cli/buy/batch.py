"""`kling-video batch`: a file of orders, one quote, one question, each line bought once and told in one line."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.interrupt import Interrupt, Interrupted
from mcp_server.cli.screen import Screen
from mcp_server.errors import KlingError, sentence

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost, OrderAnswer, TaskAnswer
    from mcp_server.cli.buy.batch_file import BatchLine
    from mcp_server.ordering.draft import Draft
    from mcp_server.service import Service

AT_ONCE: Final = 4
_ROUND_S: Final = 20.0
WHAT = """FILE holds an order a line: a JSON object of generate_video's arguments, or its words as a JSON text;
or it is CSV under their names. The price of all is shown and agreed to once. A line is bought once: the same
command goes on where it was stopped. A line for each result: number, task, state, file or error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOrder:
    """All that the file still has to buy, as somebody agrees to it: the whole counts, with what is bought already."""

    drafts: tuple[Draft, ...]
    known: tuple[OrderAnswer, ...]

    @property
    def simulated(self) -> bool:
        return all(draft.simulated for draft in self.drafts)

    @property
    def most_usd(self) -> Decimal | None:
        """What the whole file can cost at most; None when one line's price is not known."""
        found = [draft.most_usd for draft in self.drafts if not draft.simulated]
        known = [_most(answer.estimated_cost) for answer in self.known if not answer.simulated]
        # What was bought at an unknown price was agreed to then.
        total = sum((each for each in known if each is not None), Decimal(0))
        return None if None in found else sum((each for each in found if each is not None), total)

    @property
    def total(self) -> Cost:
        from mcp_server.answers.shapes import Cost
        from mcp_server.domain.money import money, plain

        most = self.most_usd
        if most is None:
            unknown = sum(draft.most_usd is None for draft in self.drafts)
            return Cost(arithmetic=f"unknown: nobody publishes the price of {unknown} of {len(self.drafts)} orders")
        exact = all(draft.total.usd is not None for draft in self.drafts)
        told = f"{'' if exact else 'at most '}{money(most, 'USD')} for {len(self.drafts) + len(self.known)} orders"
        already = f", {len(self.known)} of them bought already" if self.known else ""
        return Cost(usd=plain(most) if exact else None, usd_at_most=plain(most), arithmetic=told + already)


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("batch", WHAT)
    made.add_argument("file", metavar="FILE", help="orders: .jsonl or .csv")
    made.add_argument("--max-cost-usd", type=float, metavar="USD", help="refuse if all of it costs more")
    made.add_argument("--accept-unknown-price", action="store_true", help="buy at unpublished prices")
    made.add_argument("--yes", "-y", action="store_true", help="do not ask about the price")
    made.add_argument("--no-wait", action="store_true", help="return as soon as all are accepted")
    return made


def run(argv: list[str]) -> int:
    """Buy what the file holds and is not bought yet."""
    given = flags().parse_args(argv)
    from mcp_server.cli.buy.batch_file import lines_of

    lines = lines_of(Path(given.file))
    screen = Screen(as_json=given.json)
    return session.run(lambda service: Batch(service, screen, lines, given).run())


@dataclass
class Batch:
    """One file's way from lines to results."""

    service: Service
    screen: Screen
    lines: list[BatchLine]
    given: argparse.Namespace
    _ordered: dict[int, OrderAnswer] = field(default_factory=dict[int, "OrderAnswer"])
    _stopped: KlingError | None = None
    _leaving: bool = False

    async def run(self) -> int:
        """Price, ask, buy, follow; the exit code of the worst line."""
        with Interrupt() as interrupt:
            try:
                drafts = await interrupt.unless(self._prepared())
                if drafts and not self._agreed(drafts):
                    self.screen.note("Not ordered. Nothing was charged.")
                    return 78
                interrupt.check()
            except (Interrupted, KeyboardInterrupt):
                self.screen.note("Stopped before anything was ordered. Nothing was charged.", gap=True)
                return formatting.INTERRUPTED
            buying = asyncio.ensure_future(self._buy(drafts))
            try:
                await interrupt.unless(_unharmed(buying))
                worst = await interrupt.unless(self._told())
            except Interrupted:
                # What is on its way is waited for: an order nobody knows the fate of is worse.
                self._leaving = True
                await buying
                self._left()
                return formatting.INTERRUPTED
        if self._stopped is not None:
            self._left()
            raise self._stopped
        return worst

    async def _prepared(self) -> dict[int, Draft]:
        """Everything that is not bought yet, checked and priced; RequestError for all lines that cannot be."""
        from mcp_server.cli.buy.batch_file import refusal
        from mcp_server.ordering import limits

        drafts: dict[int, Draft] = {}
        refused: list[tuple[int, KlingError]] = []
        for line in self.lines:
            try:
                if (known := await self.service.known(line.arguments)) is not None:
                    self._ordered[line.number] = known
                    continue
                draft = await self.service.prepare(line.arguments)
                # What a line itself sets as its limit holds, whatever is agreed to for all.
                limits.within(draft, self.service.settings, confirmed=True)
                drafts[line.number] = draft
            except KlingError as error:
                refused.append((line.number, error))
        if refused:
            raise refusal(refused)
        return drafts

    def _agreed(self, drafts: dict[int, Draft]) -> bool:
        from mcp_server.ordering import limits

        order = BatchOrder(drafts=tuple(drafts.values()), known=tuple(self._ordered.values()))
        free = " (a simulation: nothing is charged)" if order.simulated else ""
        self.screen.note(f"{sentence(order.total.arithmetic).rstrip('.')}{free}", "bold")
        limit = self.given.max_cost_usd
        try:
            limits.agreed(
                order,
                self.service.settings,
                max_cost_usd=None if limit is None else Decimal(str(limit)),
                said=limit is not None,
                accept_unknown_price=self.given.accept_unknown_price,
                beforehand=self.given.yes,
                ask_above_usd=limits.ASK_ABOVE_USD,
            )
        except limits.ConfirmationNeededError as asked:
            if not self.screen.can_ask:
                asked.why = "nobody can be asked here"
                asked.next_step = (
                    "Say --accept-unknown-price, or name providers with published prices"
                    if order.most_usd is None
                    else "Say --yes, or --max-cost-usd with at least that price"
                )
                raise
            return self.screen.ask(f"Buy all of it, {order.total.arithmetic}?")
        return True

    async def _buy(self, drafts: dict[int, Draft]) -> None:
        """A few at a time, in the file's order; a refusal (the day's budget, no key) stops what is not ordered yet."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(number: int, draft: Draft) -> None:
            async with room:
                if not self._may_order():
                    return
                try:
                    answer = await self.service.buy(draft, confirmed=True, still=self._may_order)
                except KlingError as error:
                    self._stopped = self._stopped or error
                else:
                    self._ordered[number] = answer

        await asyncio.gather(*(one(number, draft) for number, draft in drafts.items()))

    def _may_order(self) -> bool:
        return self._stopped is None and not self._leaving

    async def _told(self) -> int:
        """A line for each result as it comes, or for each order where nobody waits; the worst exit code."""
        worst, count = 0, 0
        async for number, tasks in self._results():
            count += 1
            self._tell(number, tasks)
            worst = max(worst, *(formatting.exit_code(task) if task.finished_at else 0 for task in tasks))
            self.screen.note(f"{count} of {len(self._ordered)}")
        return worst

    async def _results(self) -> AsyncIterator[tuple[int, list[TaskAnswer]]]:
        open_lines = {number: {task.task_id: task for task in self._ordered[number].each} for number in self._order()}
        while open_lines:
            for number, tasks in list(open_lines.items()):
                if self.given.no_wait or all(_over(task) for task in tasks.values()):
                    del open_lines[number]
                    yield number, list(tasks.values())
            waited = [key for tasks in open_lines.values() for key, task in tasks.items() if not _over(task)]
            if waited:
                news = {task.task_id: task for task in await self.service.get(waited, wait_s=_ROUND_S, until="any")}
                for tasks in open_lines.values():
                    tasks.update({key: news[key] for key in tasks if key in news})

    def _order(self) -> list[int]:
        return [line.number for line in self.lines if line.number in self._ordered]

    def _tell(self, number: int, tasks: list[TaskAnswer]) -> None:
        if self.screen.as_json:
            from mcp_server.answers.shapes import BatchResult

            self.screen.facts(BatchResult(line=number, tasks=tasks).facts())
            return
        for task in tasks:
            error = str((task.error or {}).get("what", ""))
            self.screen.line(f"{number}  {task.task_id}  {task.state}  {task.place or error}")

    def _left(self) -> None:
        left = len(self.lines) - len(self._ordered)
        self.screen.note(f"{len(self._ordered)} ordered, {left} not. The same command goes on with the rest.", gap=True)


def _over(task: TaskAnswer) -> bool:
    return task.finished_at is not None or task.followed is False


def _most(cost: Cost | None) -> Decimal | None:
    told = None if cost is None else cost.usd or cost.usd_at_most
    return None if told is None else Decimal(told)


async def _unharmed(work: asyncio.Future[None]) -> None:
    await asyncio.shield(work)
