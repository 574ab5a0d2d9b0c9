"""The file itself: made when needed, shared without quarrel, never lost and never misread."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
import subprocess
import sys
import textwrap
import threading
from contextlib import closing
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from support.stub_vendor import House, new_task

from mcp_server.domain.task import Artifact, Settlement
from mcp_server.errors import BudgetError, LocalError
from mcp_server.tasks.store import schema
from mcp_server.tasks.store.base import Budget, Filter, Lease, new_id
from mcp_server.tasks.store.heartbeat import Heartbeats, place
from mcp_server.tasks.store.sqlite import SqliteStore, _newest

ROOT = Path(__file__).parents[3]


async def test_a_task_comes_back_as_it_was_written(house: House) -> None:
    store = house.runner().store
    new = house.new(
        warnings=("one", "two"),
        ordered={"duration": 5, "audio": False},
        route="cheapest",
        owner="ann",
        idempotency_key="k",
    )
    lease, _ = await store.create(new, Budget())
    changed = await store.change(
        lease, state="queued", job_id="j", job_links={"status": "https://x"}, progress=0, queue_position=0
    )
    assert changed is not None
    await store.change(
        lease,
        state="saving",
        video_url="https://m/x.mp4?sig=1",
        settlement=Settlement(amount=Decimal("0.1"), currency="USD", usd=Decimal("0.10"), basis="reported"),
    )
    artifact = Artifact(
        path="/p",
        sha256="s",
        bytes=3,
        media_type="video/mp4",
        saved_at=1.5,
        delivered={"width": 9},
        differences=["shorter"],
    )
    last = await store.change(lease, state="succeeded", artifact=artifact)
    back = await store.get(new.id)

    assert back == last
    assert back.call["json"] == {"prompt": "a neon city", "cfg": 0.5}, "a number stays a number for a resend"
    assert (back.progress, back.queue_position) == (0, 0)
    assert back.settlement is not None
    assert str(back.settlement.usd) == "0.10"
    assert back.warnings == ("one", "two")
    assert back.finished_at == house.clock.now()


async def test_a_file_of_the_first_version_grows_and_its_orders_stay_as_they_were(house: House) -> None:
    new = house.new()
    house.home.mkdir(exist_ok=True)
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        for statement in filter(str.strip, schema.MIGRATIONS[0].split(";")):
            db.execute(statement)
        row = schema.row_of(schema.task_of(new, 1.0, (), Decimal(0)), None, 1)
        row = {name: row[name] for name in row if name != "local_media"}
        db.execute(f"INSERT INTO tasks ({', '.join(row)}) VALUES ({', '.join(f':{name}' for name in row)})", row)
        db.execute("PRAGMA user_version = 1")
        db.commit()
    store = house.runner().store

    task = await store.get(new.id)
    (lease,) = await store.take_over()
    assert await store.sending(lease, 2.0)

    assert (task.local_media, task.call["json"]["prompt"]) == ((), "a neon city")
    assert (await store.get(new.id)).sent_at == 2.0


async def test_a_row_goes_from_the_version_before_to_this_one_and_back(house: House) -> None:
    """The version before needs a `submit_key` in every row, and may have written `next_look_at` into one."""
    store = house.runner().store
    lease, _ = await store.create(house.new(), Budget())
    with closing(sqlite3.connect(house.home / "tasks.db")) as db:
        ((bought,),) = db.execute("SELECT bought FROM tasks").fetchall()
        db.execute("UPDATE tasks SET became = json_set(became, '$.next_look_at', 7.0)")
        db.commit()

    assert json.loads(bought)["submit_key"] == lease.task.id
    assert await store.get(lease.task.id) == lease.task
    assert await store.change(lease, state="queued", job_id="j") is not None


async def test_the_file_is_for_its_owner_only_and_waits_for_the_disk_where_money_is(house: House) -> None:
    store = house.runner().store
    await store.create(house.new(), Budget())
    mode = stat.S_IMODE((house.home / "tasks.db").stat().st_mode)
    assert mode == 0o600

    said: list[str] = []
    await store._writer.do(lambda db: db.set_trace_callback(said.append), "read")
    lease, _ = await store.create(house.new(), Budget())
    await store.sending(lease, 1.0)
    await store.change(lease, note="x")
    waits = [line for line in said if line.startswith("PRAGMA synchronous") or line == "COMMIT"]
    order_and_leaving = ["COMMIT", "PRAGMA synchronous = FULL", "COMMIT"]
    assert waits == [*order_and_leaving, "PRAGMA synchronous = NORMAL", "COMMIT"]


async def test_what_a_vendor_took_is_on_the_disk_although_nothing_follows(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = house.runner().store
    lease, _ = await store.create(house.new(), Budget())
    await store.sending(lease, 1.0)
    synced, sync = threading.Event(), os.fsync

    def seen(file: int) -> None:
        sync(file)
        if os.path.samestat(os.fstat(file), (house.home / "tasks.db-wal").stat()):
            synced.set()

    monkeypatch.setattr("os.fsync", seen)
    await store.change(lease, money=True, state="queued", job_id="job-1")

    assert await asyncio.to_thread(synced.wait, 5)


async def test_a_row_that_cannot_be_read_at_once_is_waited_for(house: House) -> None:
    store = house.runner().store
    lease, _ = await store.create(house.new(), Budget())
    store._writer._reader.close()

    assert (await store.get(lease.task.id)).id == lease.task.id
    assert await store.still_leased(lease)


async def test_changes_that_come_together_are_one_transaction_and_keep_their_own_fate(house: House) -> None:
    store = house.runner().store
    await store.create(house.new(), Budget())
    said: list[str] = []
    await store._writer.do(lambda db: db.set_trace_callback(said.append), "read")

    results = await asyncio.gather(
        *(store.create(house.new(), Budget(daily_usd=Decimal("2.80"))) for _ in range(10)), return_exceptions=True
    )

    assert sum(isinstance(result, BudgetError) for result in results) == 6
    assert said.count("COMMIT") <= 3
    assert len(await store.find(Filter())) == 5


def test_a_budget_holds_across_processes(tmp_path: Path) -> None:
    code = textwrap.dedent(
        f"""
        import asyncio, sys, time
        from decimal import Decimal
        from pathlib import Path
        from mcp_server.errors import BudgetError
        from mcp_server.tasks.store.base import Budget, new_id
        from mcp_server.tasks.store.sqlite import SqliteStore
        from support.stub_vendor import new_task

        async def main():
            store = SqliteStore(Path({str(tmp_path)!r}) / "tasks.db")
            made = 0
            for _ in range(30):
                try:
                    await store.create(new_task(new_id(time.time())), Budget(daily_usd=Decimal("11.20")))
                    made += 1
                except BudgetError:
                    pass
            print(made)

        asyncio.run(main())
        """
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    running = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)
    ]
    made = [int(process.communicate(timeout=120)[0]) for process in running]

    assert sum(made) == 20, "11.20 USD are twenty clips of 0.56, whoever buys them"


async def test_a_file_of_a_later_version_is_left_alone(house: House) -> None:
    db = sqlite3.connect(house.home / "tasks.db")
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(LocalError, match="later version"):
        await house.runner().store.create(house.new(), Budget())


async def test_a_file_of_an_earlier_version_grows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = house.runner()
    lease, _ = await runner.store.create(house.new(), Budget())
    await runner.close(grace_s=0)
    monkeypatch.setattr(
        schema, "MIGRATIONS", (*schema.MIGRATIONS, "CREATE TABLE later (x); ALTER TABLE tasks ADD COLUMN y")
    )

    again = house.runner().store

    assert (await again.get(lease.task.id)).id == lease.task.id
    version = await again._writer.do(lambda db: db.execute("PRAGMA user_version").fetchone()[0], "read")
    assert version == len(schema.MIGRATIONS)


async def test_a_file_that_is_no_database_is_said_and_not_replaced(house: House) -> None:
    (house.home / "tasks.db").write_bytes(b"this is a letter to my aunt" * 100)

    with pytest.raises(LocalError, match="cannot be used"):
        await house.runner().store.create(house.new(), Budget())

    assert (house.home / "tasks.db").read_bytes().startswith(b"this is a letter")
    if (listed := Path("/proc/self/fd")).exists():
        held_open = {os.path.realpath(link) for link in listed.iterdir()}
        assert str(house.home / "tasks.db") not in held_open


async def test_a_foreign_writer_is_waited_for(house: House) -> None:
    store = house.runner().store
    lease, _ = await store.create(house.new(), Budget())
    other = sqlite3.connect(house.home / "tasks.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.change(lease, note="after"))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    assert (await house.runner().store.get(lease.task.id)).note == "", "reading waits for nobody"
    other.execute("COMMIT")
    other.close()

    assert (await waiting).note == "after"  # type: ignore[union-attr]


async def test_a_lease_of_an_older_holder_is_worth_nothing(house: House) -> None:
    one, two = house.runner().store, house.runner().store
    lease, _ = await one.create(house.new(), Budget())
    await one.release([lease.task.id])
    (taken,) = await two.take_over()

    assert (taken.number, await one.change(lease, note="mine")) == (2, None)
    assert await two.change(Lease(taken.task, 1), note="old") is None
    assert (await two.change(taken, note="mine")).note == "mine"  # type: ignore[union-attr]


def test_a_process_lives_while_its_heartbeat_moves_or_is_young(house: House) -> None:
    heartbeats = Heartbeats(house.clock.monotonic)

    def row(beat: int, pid: int = os.getpid(), where: str = place()) -> sqlite3.Row:
        return {"id": "p", "beat": beat, "pid": pid, "place": where}  # type: ignore[return-value]

    assert heartbeats.alive(row(1))
    house.clock.passed += 5
    assert heartbeats.alive(row(1))
    house.clock.passed += 2
    assert not heartbeats.alive(row(1)), "a heartbeat that stands still"
    assert heartbeats.alive(row(2))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert not heartbeats.alive(row(3, gone.pid)), "a process that is not there"
    assert heartbeats.alive(row(4, gone.pid, "another machine")), "numbers of another machine mean nothing here"


def test_ids_sort_by_day_and_are_safe_everywhere() -> None:
    first, later = new_id(1_795_000_000), new_id(1_795_100_000)

    assert first < later
    assert len({new_id(0) for _ in range(1000)}) == 1000
    assert first.replace("-", "").isalnum()


def test_importing_the_package_costs_nothing() -> None:
    code = "import sys, mcp_server.tasks; print([m for m in ('asyncio', 'sqlite3', 'httpx', 'pydantic') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)

    assert out.stdout.strip() == "[]"


async def test_reading_and_listing_make_no_file(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "none" / "tasks.db")

    assert await store.many(["x"]) == await store.find(Filter()) == await store.take_over() == []
    assert await store.version() == -1
    assert not (tmp_path / "none").exists()
    assert new_task().id


async def test_an_order_just_like_it_is_looked_for_by_what_it_is_alone(house: House) -> None:
    store, said = house.runner().store, list[str]()
    await store.create(house.new(), Budget())
    await store._writer.do(lambda db: db.set_trace_callback(said.append), "read")

    await store.create(house.new(), Budget())

    (twin,) = [query for query in said if "request_digest =" in query]
    plan = await store._writer.do(lambda db: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {twin}")], "read")
    assert all("USING INDEX task_twins" in line for line in plan)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(owner=""),
        Filter(owner="", states=("submitting", "queued", "running", "saving")),
        Filter(owner="anna", states=("failed",)),
        Filter(owner="", provider="fal", simulated=False),
        Filter(owner="", ending="abcdef", limit=5),
        Filter(owner="", key="boats"),
    ],
    ids=str,
)
async def test_what_is_listed_is_found_by_an_index_and_no_list_is_sorted(house: House, wanted: Filter) -> None:
    store = house.runner().store
    await store.create(house.new(), Budget())
    query, values = _newest(wanted)

    plan = await store._writer.do(
        lambda db: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {query}", values)], "read"
    )

    at_the_table = [line for line in plan if "tasks" in line]
    assert at_the_table and all("USING INDEX task_" in line for line in at_the_table)
    if wanted.ending:
        assert "USING INDEX task_endings" in at_the_table[0]
        return
    # What has one moment is sorted by its id; nothing else is sorted before it is cut to what was asked for.
    after = [then for line, then in pairwise(plan) if "tasks" in line]
    assert "USE TEMP B-TREE FOR ORDER BY" not in after


async def test_of_several_states_the_newest_are_listed_in_order(house: House) -> None:
    store = house.runner().store
    leases = []
    for number in range(6):
        lease, _ = await store.create(house.new(prompt=f"boat {number}"), Budget())
        leases.append(lease)
        house.clock.passed += 1
    for lease in leases[::2]:
        await store.sending(lease, 1.0)
        await store.change(lease, state="queued", job_id=lease.task.id)

    found = await store.find(Filter(states=("queued", "submitting"), limit=4))

    assert [task.prompt for task in found] == ["boat 5", "boat 4", "boat 3", "boat 2"]
