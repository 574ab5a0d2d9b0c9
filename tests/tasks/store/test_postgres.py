"""What only the database has: its versions, its engine's tables, what it says when it is away, and what the default costs."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.postgres import Cluster
from support.stub_vendor import new_task

from mcp_server.clock import Clock
from mcp_server.errors import BudgetError, LocalError
from mcp_server.tasks.notify.notifier import Notifier
from mcp_server.tasks.store.base import Budget, Filter
from mcp_server.tasks.store.film_store import FilmFilter
from mcp_server.tasks.store.postgres import jobs, migrate
from mcp_server.tasks.store.postgres.connections import Connections, rows
from mcp_server.tasks.store.postgres.store import PostgresStore

ROOT = Path(__file__).parents[3]


@pytest.fixture
async def store(database: str) -> Any:
    made = PostgresStore(Connections(database))
    yield made
    await made.close()


async def asked(store: PostgresStore, query: str) -> list[Any]:
    async with store.connections.transaction() as connection:
        return [tuple(row.values()) for row in await rows(connection, query)]


def test_the_default_loads_nothing_of_the_database() -> None:
    code = (
        "import sys, asyncio\n"
        "from mcp_server.composition import build\n"
        "from mcp_server import __main__\n"
        "service = build()\n"
        "asyncio.run(service.tasks(limit=1))\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('psycopg', 'psycopg_pool', 'procrastinate')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


async def test_the_engine_has_the_columns_that_our_sql_touches(store: PostgresStore) -> None:
    query = "SELECT table_name, column_name FROM information_schema.columns WHERE table_name LIKE 'procrastinate%'"
    found = set(await asked(store, query))
    for table, columns in jobs.COLUMNS.items():
        assert {(table, column) for column in columns} <= found, table
    states = "SELECT unnest(enum_range(NULL::procrastinate_job_status))::text"
    assert {("todo",), ("doing",)} <= set(await asked(store, states))


async def test_an_order_is_its_row_its_history_its_job_and_its_cents_or_nothing(store: PostgresStore) -> None:
    budget = Budget(daily_usd=Decimal("0.60"))
    lease, _ = await store.create(new_task(), budget)
    with pytest.raises(BudgetError, match=r"0\.56 of 0\.60"):
        await store.create(new_task(), budget)

    held = "SELECT t.id, j.args ->> 'task_id', j.status::text FROM tasks t JOIN procrastinate_jobs j ON j.id = t.follow_job"
    assert await asked(store, held) == [(lease.task.id, lease.task.id, "todo")]
    for table in ("tasks", "events", "procrastinate_jobs"):
        assert await asked(store, f"SELECT count(*) FROM {table}") == [(1,)], table
    assert await asked(store, "SELECT payer, used_usd FROM budgets ORDER BY 1") == [
        ("house", Decimal("0.56")),
        ("owner:", Decimal("0.56")),
    ]


async def test_only_the_job_that_counts_gives_a_lease(store: PostgresStore) -> None:
    lease, _ = await store.create(new_task(), Budget())
    ((job,),) = await asked(store, "SELECT follow_job FROM tasks")
    (task_id, taken) = lease.task.id, await store.take({job + 1: lease.task.id, job: lease.task.id})
    assert taken.keys() == {job} and not taken[job].wished
    await store.change(taken[job].lease, state="queued", job_id="j")
    await store.decide(task_id, ("queued",), "again", note="again")
    ((newer,),) = await asked(store, "SELECT follow_job FROM tasks")
    assert newer != job and await store.take({job: task_id}) == {}
    assert (await store.take({newer: task_id})).keys() == {newer}
    await store.decide(task_id, ("queued",), "stop", stopped_following=True)
    assert await store.take({newer: task_id}) == {}
    assert await asked(store, "SELECT follow_job FROM tasks") == [(None,)]
    await store.decide(task_id, ("queued",), "go on", stopped_following=False)
    ((newest,),) = await asked(store, "SELECT follow_job FROM tasks")
    assert newest is not None and (await store.take({newest: task_id})).keys() == {newest}


async def test_a_silent_worker_s_jobs_are_replaced_and_nobody_is_left_without(store: PostgresStore) -> None:
    leases = [(await store.create(new_task(), Budget()))[0] for _ in range(4)]
    ids = [lease.task.id for lease in leases]
    async with store.connections.transaction() as connection:
        await rows(connection, "SELECT procrastinate_register_worker_v1() AS x")
        await rows(connection, "SELECT procrastinate_register_worker_v1() AS x")
        for worker in (1, 1, 2):
            await rows(connection, "SELECT id FROM procrastinate_fetch_job_v2('{follow}', %s)", [worker])
        await connection.execute(
            "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '11 s' WHERE id = 1"
        )
    before = dict(await asked(store, "SELECT id, follow_job FROM tasks"))
    taken = await store.take({before[task_id]: task_id for task_id in ids[:3]})
    held = [taken[before[task_id]].lease for task_id in ids[:3]]
    async with store.connections.transaction() as connection:
        swept = await jobs.sweep(connection)
    after = dict(await asked(store, "SELECT id, follow_job FROM tasks"))

    assert swept == set(ids[:2]) and after[ids[2]] == before[ids[2]] and after[ids[3]] == before[ids[3]]
    assert all(after[task_id] > max(before.values()) for task_id in ids[:2]), (
        "new numbers: the old ones are worth nothing"
    )
    assert await store.change(held[0], note="a zombie") is None and await store.change(held[2], note="alive")
    gone = f"SELECT count(*) FROM procrastinate_jobs WHERE id IN ({before[ids[0]]}, {before[ids[1]]})"
    assert await asked(store, gone) == [(0,)]
    async with store.connections.transaction() as connection:
        assert await jobs.mend(connection) == set(), "nothing to mend"
        await connection.execute("DELETE FROM procrastinate_jobs WHERE status = 'doing'")
    async with store.connections.transaction() as connection:
        assert await jobs.mend(connection) == {ids[2]}


async def test_one_process_sweeps_at_a_time(store: PostgresStore) -> None:
    lease, _ = await store.create(new_task(), Budget())
    async with store.connections.transaction() as connection:
        await connection.execute("DELETE FROM procrastinate_jobs")
        async with store.connections.transaction() as first:
            assert await jobs.mend(first) == set(), "its row is not committed yet"
            assert await jobs.mend(connection) == set(), "another is at it"
    async with store.connections.transaction() as connection:
        assert await jobs.mend(connection) == {lease.task.id}


async def test_a_database_without_our_tables_or_of_a_later_version_says_what_to_do(cluster: Cluster) -> None:
    url = cluster.make("bare")
    bare = PostgresStore(Connections(url))
    with pytest.raises(LocalError, match="db migrate") as refused:
        await bare.create(new_task(), Budget())
    assert refused.value.money == "not_spent"
    known = len(migrate.steps())
    assert await migrate.migrate(url) == (0, known) and await migrate.migrate(url) == (known, known)
    await bare.create(new_task(), Budget())
    await bare.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE kling_schema SET version = 99, least = 99")
    for ask in (migrate.migrate(url), PostgresStore(Connections(url)).get("kv-1")):
        with pytest.raises(LocalError, match="later version"):
            await ask
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE kling_schema SET version = %s, engine = '3.99'", [known])
    with pytest.raises(LocalError, match=r"procrastinate 3\.99"):
        await PostgresStore(Connections(url)).get("kv-1")


async def test_a_database_that_is_away_says_so_and_nothing_was_bought(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.tasks.store.postgres.connections.PATIENCE_S", 0.2)
    store = PostgresStore(Connections("postgresql://kling@127.0.0.1:9/none?connect_timeout=1"))
    with pytest.raises(LocalError, match="cannot be used") as away:
        await store.create(new_task(), Budget())
    assert away.value.money == "not_spent" and "kling@" not in str(away.value)
    await store.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux's")
async def test_neither_end_waits_long_for_a_machine_that_is_gone(store: PostgresStore) -> None:
    """What a lost network is survived by (`tests/drill/machines_network.py` cuts one): by default TCP waits for hours."""
    async with store.connections.transaction() as connection:
        line = socket.socket(fileno=os.dup(connection.fileno()))
        with line:
            assert line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
            assert line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            ours = [line.getsockopt(socket.IPPROTO_TCP, each) for each in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)]
        theirs = [
            (await rows(connection, f"SHOW {name}"))[0][name]
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_user_timeout")
        ]
    assert (ours, theirs) == ([10, 5], ["10", "5", "10000"])


async def test_a_version_before_works_with_what_the_next_one_only_added(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, _ = await store.create(new_task(prompt="before"), Budget())
    ours = migrate.steps()
    added = "ALTER TABLE tasks ADD COLUMN colour text; CREATE TABLE moods (id text); INSERT INTO moods VALUES ('x')"
    with monkeypatch.context() as next_version:
        next_version.setattr(migrate, "steps", lambda: [*ours, added])
        next_version.setattr(migrate, "LEAST", len(ours))
        assert await migrate.migrate(database) == (len(ours), len(ours) + 1)
        newer = PostgresStore(Connections(database))
        theirs, _ = await newer.create(new_task(prompt="theirs"), Budget())
    older = PostgresStore(Connections(database))
    for each in (before, theirs):
        ((job,),) = await asked(older, f"SELECT follow_job FROM tasks WHERE id = '{each.task.id}'")
        lease = (await (older if each is theirs else newer).take({job: each.task.id}))[job].lease
        assert lease is not None and await (older if each is theirs else newer).sending(lease, 1.0)
    assert {task.prompt for task in await older.find(Filter())} == {"before", "theirs"}
    mine, created = await older.create(new_task(prompt="mine"), Budget())
    assert created and (await newer.get(mine.task.id)).prompt == "mine"
    with pytest.raises(LocalError, match="later version"):
        await migrate.migrate(database)

    with monkeypatch.context() as breaking:
        breaking.setattr(migrate, "steps", lambda: [*ours, added, "ALTER TABLE moods RENAME TO tempers"])
        breaking.setattr(migrate, "LEAST", len(ours) + 2)
        await migrate.migrate(database)
    refused = PostgresStore(Connections(database))
    with pytest.raises(LocalError, match="later version"):
        await refused.find(Filter())
    for each in (newer, older, refused):
        await each.close()


async def test_a_process_at_work_goes_on_while_its_tables_get_columns(
    store: PostgresStore, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement that was prepared must not answer another row than before: the driver prepares what comes often."""

    async def everything(number: int) -> None:
        lease, _ = await store.create(new_task(prompt=f"boat {number}", idempotency_key=f"boat {number}"), Budget())
        ((job,),) = await asked(store, f"SELECT follow_job FROM tasks WHERE id = '{lease.task.id}'")
        lease = (await store.take({job: lease.task.id}))[job].lease
        assert await store.sending(lease, 1.0) and await store.still_leased(lease)
        assert await store.change(lease, state="uncertain", money=True)
        assert await store.decide(lease.task.id, ["uncertain"], "settled", state="failed")
        assert await store.find(Filter()) and (await store.get(lease.task.id)).state == "failed"
        assert await store.films.find(FilmFilter()) == await store.films.many(["kf-1"]) == []
        assert (
            await store.films.keyed(lease.task.owner, [f"boat {number}"]) and await store.films.cancel("kf-1") is None
        )

    for number in range(12):
        await everything(number)
    added = "".join(f"ALTER TABLE {name} ADD COLUMN colour text; " for name in ("tasks", "events", "films", "notices"))
    ours = migrate.steps()
    with monkeypatch.context() as next_version:
        next_version.setattr(migrate, "steps", lambda: [*ours, added])
        assert await migrate.migrate(database) == (len(ours), len(ours) + 1)
    for number in range(12, 15):
        await everything(number)


