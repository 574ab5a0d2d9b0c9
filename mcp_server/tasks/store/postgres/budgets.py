"""Budgets in Postgres: a row for each payer and day, and one for what the payer's films hold back on every day.

The rows are what every transaction that moves money waits for, so it holds them from its last statements to its
commit, and nobody who holds one waits for anything else. All lock them alike: the day's, then the films', each the
owner's before the house's. A limit is looked at once the day's row is held, by a statement of its own: only such a one
sees what was committed while it waited.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from mcp_server.tasks.store.admission import passes, price_known
from mcp_server.tasks.store.base import Budget, NewTask
from mcp_server.tasks.store.budgets import payers
from mcp_server.tasks.store.postgres.connections import Connection, row, run

FILMS: Final = "films"
"""Instead of a day."""
_COUNT: Final = (
    "INSERT INTO budgets AS b (payer, day, used_usd) VALUES (%s, %s, %s) ON CONFLICT (payer, day) "
    "DO UPDATE SET used_usd = b.used_usd + excluded.used_usd RETURNING used_usd"
)


def reservations(order: Sequence[NewTask], budget: Budget) -> list[Decimal]:
    """What each purchase of one order holds back; BudgetError where a limit is set and a price is not known."""
    unknown = [new for new in order if not new.simulated and new.reserve_usd is None]
    if unknown:
        allowed = all(new.allow_unknown_price for new in unknown)
        price_known(budget, order[0].owner, allow_unknown=allowed)
    return [Decimal(0) if new.simulated else new.reserve_usd or Decimal(0) for new in order]


async def take(connection: Connection, owner: str, day: str, together: Decimal, budget: Budget) -> None:
    """Count an order in, the last thing before the commit; BudgetError when it passes a limit, and nothing is kept."""
    if together:
        await _within(connection, owner, day, together, budget, counted=together)


async def hold(connection: Connection, owner: str, day: str, together: Decimal, budget: Budget) -> None:
    """Count in what a film holds back from now on; BudgetError when it passes a limit, and nothing is kept."""
    if together:
        await _within(connection, owner, day, together, budget, counted=Decimal(0))
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


async def _within(
    connection: Connection, owner: str, day: str, together: Decimal, budget: Budget, *, counted: Decimal
) -> None:
    mine, house = payers(owner)
    for payer, limit, told in ((mine, budget.of(owner), owner), (house, budget.daily_usd, None)):
        taken = await row(connection, _COUNT, [payer, day, counted])
        if limit is None or taken is None:
            continue
        films = await row(connection, "SELECT used_usd FROM budgets WHERE payer = %s AND day = %s", [payer, FILMS])
        used = taken["used_usd"] - counted + (films["used_usd"] if films else Decimal(0))
        if used + together > limit:
            raise passes(used, together, limit, told)


async def _held(connection: Connection, owner: str, more: Decimal) -> None:
    for payer in payers(owner):
        await run(connection, _COUNT, [payer, FILMS, more])
