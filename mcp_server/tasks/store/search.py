"""Lists and sums over all tasks."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from mcp_server.domain.task import Task
from mcp_server.tasks.store.base import Filter, Spent

_LIKE_SIGNS = re.compile(r"[%_\\]")
_ESCAPED = r"\\\g<0>"


def where_of(wanted: Filter) -> tuple[str, list[Any]]:
    """The SQL condition of a filter, and the values for its question marks."""
    parts: list[str] = []
    values: list[Any] = []
    if wanted.states:
        parts.append(f"state IN ({','.join('?' * len(wanted.states))})")
        values += wanted.states
    for column, value in (
        ("provider", wanted.provider),
        ("owner", wanted.owner),
        ("idempotency_key", wanted.key),
        # Asked so seldom that looking through all rows is cheaper than a column.
        ("json_extract(became, '$.job_id')", wanted.job_id),
    ):
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    if wanted.simulated is not None:
        parts.append("simulated = ?")
        values.append(int(wanted.simulated))
    if wanted.since is not None:
        parts.append("created_at >= ?")
        values.append(wanted.since)
    for word in (wanted.text or "").split():
        parts.append("prompt LIKE ? ESCAPE '\\'")
        values.append(f"%{_LIKE_SIGNS.sub(_ESCAPED, word)}%")
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def added(so_far: Spent | None, task: Task, day: str) -> Spent:
    """The sum with one more task."""
    zero = Decimal(0)
    spent = so_far or Spent(
        day=day, provider=task.provider, model=task.model, tasks=0,
        quoted_usd=zero, settled_usd=zero, counted_usd=zero, unknown=0,
    )  # fmt: skip
    settled = task.settlement.usd if task.settlement else None
    return replace(
        spent,
        tasks=spent.tasks + 1,
        quoted_usd=spent.quoted_usd + (task.quote_usd or zero),
        settled_usd=spent.settled_usd + (settled or zero),
        counted_usd=spent.counted_usd + task.reserved_usd,
        unknown=spent.unknown + (settled is None and _may_cost(task)),
    )


def _may_cost(task: Task) -> bool:
    """Whether a task without a settled sum costs something nobody knows."""
    if not task.finished:
        return task.quote_usd is None
    never_sent = task.state == "cancelled" and task.sent_at is None
    return not never_sent and (task.error or {}).get("money") != "not_spent"
