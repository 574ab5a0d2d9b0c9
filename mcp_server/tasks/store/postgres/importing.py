"""Moving a file's purchases into the shared record: once, with their ids, and again from where it was broken off.

The file is marked first, so that nothing is ordered or written in it any more, by processes of any version: one that
opens it refuses the mark, and one that has it open is refused by a trigger. What is copied twice stays as it was copied
first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_server.domain.film import Film
from mcp_server.domain.task import Task
from mcp_server.errors import LocalError
from mcp_server.tasks.store.base import day_of
from mcp_server.tasks.store.film_rows import readable_films
from mcp_server.tasks.store.film_rows import row_of as film_row
from mcp_server.tasks.store.heartbeat import Heartbeats
from mcp_server.tasks.store.moves import to_be_followed
from mcp_server.tasks.store.postgres import budgets, jobs
from mcp_server.tasks.store.postgres.connections import Connection, Connections, row, run
from mcp_server.tasks.store.postgres.films import WRITE as WRITE_FILM
from mcp_server.tasks.store.postgres.store import INSERT as INSERT_TASK
from mcp_server.tasks.store.rows import readable
from mcp_server.tasks.store.schema import MOVED, migrate, row_of

RECENT_S: Final = 60.0
"""A process of another machine whose heartbeat is younger may live."""
AT_ONCE: Final = 200
_GUARDS: Final = [
    f"CREATE TRIGGER IF NOT EXISTS moved_{table}_{what} BEFORE {what} ON {table} BEGIN "
    "SELECT RAISE(ABORT, 'this record was moved into the database KLING_DATABASE_URL names'); END"
    for table in ("tasks", "films")
    for what in ("INSERT", "UPDATE")
]


@dataclass(frozen=True, slots=True)
class Moved:
    """What an import came to."""

    tasks: int
    films: int
    followed: int
    """Of the tasks: those that a worker now goes on with."""
    unreadable: tuple[str, ...]
    """Rows that stay in the file, for nobody understands them here."""


async def move(path: Path, connections: Connections, now: float) -> Moved:
    """Everything of the file, which exists, in the database; LocalError where a process still works on it."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as db:
        db.row_factory = sqlite3.Row
        _marked(db, path, now)
        tasks = films = followed = 0
        every = [dict(each) for each in db.execute("SELECT * FROM tasks ORDER BY created_at, id")]
        known = list(readable(every))
        for some in _parts(known):
            async with connections.transaction() as connection:
                for task in some:
                    tasks += await _task(connection, db, task)
            followed += sum(to_be_followed(task) for task in some)
        for film in readable_films(db.execute("SELECT * FROM films").fetchall()):
            async with connections.transaction() as connection:
                films += await _film(connection, db, film)
    unreadable = {str(each["id"]) for each in every} - {task.id for task in known}
    return Moved(tasks, films, followed, tuple(sorted(unreadable)))


def _marked(db: sqlite3.Connection, path: Path, now: float) -> None:
    """Nobody writes in the file any more."""
    if int(db.execute("PRAGMA user_version").fetchone()[0]) == MOVED:
        return
    migrate(db)
    db.execute("BEGIN IMMEDIATE")
    try:
        # A process of this machine is there or not; of another, its last beat is all there is to see.
        for process in db.execute("SELECT * FROM processes").fetchall():
            if Heartbeats(lambda: 0.0).alive(process) and now - process["beat_at"] < RECENT_S:
                raise LocalError(
                    f"Process {process['pid']} still works with {path}",
                    why="what it has under way must be written down where it was ordered",
                    next_step="End every kling-video of that home, and run this again (a minute later, if elsewhere)",
                )
        for guard in _GUARDS:
            db.execute(guard)
        db.execute(f"PRAGMA user_version = {MOVED}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _parts(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    for start in range(0, len(tasks), AT_ONCE):
        yield tasks[start : start + AT_ONCE]


async def _task(connection: Connection, db: sqlite3.Connection, task: Task) -> bool:
    """Whether it was copied now: row, history, job and its part of the day."""
    if await row(connection, "SELECT id FROM tasks WHERE id = %s", [task.id]) is not None:
        return False
    job = await jobs.put(connection, task.id) if to_be_followed(task) else None
    await run(connection, INSERT_TASK, {**row_of(task, None, 0), "follow_job": job})
    await _history(connection, db, "events", "task_id", task.id)
    await budgets.move(connection, task.owner, day_of(task.created_at), task.reserved_usd)
    return True


async def _film(connection: Connection, db: sqlite3.Connection, film: Film) -> bool:
    if await row(connection, "SELECT id FROM films WHERE id = %s", [film.id]) is not None:
        return False
    await run(connection, WRITE_FILM, film_row(film))
    await _history(connection, db, "film_events", "film_id", film.id)
    await budgets.release(connection, film.owner, -film.reserved_usd)
    return True


async def _history(connection: Connection, db: sqlite3.Connection, table: str, column: str, name: str) -> None:
    lines: list[Any] = db.execute(
        f"SELECT at, state, what FROM {table} WHERE {column} = ? ORDER BY id",  # noqa: S608 - names of ours
        [name],
    ).fetchall()
    for line in lines:
        await run(
            connection,
            f"INSERT INTO {table} ({column}, at, state, what) VALUES (%s, %s, %s, %s)",  # noqa: S608
            [name, line["at"], line["state"], line["what"]],
        )
