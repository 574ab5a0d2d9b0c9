"""What was really charged, as far as anybody says so."""

from __future__ import annotations

from decimal import Decimal
from typing import Final, TypeGuard

from mcp_server.domain.catalog import Provider
from mcp_server.domain.money import money
from mcp_server.domain.task import Settlement, Task

ZERO = Decimal(0)


FAR: Final = 20
"""Times the quote beyond which a bill is a mistake or a lie; every vendor's dearest switch makes it less than ten."""
_MOST: Final = {"USD": Decimal(1_000), "credits": Decimal(1_000_000)}
"""What one clip can cost where nobody quoted it."""


def disbelieved(task: Task, charged: Decimal | None) -> str:
    """What the vendor says a clip cost that was made, where that cannot be; empty when it can."""
    if charged is None or (charged > 0 and charged <= _most(task)):
        return ""
    counts = "the quote counts" if task.quote_amount is not None else "what it cost is not known"
    return f"The vendor says that it cost {money(charged, task.quote_currency)}, which is not believed: {counts}"


def taken(task: Task, charged: Decimal | None, *, usd_per_credit: Decimal | None) -> Settlement | None:
    """What the vendor says it took with the order; it stands until the job's end, which may say another number."""
    return settled(task, charged, usd_per_credit=usd_per_credit) if _is_bill(charged, task) else None


def settled(task: Task, charged: Decimal | None, *, usd_per_credit: Decimal | None) -> Settlement:
    """For a clip that was made: the vendor's own number, else the quote, and which of the two it is."""
    if not _is_bill(charged, task) and task.settlement is not None and task.settlement.basis == "reported":
        return task.settlement
    if _is_bill(charged, task):
        return Settlement(
            amount=charged,
            currency=task.quote_currency,
            usd=_usd(task, charged, usd_per_credit),
            basis="reported",
        )
    if task.quote_amount is not None:
        return Settlement(
            amount=task.quote_amount,
            currency=task.quote_currency,
            usd=task.quote_usd,
            basis="computed",
        )
    return _nobody_says(task)


def unmade(task: Task, charged: Decimal | None, facts: Provider, *, usd_per_credit: Decimal | None) -> Settlement:
    """For a job that failed or was stopped: free only where the vendor reports it or documents it."""
    if charged == 0:
        return Settlement(amount=charged, currency=task.quote_currency, usd=ZERO, basis="reported")
    if _is_bill(charged, task):
        return settled(task, charged, usd_per_credit=usd_per_credit)
    if facts.refunds_failures:
        return Settlement(amount=ZERO, currency=task.quote_currency, usd=ZERO, basis="rolled_back")
    return _nobody_says(task)


def counted(task: Task, settlement: Settlement) -> Decimal:
    """What stays counted against the day's budget: the settled sum, or the reservation where nobody knows."""
    if task.simulated:
        return ZERO
    return task.reserved_usd if settlement.usd is None else settlement.usd


def reservation(task: Task) -> Decimal:
    """What an open order counts; for one that was said not to be bought what it counted before."""
    most = task.quote.get("usd") or task.quote.get("usd_at_most")
    if task.simulated or most is None:
        return task.reserved_usd
    return max(task.reserved_usd, Decimal(str(most)))


def _is_bill(charged: Decimal | None, task: Task) -> TypeGuard[Decimal]:
    # A vendor that makes clips for nothing, or for less, has said nothing: it must not make room in the budget.
    return charged is not None and not disbelieved(task, charged)


def _most(task: Task) -> Decimal:
    return _MOST[task.quote_currency] if not task.quote_amount else FAR * task.quote_amount


def _usd(task: Task, charged: Decimal, usd_per_credit: Decimal | None) -> Decimal | None:
    if task.quote_currency == "USD":
        return charged
    return None if usd_per_credit is None else charged * usd_per_credit


def _nobody_says(task: Task) -> Settlement:
    return Settlement(amount=None, currency=task.quote_currency, usd=None, basis="not_documented")
