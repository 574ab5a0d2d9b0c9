"""One task's row: read, changed under the rules, never left half done (the caller holds the transaction)."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator

from mcp_server.domain.task import Task
from mcp_server.tasks.store import budgets
from mcp_server.tasks.store.admission import TWIN_S, twin_told
from mcp_server.tasks.store.base import Changes, Lease, NewTask, day_of
from mcp_server.tasks.store.moves import changed, told
from mcp_server.tasks.store.schema import Row, UnreadableRowError, changing, task_from, updating

_log = logging.getLogger("kling_video.tasks")
_TOLD: set[str] = set()
"""Rows whose trouble stands in this process's log."""


def read_task(db: sqlite3.Connection, task_id: str) -> Task | None:
    """The task as it stands; None when there is none."""
    row = db.execute("SELECT * FROM tasks WHERE id = ?", [task_id]).fetchone()
    return None if row is None else task_from(row)


def leased_by(db: sqlite3.Connection, lease: Lease, process: str) -> Task | None:
    """The task, if this process still has it under this lease."""
    row = db.execute(
        "SELECT * FROM tasks WHERE id = ? AND holder = ? AND claim = ?", [lease.task.id, process, lease.number]
    ).fetchone()
    return None if row is None else task_from(row)


def twins(db: sqlite3.Connection, new: NewTask, now: float) -> Iterator[str]:
    """A warning when the same was ordered a moment ago."""
    if new.idempotency_key is not None or new.simulated:
        return
    # The sign before `owner` keeps SQLite from going through all that its owner ordered lately: by digest there is one.
    row = db.execute(
        "SELECT id, created_at FROM tasks WHERE request_digest = ? AND +owner = ? AND created_at > ? "
        "AND simulated = 0 AND state NOT IN ('failed', 'cancelled') AND typeof(created_at) = 'real' "
        "ORDER BY created_at DESC LIMIT 1",
        [new.request_digest, new.owner, now - TWIN_S],
    ).fetchone()
    if row is not None:
        yield twin_told(row["id"], row["created_at"], now)


def readable(rows: Iterable[Row]) -> Iterator[Task]:
    """The tasks of these rows; one that cannot be read is told in the log and leaves the others alone."""
    for row in rows:
        try:
            yield task_from(row)
        except UnreadableRowError as error:
            _tell(error)


def _tell(error: UnreadableRowError) -> None:
    if error.task_id not in _TOLD:
        _TOLD.add(error.task_id)
        _log.warning("%s", error.what)


def apply(db: sqlite3.Connection, task: Task, changes: Changes, now: float, what: str) -> Task:
    """The task with these changes, recorded; IllegalMoveError."""
    after = changed(task, changes, now)
    save(db, after, task, now, what)
    return after


def save(db: sqlite3.Connection, after: Task, before: Task, now: float, what: str) -> None:
    """The changed row, and a line of history when it moved or there is something to say."""
    money_moved = str(after.reserved_usd) != str(before.reserved_usd)
    counted = budgets.known(db, before.owner, day_of(before.created_at)) if money_moved else {}
    db.execute(updating(after, before), changing(after))
    budgets.count(db, counted, after.reserved_usd - before.reserved_usd)
    if after.output_dir != before.output_dir:
        # It stands among what was fixed at the order, where every version of this program looks for it.
        db.execute(
            "UPDATE tasks SET bought = json_set(bought, '$.output_dir', ?) WHERE id = ?",
            [after.output_dir, after.id],
        )
    if line := told(before, after, what):
        note(db, after, now, line)


def note(db: sqlite3.Connection, task: Task, now: float, what: str) -> None:
    """Add a line to the task's history, in the transaction that changed the task."""
    db.execute("INSERT INTO events (task_id, at, state, what) VALUES (?, ?, ?, ?)", [task.id, now, task.state, what])
