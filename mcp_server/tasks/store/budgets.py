"""A day's budgets in SQLite: one row for each owner and one for the house, instead of adding up every order of the day.

A row says what the day's orders hold back together. It is true because whoever changes what an order holds back
without adding it here also takes the row away: triggers do that (`schema.MIGRATIONS`), for a process of the
version before and for a hand at the file. A row that is missing is added up anew, once.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from mcp_server.errors import BudgetError
from mcp_server.tasks.store.admission import passes, price_known
from mcp_server.tasks.store.base import Budget, NewTask

HOUSE: Final = "house"
Row = tuple[str, str]
"""Payer and day."""


def payers(owner: str) -> tuple[str, str]:
    """Whose rows an order of this owner counts in; always read and locked in this order."""
    return f"owner:{owner}", HOUSE


def admit(db: sqlite3.Connection, order: Sequence[NewTask], budget: Budget, day: str) -> list[Decimal]:
    """What each purchase of one order takes from the day's budgets; BudgetError when they do not fit all together."""
    paid = [new for new in order if not new.simulated]
    allowed = all(new.allow_unknown_price for new in paid if new.reserve_usd is None)
    fits(db, order[0].owner, [new.reserve_usd for new in paid], budget, day, allow_unknown=allowed)
    return [Decimal(0) if new.simulated else new.reserve_usd or Decimal(0) for new in order]


def fits(
    db: sqlite3.Connection,
    owner: str,
    paid: Sequence[Decimal | None],
    budget: Budget,
    day: str,
    *,
    allow_unknown: bool,
) -> None:
    """Nothing, or BudgetError where these sums pass what the owner's day or the house's has left; None is unknown."""
    if None in paid:
        price_known(budget, owner, allow_unknown=allow_unknown)
    sums = [most for most in paid if most is not None]
    together = sum(sums, Decimal(0))
    mine, house = payers(owner)
    for payer, limit, told in ((mine, budget.of(owner), owner), (house, budget.daily_usd, None)):
        if sums and limit is not None and (already := used(db, payer, day)) + together > limit:
            raise passes(already, together, limit, told)


def used(db: sqlite3.Connection, payer: str, day: str) -> Decimal:
    """What counts against the payer's day: its orders, and what films hold back, for that may be spent any day."""
    whose, values = ("", []) if payer == HOUSE else ("AND owner = ?", [payer.removeprefix("owner:")])
    films = db.execute(f"SELECT reserved_usd FROM films WHERE reserved_usd != '0' {whose}", values)  # noqa: S608
    held = sum((_amount(row["reserved_usd"]) for row in films), Decimal(0))
    row = db.execute("SELECT used_usd FROM budgets WHERE payer = ? AND day = ?", [payer, day]).fetchone()
    if row is not None:
        return held + _amount(row["used_usd"])
    query = f"SELECT reserved_usd FROM tasks WHERE day = ? {whose} AND reserved_usd != '0'"  # noqa: S608
    ordered = sum((_amount(row["reserved_usd"]) for row in db.execute(query, [day, *values])), Decimal(0))
    _write(db, {(payer, day): ordered})
    return held + ordered


def known(db: sqlite3.Connection, owner: str, day: str) -> dict[Row, Decimal]:
    """The rows an order counts in, those that can be read: taken before it changes, for `count` afterwards."""
    query = "SELECT payer, used_usd FROM budgets WHERE day = ? AND payer IN (?, ?)"
    found: dict[Row, Decimal] = {}
    for row in db.execute(query, [day, *payers(owner)]):
        # A damaged row keeps no change of a task from being written; it goes with the change, and is added up anew.
        with contextlib.suppress(BudgetError):
            found[row["payer"], day] = _amount(row["used_usd"])
    return found


def count(db: sqlite3.Connection, before: Mapping[Row, Decimal], more: Decimal) -> None:
    """The rows of `known` with what was reserved or released since, in the same transaction."""
    _write(db, {row: already + more for row, already in before.items()})


def _write(db: sqlite3.Connection, rows: Mapping[Row, Decimal]) -> None:
    values = [(payer, day, str(amount)) for (payer, day), amount in rows.items()]
    db.executemany(
        "INSERT INTO budgets (payer, day, used_usd) VALUES (?, ?, ?) "
        "ON CONFLICT (payer, day) DO UPDATE SET used_usd = excluded.used_usd",
        values,
    )


def _amount(text: object) -> Decimal:
    """What a row holds back; BudgetError where that cannot be read, for a limit that is guessed holds nothing."""
    try:
        amount = Decimal(str(text))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite():
        raise BudgetError(
            "What another order of today holds back cannot be read from the record",
            next_step="`kling-video doctor` names the damaged row; without KLING_DAILY_BUDGET_USD nothing is added up",
        )
    return amount
