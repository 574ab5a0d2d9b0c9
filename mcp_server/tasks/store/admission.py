"""What is checked before a new row is made: the caller's key, the day's budget, an order just like it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from decimal import Decimal

from mcp_server.domain.task import Task
from mcp_server.errors import BudgetError, KeyConflictError
from mcp_server.tasks.store.base import Budget, NewTask

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


def reserve(db: sqlite3.Connection, new: NewTask, budget: Budget, day: str) -> Decimal:
    """What this purchase takes from the day's budget; BudgetError when it does not fit."""
    if new.simulated:
        return Decimal(0)
    if budget.daily_usd is None:
        return new.reserve_usd or Decimal(0)
    if new.reserve_usd is None:
        if new.allow_unknown_price:
            return Decimal(0)
        raise BudgetError(
            "A daily budget is set and nobody publishes this price",
            next_step="Choose an offer with a known price, or allow the unknown price explicitly",
            details={"daily_budget_usd": str(budget.daily_usd)},
        )
    rows = db.execute("SELECT reserved_usd FROM tasks WHERE day = ? AND reserved_usd != '0'", [day])
    used = sum((Decimal(row["reserved_usd"]) for row in rows), Decimal(0))
    if used + new.reserve_usd > budget.daily_usd:
        raise BudgetError(
            f"This would pass the daily budget: {used} of {budget.daily_usd} USD are spent or reserved, "
            f"this costs {new.reserve_usd}",
            next_step="Raise KLING_DAILY_BUDGET_USD, choose a cheaper offer, or wait for tomorrow (UTC)",
            details={"daily_budget_usd": str(budget.daily_usd), "used_usd": str(used)},
        )
    return new.reserve_usd


def twins(db: sqlite3.Connection, new: NewTask, now: float) -> Iterator[str]:
    """A warning when the same was ordered a moment ago."""
    if new.idempotency_key is not None or new.simulated:
        return
    row = db.execute(
        "SELECT id, created_at FROM tasks WHERE request_digest = ? AND owner = ? AND created_at > ? "
        "AND simulated = 0 AND state NOT IN ('failed', 'cancelled') "
        "ORDER BY created_at DESC LIMIT 1",
        [new.request_digest, new.owner, now - TWIN_S],
    ).fetchone()
    if row is not None:
        ago = max(0, round(now - row["created_at"]))
        yield f"The same was ordered {ago} s ago as {row['id']}; both are paid. An idempotency_key prevents this"
