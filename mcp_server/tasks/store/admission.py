"""What is checked before a new row is made: the caller's key, the day's budget, an order just like it. No SQL."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from mcp_server.domain.task import Task
from mcp_server.errors import BudgetError, KeyConflictError
from mcp_server.tasks.store.base import Budget, Lease, NewTask

TWIN_S = 20.0
"""Two equal orders this close together are worth a word: an agent that repeats itself pays twice."""


def same_order(task: Task, new: NewTask) -> Task:
    """The task this key stands for; KeyConflictError when it was another order."""
    if task.simulated and not new.simulated:
        raise rehearsed(task)
    if task.request_digest == new.request_digest:
        return task
    raise KeyConflictError(
        f"The idempotency key {new.idempotency_key!r} already stands for another request",
        why=f"it belongs to task {task.id}, which was ordered with other words or settings",
        next_step=f"Use a new key for a new clip, or get_task {task.id}",
        details={"task_id": task.id},
    )


def rehearsed(task: Task) -> KeyConflictError:
    """The refusal of a purchase under a key that was only rehearsed with: a simulation is not what was ordered now."""
    return KeyConflictError(
        f"The idempotency key {task.idempotency_key!r} was used in a rehearsal: task {task.id} is a simulation",
        why="a vendor key is set now, so this would be a real purchase",
        next_step="Use a new key to buy it, or provider=sandbox with a new key to rehearse again",
        details={"task_id": task.id},
    )


def standing(rows: Sequence[tuple[Task, int]], order: Sequence[NewTask]) -> list[Lease]:
    """The tasks that the keys of this order already stand for; KeyConflictError when they are another's, or not all."""
    asked = {new.idempotency_key: new for new in order}
    by_key = {task.idempotency_key: (same_order(task, asked[task.idempotency_key]), number) for task, number in rows}
    if len(by_key) != len(order):
        raise KeyConflictError(
            f"The idempotency key {order[0].idempotency_key!r} already stands for a part of another request",
            next_step="Use a new key for a new clip",
            details={"task_id": rows[0][0].id},
        )
    return [Lease(*by_key[new.idempotency_key]) for new in order]


def price_known(budget: Budget, owner: str, *, allow_unknown: bool) -> None:
    """Nothing, or BudgetError where a limit is set that a price nobody knows could pass unseen."""
    limit = budget.of(owner) if budget.daily_usd is None else budget.daily_usd
    if limit is not None and not allow_unknown:
        raise BudgetError(
            "A daily budget is set and nobody publishes this price",
            next_step="Choose an offer with a known price, or allow the unknown price explicitly",
            details={"daily_budget_usd": str(limit)},
        )


def passes(used: Decimal, together: Decimal, limit: Decimal, owner: str | None = None) -> BudgetError:
    """The refusal of an order that does not fit the day any more; of its owner's own day where one is named."""
    whose = "the daily budget" if owner is None else "your daily budget here"
    return BudgetError(
        f"This would pass {whose}: {used} of {limit} USD are spent or reserved, this costs {together}",
        next_step="Raise KLING_DAILY_BUDGET_USD, choose a cheaper offer, or wait for tomorrow (UTC)"
        if owner is None
        else "Choose a cheaper offer, wait for tomorrow (UTC), or ask whoever keeps this server for more",
        details={"daily_budget_usd": str(limit), "used_usd": str(used)},
    )


def twin_told(task_id: str, created_at: float, now: float) -> str:
    """The warning that the same was ordered a moment ago."""
    ago = max(0, round(now - created_at))
    return f"The same was ordered {ago} s ago as {task_id}; both are paid. An idempotency_key prevents this"
