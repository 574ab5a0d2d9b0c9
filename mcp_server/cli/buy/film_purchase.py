"""Buying a film from the command line: the priced board first, a yes or a limit, then its shots and the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcp_server.cli import formatting
from mcp_server.cli.buy.purchase import tell, unasked
from mcp_server.cli.interrupt import Interrupt, Interrupted
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks import film_screen
from mcp_server.cli.tasks.watching import follow
from mcp_server.ordering import limits

if TYPE_CHECKING:
    from mcp_server.answers.shapes import FilmAnswer
    from mcp_server.films.films import FilmDraft, FilmOrder
    from mcp_server.service import Service


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmPurchase:
    """One film at a terminal or in a script."""

    service: Service
    screen: Screen
    order: FilmOrder
    yes: bool = False
    wait: bool = True
    notify: bool = False

    async def run(self) -> int:
        """Plan, buy where that is agreed to, follow, tell; the exit code."""
        films = self.service.films
        with Interrupt() as interrupt:
            try:
                if (going := await interrupt.unless(films.going(self.order))) is not None:
                    return await self._followed(interrupt, going)
                draft = await interrupt.unless(films.prepare(self.order))
                film_screen.plan(self.screen, await films.answer(draft.film))
                agreed = self._agreed(draft)
                interrupt.check()
            except (Interrupted, KeyboardInterrupt):
                self.screen.note("Stopped before anything was ordered. Nothing was charged.", gap=True)
                return formatting.INTERRUPTED
            if agreed is None:
                return self._left(await films.keep(draft))
            bought = await films.buy(draft, confirmed=agreed, beforehand=self.yes)
            return await self._followed(interrupt, bought)

    @property
    def _said(self) -> bool:
        """Whether the call itself says what the film may cost."""
        return self.yes or self.order.max_cost_usd is not None or self.order.accept_unknown_price

    def _agreed(self, draft: FilmDraft) -> bool | None:
        """Whether somebody said yes to this price; False where that was said beforehand, None where it was not."""
        order, settings = self.order, self.service.settings
        if not self._said:
            return True if self.screen.can_ask and self.screen.ask(_question(draft)) else None
        try:
            limits.agreed(
                draft,
                settings,
                max_cost_usd=order.max_cost_usd,
                said=order.max_cost_usd is not None,
                accept_unknown_price=order.accept_unknown_price,
                beforehand=self.yes,
            )
        except limits.ConfirmationNeededError as asked:
            if not self.screen.can_ask:
                raise unasked(asked) from None
            return True if self.screen.ask(_question(draft)) else None
        return False

    def _left(self, film: FilmAnswer) -> int:
        """The plan as the answer: nothing is bought."""
        if self.screen.as_json:
            self.screen.facts(film.facts())
            return 0
        self.screen.line(film.film_id)
        self.screen.note(f"Planned, and nothing bought. {film_screen.how_to_buy(film)}")
        return 0

    async def _followed(self, interrupt: Interrupt, film: FilmAnswer) -> int:
        """Follow the film to its end, or as far as was asked."""
        film_id = film.film_id
        if film.finished_at is None and not self.wait:
            return self._let_go(film)
        if film.finished_at is None:
            self.screen.note(f"Film {film_id} · Ctrl-C stops it; what is bought is kept")
        try:
            (ended,) = await follow(self.service, [film_id], screen=self.screen, interrupt=interrupt)
        except Interrupted:
            return await self._stopped(film_id)
        if self.notify:
            from mcp_server.cli.tasks import desktop

            desktop.notify(self.screen, [ended])
        return tell(self.screen, ended)

    def _let_go(self, film: FilmAnswer) -> int:
        if self.screen.as_json:
            self.screen.facts(film.facts())
        else:
            self.screen.line(film.film_id)
            said = f"`kling-video wait {film.film_id}`, or any MCP server of this record, goes on with it."
            self.screen.note(f"The money is set aside. {said}")
        return 0

    async def _stopped(self, film_id: str) -> int:
        self.screen.note(f"Stopping {film_id}: what is not bought is not bought.", gap=True)
        stopped = await self.service.films.cancel(film_id)
        if self.screen.as_json:
            self.screen.facts(stopped.facts())
        self.screen.note(stopped.note)
        self.screen.note(f"`kling-video film {film_id}` goes on with it.")
        return formatting.INTERRUPTED


def _question(draft: FilmDraft) -> str:
    if draft.most_usd is None:
        return "Nobody publishes the price of all of it. Film it all the same?"
    if draft.simulated:
        return "Rehearse it for free?"
    return f"Film it for {formatting.cost(draft.to_buy)}?"
