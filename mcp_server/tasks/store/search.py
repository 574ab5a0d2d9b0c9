"""Lists and sums over all tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from mcp_server.domain.task import FINISHED
from mcp_server.tasks.store.base import Filter, Spent
from mcp_server.tasks.store.schema import Row

_NOTHING: Final = Decimal(0)
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


def kinds(where: str, *, job_id: str, money: str, settled: str) -> str:
    """The query of purchases that are alike in all that a sum asks, with their number: a long record has few kinds.

    The three are how a database says what stands inside `became`.
    """
    return (
        f"SELECT day, provider, model, state, sent_at IS NULL AS unsent, {job_id} IS NULL AS jobless, "  # noqa: S608
        f"{money} AS money, {settled} AS settled_usd, quote_usd, reserved_usd, count(*) AS tasks "
        f"FROM tasks WHERE {where} AND simulated = 0 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 ORDER BY 1"
    )


def totals(found: Iterable[Row]) -> list[Spent]:
    """Purchases by day, provider and model, of their `kinds`; a sum that cannot be read is left out."""
    sums: dict[tuple[str, str, str], Spent] = {}
    for kind in found:
        if _bought(kind):
            key = (kind["day"], kind["provider"], kind["model"])
            with suppress(ArithmeticError, TypeError, ValueError):
                sums[key] = _added(sums.get(key), kind)
    return list(sums.values())


def alike(took: Sequence[tuple[float, Any]], length: int | None) -> list[float]:
    """Of past clips, newest first, with their length: how long those of this length took, or all of few."""
    same = [seconds for seconds, its in took if its == length]
    return (same if len(same) >= 3 else [seconds for seconds, _ in took])[:SAMPLE]


def _added(so_far: Spent | None, kind: Row) -> Spent:
    """The sum with purchases of one more kind."""
    spent = so_far or Spent(
        day=kind["day"], provider=kind["provider"], model=kind["model"], tasks=0,
        quoted_usd=_NOTHING, settled_usd=_NOTHING, counted_usd=_NOTHING, unknown=0,
    )  # fmt: skip
    tasks, unknown = int(kind["tasks"]), kind["settled_usd"] is None and _may_cost(kind)
    return replace(
        spent,
        tasks=spent.tasks + tasks,
        quoted_usd=spent.quoted_usd + tasks * Decimal(kind["quote_usd"] or 0),
        settled_usd=spent.settled_usd + tasks * Decimal(kind["settled_usd"] or 0),
        counted_usd=spent.counted_usd + tasks * Decimal(kind["reserved_usd"]),
        unknown=spent.unknown + tasks * unknown,
    )


def _bought(kind: Row) -> bool:
    """Whether it is or may be a purchase: one that was withdrawn or refused before any job was made is none."""
    withdrawn = kind["state"] == "cancelled" and kind["unsent"]
    refused = kind["state"] == "failed" and kind["jobless"] and kind["money"] == "not_spent"
    return not withdrawn and not refused


def _may_cost(kind: Row) -> bool:
    """Whether purchases without a settled sum cost something nobody knows."""
    if kind["state"] not in FINISHED:
        return kind["quote_usd"] is None
    return kind["money"] != "not_spent"
