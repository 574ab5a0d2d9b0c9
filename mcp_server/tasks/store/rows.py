"""One task's row: read, changed under the rules, never left half done (the caller holds the transaction)."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from typing import Any, cast

from mcp_server.domain.task import FINISHED, MOVES, Task
from mcp_server.tasks.store.base import Changes, Lease
from mcp_server.tasks.store.schema import UPDATE, changing, task_from


class IllegalMoveError(Exception):
    """A change of state that DESIGN does not know: a defect of this program."""


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


def apply(db: sqlite3.Connection, task: Task, changes: Changes, now: float, what: str) -> Task:
    """The task with these changes, recorded."""
    changed = replace(task, **cast("dict[str, Any]", changes))
    save(db, changed, task, now, what)
    return replace(changed, **_times(changed, now))


def save(db: sqlite3.Connection, changed: Task, before: Task, now: float, what: str) -> None:
    """The changed row, and a line of history when it moved or there is something to say; IllegalMoveError."""
    moved = changed.state != before.state
    if moved and changed.state not in MOVES[before.state]:
        raise IllegalMoveError(f"{before.id}: {before.state} → {changed.state}")
    changed = replace(changed, **_times(changed, now))
    db.execute(UPDATE, changing(changed))
    if changed.output_dir != before.output_dir:
        # It stands among what was fixed at the order, where every version of this program looks for it.
        db.execute(
            "UPDATE tasks SET bought = json_set(bought, '$.output_dir', ?) WHERE id = ?",
            [changed.output_dir, changed.id],
        )
    if moved or what:
        note(db, changed, now, what or changed.status)


def _times(changed: Task, now: float) -> dict[str, float | None]:
    finished_at = (changed.finished_at or now) if changed.state in FINISHED else None
    return {"updated_at": now, "finished_at": finished_at}


def note(db: sqlite3.Connection, task: Task, now: float, what: str) -> None:
    """Add a line to the task's history, in the transaction that changed the task."""
    db.execute("INSERT INTO events (task_id, at, state, what) VALUES (?, ?, ?, ?)", [task.id, now, task.state, what])
