"""Lists and sums over all tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from mcp_server.domain.task import Task
from mcp_server.tasks.store.base import Filter, Spent

SHORT_NAME = 6
"""Letters of an id that stand in a file's name."""
SAMPLE = 40
"""So many past clips say how long the next one takes."""
_LIKE_SIGNS = re.compile(r"[%_\\]")
_ESCAPED = r"\\\g<0>"


_JOB_ID_SQLITE = "CASE WHEN json_valid(became) THEN json_extract(became, '$.job_id') END"


def where_of(wanted: Filter, *, job_id: str = _JOB_ID_SQLITE, like_word: str = "LIKE") -> tuple[str, list[Any]]:
    """The SQL condition of a filter, and the values for its question marks; SQLite's unless others are given."""
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
        (job_id, wanted.job_id),
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
    if wanted.before is not None:
        parts.append("(created_at, id) < (SELECT created_at, id FROM tasks AS last WHERE last.id = ?)")
        values.append(wanted.before)
    if wanted.ending is not None:
        # All names are of one length, by which they are found at once; the rest holds for any other.
        if len(wanted.ending) == SHORT_NAME:
            parts.append(f"substr(id, -{SHORT_NAME}) = ?" if like_word == "LIKE" else f"right(id, {SHORT_NAME}) = ?")
            values.append(wanted.ending)
        else:
            # Ids are letters and digits: there is no sign to escape.
            parts.append("id LIKE ?")
            values.append(f"%{wanted.ending}")
    for word in (wanted.text or "").split():
        parts.append(f"prompt {like_word} ? ESCAPE '\\'")
        values.append(like(word))
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def like(word: str) -> str:
    """The pattern of whatever holds this word, as it is written."""
    return f"%{_LIKE_SIGNS.sub(_ESCAPED, word)}%"


def totals(tasks: Iterable[tuple[str, Task]]) -> list[Spent]:
    """Purchases by day, provider and model, of tasks with their day."""
    sums: dict[tuple[str, str, str], Spent] = {}
    for day, task in tasks:
        if bought(task):
            key = (day, task.provider, task.model)
            sums[key] = added(sums.get(key), task, day)
    return list(sums.values())


def alike(took: Sequence[tuple[float, Any]], length: int | None) -> list[float]:
    """Of past clips, newest first, with their length: how long those of this length took, or all of few."""
    same = [seconds for seconds, its in took if its == length]
    return (same if len(same) >= 3 else [seconds for seconds, _ in took])[:SAMPLE]


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


def bought(task: Task) -> bool:
    """Whether it is or may be a purchase: one that was withdrawn or refused before any job was made is none."""
    withdrawn = task.state == "cancelled" and task.sent_at is None
    refused = task.state == "failed" and task.job_id is None and (task.error or {}).get("money") == "not_spent"
    return not withdrawn and not refused


def _may_cost(task: Task) -> bool:
    """Whether a task without a settled sum costs something nobody knows."""
    if not task.finished:
        return task.quote_usd is None
    return (task.error or {}).get("money") != "not_spent"
