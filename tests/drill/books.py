"""The books after a drill: what the vendors took on, held against what a record says and what lies on disk."""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Ordered:
    """One order as whoever placed it remembers it; its prompt is nobody else's."""

    prompt: str
    provider: str
    key: str = ""
    """Under which it is asked for again when no answer came."""


@dataclass
class Reckoning:
    """Everything that is wrong, and how many there were of what."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    told: str = ""
    """What was measured."""

    def add(self, other: Reckoning) -> None:
        self.wrong += other.wrong
        self.counts += other.counts


@dataclass
class Turns:
    """The numbers 0, 1, 2 …, each given out once to whoever comes next, until there are enough or the time is up."""

    count: int
    end: float = math.inf
    """By the clock that never jumps."""
    taken: int = 0

    def __iter__(self) -> Turns:
        return self

    def __next__(self) -> int:
        if self.taken >= self.count or time.monotonic() > self.end:
            raise StopIteration
        self.taken += 1
        return self.taken - 1

    def __str__(self) -> str:
        return f"{self.count}" if self.taken == self.count else f"{self.taken} of {self.count}"


def recorded(database: Path, prompts: Collection[str]) -> int:
    """How many of these orders have a row by now, read from outside."""
    marks = ", ".join("?" * len(prompts))
    return _number(database, f"SELECT count(*) FROM tasks WHERE prompt IN ({marks})", prompts)


def taken_on(store: Path, prompts: Collection[str]) -> int:
    """How many jobs the vendors have for these orders."""
    marks = ", ".join("?" * len(prompts))
    return _number(store, f"SELECT count(*) FROM jobs WHERE json_extract(\"order\", '$.prompt') IN ({marks})", prompts)


def _number(database: Path, query: str, given: Collection[str]) -> int:
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as db:
            return int(db.execute(query, list(given)).fetchone()[0])
    except sqlite3.OperationalError:
        # Not made yet.
        return 0


def jobs(store: Path) -> dict[str, list[tuple[str, str]]]:
    """Every job the vendors took on: the order's prompt → vendor and job."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
        for vendor, job, order in db.execute('SELECT vendor, id, "order" FROM jobs'):
            found[json.loads(order)["prompt"]].append((vendor, job))
    return found


def reckoned(
    orders: Iterable[Ordered],
    *,
    told: Mapping[str, str],
    bought: Mapping[str, list[tuple[str, str]]],
    rows: Iterable[Mapping[str, Any]],
    files: Mapping[str, str],
    keyed: Collection[str],
    surely: Collection[str] = (),
    left_over: Collection[str] = (),
) -> Reckoning:
    """The orders of one home, held against its rows and files and the vendors' jobs.

    `told` says which prompts got which task id for an answer; `keyed` are the vendors whose orders are repeated under a
    key, and so never stay in doubt; nor do the prompts in `surely`, whose answers were waited for.
    """
    made = Reckoning()
    of_prompt: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        of_prompt[row["prompt"]].append(row)
    for order in orders:
        made.counts["orders"] += 1
        doubt = order.provider not in keyed and order.prompt not in surely
        mine = of_prompt[order.prompt]
        made.add(_one(order, told.get(order.prompt), bought.get(order.prompt, []), mine, doubt=doubt))
    for row in (row for several in of_prompt.values() for row in several if row["state"] == "succeeded"):
        named = Path(row["artifact"]["path"]).name
        if files.get(named) != row["artifact"]["sha256"]:
            made.wrong.append(f"{row['id']}: {named} is not the file its row tells of")
        made.counts["clips"] += 1
    named = {Path(row["artifact"]["path"]).name for rows in of_prompt.values() for row in rows if row["artifact"]}
    made.wrong += [f"{name} is nobody's clip" for name in files.keys() - named]
    made.wrong += [f"left over: {name}" for name in left_over]
    return made


def _one(
    order: Ordered,
    told: str | None,
    bought: list[tuple[str, str]],
    rows: list[Mapping[str, Any]],
    *,
    doubt: bool,
) -> Reckoning:
    made = Reckoning()
    made.counts["taken on"] += len(bought)
    shown = f"{order.prompt} at {order.provider}"
    if len(bought) > 1:
        made.counts["double"] += 1
        made.wrong.append(f"{shown} was bought {len(bought)} times: {bought}")
    if not rows and (bought or told):
        made.counts["lost"] += 1
        made.wrong.append(f"{shown} is lost: jobs {bought}, answered with {told}, no row")
    if len(rows) > 1:
        made.wrong.append(f"{shown} has {len(rows)} rows")
    for row in rows:
        made.counts[row["state"]] += 1
        if told and row["id"] != told:
            made.wrong.append(f"{shown} was answered with {told}, its row is {row['id']}")
        if why := _misfit(row, bought, doubt=doubt):
            made.counts["lost"] += bool(bought)
            made.wrong.append(f"{shown} {why}: {row['note']} {row['error']} {row.get('history')}")
    return made


def _misfit(row: Mapping[str, Any], bought: list[tuple[str, str]], *, doubt: bool) -> str:
    """How a row does not fit what its vendor took on."""
    mine = {job for _, job in bought}
    match row["state"]:
        case "succeeded":
            return "" if row["job_id"] in mine else f"is followed as {row['job_id']} and was bought as {mine}"
        case "uncertain":
            return "" if doubt else "stayed in doubt, though nobody had to lose its answer"
        case "cancelled":
            return "" if row["job_id"] in mine or not mine else "is called cancelled and was bought"
        case "failed":
            return "is called failed and was bought" if mine else ""
        case state:
            return f"is still {state}"
