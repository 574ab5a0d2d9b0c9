"""A file's purchases move into the shared record: all, once, and nobody writes in the file after."""

from __future__ import annotations

import sqlite3
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.stub_vendor import new_task
from tasks.store.test_postgres_films import film

from mcp_server.clock import Clock
from mcp_server.errors import LocalError
from mcp_server.tasks.store.base import Budget, Filter
from mcp_server.tasks.store.film_store import FilmFilter
from mcp_server.tasks.store.postgres.connections import Connections
from mcp_server.tasks.store.postgres.importing import move
from mcp_server.tasks.store.postgres.opening import opened
from mcp_server.tasks.store.sqlite import SqliteStore


async def filled(path: Path) -> tuple[SqliteStore, list[str]]:
    """A home with one task made, one with its vendor, one not sent, and a film that holds money back."""
    store = SqliteStore(path)
    leases = [(await store.create(new_task(prompt=f"clip {n}", owner="ann"), Budget()))[0] for n in range(3)]
    await store.sending(leases[0], 1.0)
    await store.change(leases[0], "taken", money=True, state="queued", job_id="j0")
    await store.change(leases[0], state="failed", reserved_usd=Decimal(0))
    await store.sending(leases[1], 2.0)
    await store.change(leases[1], "taken", money=True, state="queued", job_id="j1")
    await store.films.start(film(2), Budget())
    return store, [lease.task.id for lease in leases]


async def test_everything_moves_once_and_open_tasks_are_followed(tmp_path: Path, database: str) -> None:
    old, ids = await filled(tmp_path / "tasks.db")
    before = {task.id: task for task in await old.many(ids)}
    connections = Connections(database)
    with pytest.raises(LocalError, match="still works"):
        await move(tmp_path / "tasks.db", connections, time.time())
    await old.release()
    moved = await move(tmp_path / "tasks.db", connections, time.time())
    again = await move(tmp_path / "tasks.db", connections, time.time())
    store = opened(database, Clock(), follows=False)

    assert (moved.tasks, moved.films, moved.followed, moved.unreadable) == (3, 1, 2, ())
    assert (again.tasks, again.films) == (0, 0)
    assert {task.id: task for task in await store.find(Filter())} == before
    async with connections.transaction() as connection:

        async def one(query: str) -> Any:
            return [tuple(row.values()) for row in await (await connection.execute(query.encode())).fetchall()]

        assert await one("SELECT count(*) FROM tasks JOIN procrastinate_jobs AS j ON j.id = follow_job") == [(2,)]
        assert await one("SELECT used_usd FROM budgets WHERE payer = 'owner:ann'") == [(Decimal("1.12"),)]
        assert await one("SELECT used_usd FROM budgets WHERE payer = 'house' AND day = 'films'") == [(Decimal("1.12"),)]
        assert await one("SELECT count(*) FROM events") == [(7,)]
    assert (await store.films.find(FilmFilter()))[0].state == "filming"
    with pytest.raises(LocalError, match="moved"):
        await old.create(new_task(), Budget())
    with pytest.raises(LocalError, match="moved into a shared record"):
        await SqliteStore(tmp_path / "tasks.db").get(ids[0])
    await store.close()
    await connections.close()
    await old.close()


async def test_a_move_that_was_cut_goes_on_and_leaves_what_it_cannot_read(tmp_path: Path, database: str) -> None:
    old, ids = await filled(tmp_path / "tasks.db")
    await old.release()
    await old.close()
    db = sqlite3.connect(tmp_path / "tasks.db")
    db.execute("UPDATE tasks SET became = '[]' WHERE id = ?", [ids[2]])
    db.commit()
    db.close()
    store = opened(database, Clock(), follows=False)
    connections = store.connections
    await move(tmp_path / "tasks.db", connections, time.time())
    async with connections.transaction() as connection:
        await connection.execute("DELETE FROM events")
        await connection.execute("DELETE FROM tasks")
        await connection.execute("DELETE FROM procrastinate_jobs")
    moved = await move(tmp_path / "tasks.db", connections, time.time())

    assert (moved.tasks, moved.films, moved.unreadable) == (2, 0, (ids[2],))
    assert len(await store.find(Filter())) == 2
    await store.close()
