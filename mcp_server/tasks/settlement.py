"""What was really charged, as far as anybody says so."""

from __future__ import annotations

from decimal import Decimal
from typing import TypeGuard

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Settlement, Task

ZERO = Decimal(0)


def taken(task: Task, charged: Decimal | None, *, usd_per_credit: Decimal | None) -> Settlement | None:
    """What the vendor says it took with the order; it stands until the job's end, which may say another number."""
    return settled(task, charged, usd_per_credit=usd_per_credit) if _is_bill(charged) else None


def settled(task: Task, charged: Decimal | None, *, usd_per_credit: Decimal | None) -> Settlement:
    """For a clip that was made: the vendor's own number, else the quote, and which of the two it is."""
    if not _is_bill(charged) and task.settlement is not None and task.settlement.basis == "reported":
        return task.settlement
    if _is_bill(charged):
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
    if _is_bill(charged):
        return settled(task, charged, usd_per_credit=usd_per_credit)
    if facts.refunds_failures:
        return Settlement(amount=ZERO, currency=task.quote_currency, usd=ZERO, basis="rolled_back")
    return _nobody_says(task)


def counted(task: Task, settlement: Settlement) -> Decimal:
    """What stays counted against the day's budget: the settled sum, or the reservation where nobody knows."""
    if task.simulated:
        return ZERO
    return task.reserved_usd if settlement.usd is None else settlement.usd


def _is_bill(charged: Decimal | None) -> TypeGuard[Decimal]:
    # A vendor that takes less than nothing has said nothing: it must not make room in the budget.
    return charged is not None and charged >= 0


def _usd(task: Task, charged: Decimal, usd_per_credit: Decimal | None) -> Decimal | None:
    if task.quote_currency == "USD":
        return charged
    return None if usd_per_credit is None else charged * usd_per_credit


def _nobody_says(task: Task) -> Settlement:
    return Settlement(amount=None, currency=task.quote_currency, usd=None, basis="not_documented")