async def test_an_end_is_told_once_however_many_workers_tell(store: PostgresStore, database: str) -> None:
    clock = Clock()
    writer = PostgresStore(Connections(database), clock, channels=("url",))
    ends = []
    for number in range(6):
        lease, _ = await writer.create(new_task(prompt=f"clip {number}"), Budget())
        ((job,),) = await asked(store, f"SELECT follow_job FROM tasks WHERE id = '{lease.task.id}'")
        taken = (await writer.take({job: lease.task.id}))[job].lease
        await writer.change(taken, state="failed", reserved_usd=Decimal(0))
        ends.append(lease.task.id)
    told: list[tuple[str, str]] = []

    class Way:
        hold_s = 30.0

        def __init__(self, worker: str) -> None:
            self.worker = worker

        async def tell(self, task: Any, notice: Any) -> tuple[str, float | None]:
            await asyncio.sleep(0)
            told.append((task.id, self.worker))
            return "told", None

    stores = [PostgresStore(Connections(database), clock) for _ in range(2)]
    workers = [Notifier(each.outbox, each.get, {"url": Way(str(n))}, clock) for n, each in enumerate(stores)]
    for each in workers:
        each.start()
    async with asyncio.timeout(20):
        while len(told) < len(ends):
            await asyncio.sleep(0.01)
    await asyncio.gather(*(each.close() for each in workers))
    assert sorted(task_id for task_id, _ in told) == sorted(ends)
    for each in (writer, *stores):
        await each.close()
