"""Budgets in Postgres: a row for each payer and day, and one for what the payer's films hold back on every day.

The rows are what every transaction that moves money waits for, so it holds them from its last statements to its
commit, and nobody who holds one waits for anything else. All lock them alike: the day's, then the films', each the
owner's before the house's. A limit is looked at once the day's row is held, by a statement of its own: only such a one
sees what was committed while it waited.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from mcp_server.tasks.store.admission import passes, price_known
from mcp_server.tasks.store.base import Budget, NewTask
from mcp_server.tasks.store.budgets import payers
from mcp_server.tasks.store.postgres.connections import Answer, Connection, ask, run

FILMS: Final = "films"
"""Instead of a day."""
_COUNT: Final = (
    "INSERT INTO budgets AS b (payer, day, used_usd) VALUES (%s, %s, %s) ON CONFLICT (payer, day) "
    "DO UPDATE SET used_usd = b.used_usd + excluded.used_usd RETURNING used_usd"
)

_HELD: Final = "SELECT used_usd FROM budgets WHERE payer = %s AND day = %s"


def reservations(order: Sequence[NewTask], budget: Budget) -> list[Decimal]:
    """What each purchase of one order holds back; BudgetError where a limit is set and a price is not known."""
    unknown = [new for new in order if not new.simulated and new.reserve_usd is None]
    if unknown:
        allowed = all(new.allow_unknown_price for new in unknown)
        price_known(budget, order[0].owner, allow_unknown=allowed)
    return [Decimal(0) if new.simulated else new.reserve_usd or Decimal(0) for new in order]


@dataclass(frozen=True, slots=True)
class Counting:
    """An order, or a film, on its way into the rows of its payers."""

    together: Decimal
    counted: Decimal
    """What of it stands in the day's rows by now."""
    asked: Sequence[tuple[Decimal, str | None, Answer, Answer]]
    """Each limit, whose it is, and the rows it is held against."""

    async def within(self) -> None:
        """Nothing, or BudgetError when it passes a limit: then nothing is to be kept."""
        for limit, told, day, films in self.asked:
            counts = [found["used_usd"] for cursor in (day, films) for found in await cursor.fetchall()]
            used = sum(counts, -self.counted)
            if used + self.together > limit:
                raise passes(used, self.together, limit, told)


async def count(connection: Connection, owner: str, day: str, together: Decimal, budget: Budget) -> Counting:
    """Count an order in, the last thing before the commit; in a pipeline it goes with what stands before it."""
    return await _counting(connection, owner, day, together, budget, counted=together)


async def hold(connection: Connection, owner: str, day: str, together: Decimal, budget: Budget) -> None:
    """Count in what a film holds back from now on; BudgetError when it passes a limit, and nothing is kept."""
    if together:
        await (await _counting(connection, owner, day, together, budget, counted=Decimal(0))).within()
        await _held(connection, owner, together)


async def move(connection: Connection, owner: str, day: str, more: Decimal) -> None:
    """Count what an order of that day holds back more, or less, now; the last thing before the commit."""
    if more:
        for payer in payers(owner):
            await run(connection, _COUNT, [payer, day, more])


async def release(connection: Connection, owner: str, less: Decimal) -> None:
    """Count what a film does not hold back any more; the last thing before the commit."""
    if less:
        await _held(connection, owner, -less)


async def _counting(
    connection: Connection, owner: str, day: str, together: Decimal, budget: Budget, *, counted: Decimal
) -> Counting:
    mine, house = payers(owner)
    asked: list[tuple[Decimal, str | None, Answer, Answer]] = []
    for payer, limit, told in ((mine, budget.of(owner), owner), (house, budget.daily_usd, None)) if together else ():
        taken = await ask(connection, _COUNT, [payer, day, counted])
        if limit is not None:
            asked.append((limit, told, taken, await ask(connection, _HELD, [payer, FILMS])))
    return Counting(together, counted, asked)


async def _held(connection: Connection, owner: str, more: Decimal) -> None:
    for payer in payers(owner):
        await run(connection, _COUNT, [payer, FILMS, more])
