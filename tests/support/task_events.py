"""The lines of history the store writes with every change of a task: read from the file, as whoever looks into it does."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def history(database: Path, task_id: str) -> list[str]:
    """What happened to a task, oldest first."""
    with closing(sqlite3.connect(database)) as db:
        return [what for (what,) in db.execute("SELECT what FROM events WHERE task_id = ? ORDER BY id", [task_id])]
