"""The record of many machines, beside the file of one, in the same run: `python benchmarks/scale.py [--tasks N] …`.

Creates: p50 and p99 one after the other, and how many a second by two processes of 16 at once, for 1 owner and for 50,
with budgets set. Looks: workers as processes that hold N tasks, each due every --gap seconds, at a vendor in
memory; CPU a look of workers and of Postgres, memory a task. Takeover: of two workers with N each one is killed. What
a task leaves: 200 lives, after a vacuum. `--soak MINUTES`: orders that end after a minute, five a second,
with dead rows and sizes every minute. Wall time is the machine's as much as ours; CPU says more.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import psycopg
from support.postgres import Cluster
from support.stub_vendor import StubIntake, Wire, catalog, facts, new_task, reply

from mcp_server.clock import Clock
from mcp_server.providers.accounts import Account
from mcp_server.settings import Secret
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Budget, Lease, new_id
from mcp_server.tasks.store.postgres import jobs
from mcp_server.tasks.store.postgres.migrate import migrate
from mcp_server.tasks.store.postgres.opening import opened
from mcp_server.tasks.store.sqlite import SqliteStore
from mcp_server.telemetry import NoTraces

BUDGET = Budget(daily_usd=Decimal(1_000_000), owners={"*": Decimal(1_000_000)})
AT_ONCE = 16
TICK_S = 0.25
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
HERTZ = os.sysconf("SC_CLK_TCK")


def store_at(place: str, *, follows: bool = False) -> Any:
    if place.startswith("postgresql://"):
        return opened(place, Clock(), follows=follows)
    return SqliteStore(Path(place))


# Creates


async def created(place: str, count: int, owners: int, at_once: int) -> list[float]:
    store, taken, room = store_at(place), list[float](), asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with room:
            new = new_task(
                new_id(time.time()), prompt=f"{place} {number} {os.getpid()}", owner=f"owner {number % owners}"
            )
            began = time.perf_counter()
            await store.create(new, BUDGET)
            taken.append(time.perf_counter() - began)

    for number in range(5):
        await one(-number)
    taken.clear()
    await asyncio.gather(*map(one, range(count)))
    await store.ownership.release()
    await store.close()
    return taken


def creator(place: str, count: int, owners: int) -> None:
    """One of two processes; says how long it took once it was told to begin."""

    async def run() -> None:
        sys.stdin.readline()
        began, used = time.perf_counter(), time.process_time()
        taken = await created(place, count, owners, AT_ONCE)
        print(json.dumps({"wall": time.perf_counter() - began, "cpu": time.process_time() - used, **quantiles(taken)}))

    asyncio.run(run())


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": round(1000 * ordered[len(ordered) // 2], 2),
        "p99_ms": round(1000 * ordered[int(0.99 * len(ordered))], 2),
    }


def creates(place: str, count: int, owners: int, cluster: Cluster | None) -> dict[str, Any]:
    alone = quantiles(asyncio.run(created(place, count, owners, 1)))
    used = server_cpu(cluster)
    both = [
        subprocess.Popen(
            [sys.executable, __file__, "creator", place, str(count), str(owners)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for _ in range(2)
    ]  # fmt: skip
    time.sleep(2.0)
    said = [json.loads(each.communicate("go\n")[0]) for each in both]
    used = server_cpu(cluster) - used
    return {
        **alone,
        "two_processes_of_16": {
            "a_second": round(2 * count / max(each["wall"] for each in said)),
            "p50_ms": max(each["p50_ms"] for each in said),
            "cpu_us_each": round(1e6 * sum(each["cpu"] for each in said) / (2 * count)),
            "server_cpu_us_each": round(1e6 * used / (2 * count)),
        },
    }


# Looks


@dataclass
class Line:
    """A vendor in memory, which says that it is at work; `ends_s` after the order it says that it failed."""

    ends_s: float = 0.0
    looks: int = 0
    traces: NoTraces = field(default_factory=NoTraces)
    busy: Any = field(default_factory=lambda: reply(200, {"status": "processing"}))
    ended: Any = field(default_factory=lambda: reply(200, {"status": "failed", "error": "enough"}))
    seen: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def slot(self, _account: Account) -> Any:
        yield

    async def send(self, _account: Account, call: Any, *, leaves: Any = None) -> Any:
        if call.paid:
            if leaves is not None:
                await leaves()
            return reply(200, {"id": f"job-{time.time_ns()}", "status": "pending"})
        self.looks += 1
        if self.ends_s and time.monotonic() - self.seen.setdefault(call.path, time.monotonic()) > self.ends_s:
            self.seen.pop(call.path)
            return self.ended
        return self.busy

    async def aclose(self) -> None:
        pass


async def follow(place: str, gap_s: float, ends_s: float) -> None:
    """A worker that says twice a second what it holds and what it has used."""
    known = facts(concurrency=200)
    account = Account(facts=known, base_urls=known.base_urls, secret=Secret("k", "t"))

    async def reach(_provider: str, _simulated: bool) -> Account:  # noqa: FBT001 - the runtime's own signature
        return account

    line, store = Line(ends_s), store_at(place, follows=True)
    if place.startswith("postgresql://"):
        store.ownership.most = 100_000
    runtime = TaskRuntime(store=store, transport=line, account=reach, catalog=catalog(known), wire=Wire)  # type: ignore[arg-type]
    runner = TaskRunner(runtime, StubIntake())  # type: ignore[arg-type]

    async def every(_task: Any, **_more: Any) -> float:
        return gap_s

    async def somewhen(_task: Any, **_more: Any) -> float:
        return random.random() * gap_s

    runner.pacing.gap, runner.pacing.gap_after_absence = every, somewhen  # type: ignore[method-assign]
    await runner.start()
    while True:
        rss = _rss_kb()
        held = len(runner.dispatcher.scheduler)
        print(json.dumps([time.monotonic(), held, line.looks, time.process_time(), rss]), flush=True)
        await asyncio.sleep(TICK_S)


def _rss_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_KB


class Worker:
    """Such a process, with the last it said."""

    def __init__(self, place: str, gap_s: float, ends_s: float = 0.0) -> None:
        words = [sys.executable, __file__, "follow", place, str(gap_s), str(ends_s)]
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self.said: list[list[float]] = [[time.monotonic(), 0, 0, 0.0, 0]]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.process.stdout or ():
            self.said.append(json.loads(line))

    @property
    def held(self) -> int:
        return int(self.said[-1][1])

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def filled(place: str, count: int) -> None:
    """So many tasks at the vendor that nobody follows yet: one as the store writes it, and copies."""

    async def first() -> str:
        store = store_at(place)
        new = new_task(new_id(time.time()), prompt="a neon city in the rain, slowly, from above")
        lease, _ = await store.create(new, Budget())
        if place.startswith("postgresql://"):
            (job,) = await asyncio.to_thread(sql, place, "SELECT follow_job FROM tasks WHERE id = %s", new.id)
            lease = (await store.take({job: new.id}))[job].lease
        task = await store.change(
            lease, state="running", accepted_at=time.time(), job_id="job-000000000001", status="processing"
        )
        assert task is not None
        await store.ownership.release()
        await store.close()
        return new.id

    one = asyncio.run(first())
    copy = "INSERT INTO tasks ({names}) SELECT {values} FROM tasks, {numbers} WHERE id = '{one}'"
    if not place.startswith("postgresql://"):
        with contextlib.closing(sqlite3.connect(place)) as db:
            names = [row[1] for row in db.execute("PRAGMA table_info(tasks)")]
            values = ["'kv-261130-' || printf('%012d', n)" if name == "id" else name for name in names]
            numbers = (
                f"(WITH RECURSIVE c(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) SELECT n FROM c)"
            )
            db.execute(copy.format(names=", ".join(names), values=", ".join(values), numbers=numbers, one=one))
            db.commit()
        return
    with psycopg.connect(place, autocommit=True) as db:
        columns = b"SELECT column_name FROM information_schema.columns WHERE table_name = 'tasks'"
        names = [row[0] for row in db.execute(columns)]
        values = ["'kv-261130-' || lpad(n::text, 12, '0')" if name == "id" else name for name in names]
        numbers = f"generate_series(2, {count}) AS n"
        db.execute(copy.format(names=", ".join(names), values=", ".join(values), numbers=numbers, one=one).encode())

    async def jobs_for_all() -> None:
        store = store_at(place)
        async with store.connections.transaction() as connection:
            await jobs.replace(connection, [row[0] for row in sql_all(place, "SELECT id FROM tasks")])
        await store.ownership.release()
        await store.close()

    asyncio.run(jobs_for_all())
    with psycopg.connect(place, autocommit=True) as db:
        db.execute(b"VACUUM ANALYZE")


def sql(place: str, query: str, *values: Any) -> Any:
    return sql_all(place, query, *values)[0]


def sql_all(place: str, query: str, *values: Any) -> list[Any]:
    with psycopg.connect(place, autocommit=True) as db:
        return db.execute(query.encode(), values or None).fetchall()


def server_cpu(cluster: Cluster | None) -> float:
    """Seconds of CPU that Postgres has used, its ended processes too."""
    if cluster is None:
        return 0.0
    master = int((cluster.data / "postmaster.pid").read_text().split()[0])
    used = 0
    for each in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            pid, rest = int(each.parent.name), each.read_text().rpartition(")")[2].split()
            if master in (pid, int(rest[1])):
                used += sum(map(int, rest[11:15] if pid == master else rest[11:13]))
    return used / HERTZ


def until(what: str, so: Any, limit_s: float) -> float:
    began = time.monotonic()
    while not so():
        assert time.monotonic() - began < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.05)
    return time.monotonic()


def looks(
    place: str, tasks: int, workers: int, gap_s: float, seconds: float, cluster: Cluster | None
) -> dict[str, Any]:
    filled(place, tasks)
    crew = [Worker(place, gap_s) for _ in range(workers)]
    try:
        for each in crew:
            until("a worker is there", lambda each=each: len(each.said) > 1, 60)
        began, empty = time.monotonic(), sum(each.said[1][4] for each in crew)
        held = until("all are held", lambda: sum(each.held for each in crew) >= tasks, 600)
        time.sleep(gap_s)
        before, server = [each.said[-1] for each in crew], server_cpu(cluster)
        time.sleep(seconds)
        after, server = [each.said[-1] for each in crew], server_cpu(cluster) - server
    finally:
        for each in crew:
            each.end()
    rates = [(new[2] - old[2]) / (new[0] - old[0]) for new, old in zip(after, before, strict=True)]
    done = sum(new[2] - old[2] for new, old in zip(after, before, strict=True))
    used = sum(new[3] - old[3] for new, old in zip(after, before, strict=True))
    return {
        "in_flight": tasks, "workers": workers,
        "looks_a_second": round(sum(rates)),
        "cpu_us_a_look": round(1e6 * used / done), "server_cpu_us_a_look": round(1e6 * server / done, 1),
        "server_cpu_percent": round(100 * server / seconds, 1),
        "kb_a_task": round((sum(each[4] for each in after) - empty) / tasks, 1),
        "held_by_each": [each[1] for each in after], "taken_up_s": round(held - began, 1),
    }  # fmt: skip


def takeover(place: str, tasks: int, gap_s: float, cluster: Cluster) -> dict[str, Any]:
    filled(place, 2 * tasks)
    dead, heir = Worker(place, gap_s), Worker(place, gap_s)
    try:
        until("all are held", lambda: dead.held + heir.held >= 2 * tasks, 600)
        time.sleep(2.0)
        lost, kept = dead.held, heir.held
        dead.process.send_signal(signal.SIGKILL)
        began, used, server = time.monotonic(), heir.said[-1][3], server_cpu(cluster)
        until("all are taken over", lambda: heir.held >= kept + lost, 300)
        used, server = heir.said[-1][3] - used, server_cpu(cluster) - server
        times = {
            name: round(next(said[0] for said in heir.said if said[1] >= kept + most) - began, 1)
            for name, most in (("first_s", 1), ("half_s", lost // 2), ("all_s", lost))
        }
    finally:
        dead.end()
        heir.end()
    return {"of_the_dead": lost, **times, "cpu_s": round(used, 1), "server_cpu_s": round(server, 1)}


# What a task leaves


def left(place: str, count: int = 200) -> dict[str, Any]:
    async def lives() -> None:
        store = store_at(place)
        for number in range(count):
            new = new_task(new_id(time.time()), prompt=f"life {number}", owner=f"owner {number % 50}")
            lease, _ = await store.create(new, BUDGET)
            if place.startswith("postgresql://"):
                (job,) = await asyncio.to_thread(sql, place, "SELECT follow_job FROM tasks WHERE id = %s", new.id)
                lease = (await store.take({job: new.id}))[job].lease
            await store.sending(lease, time.time(), "mark")
            for changes in (
                {"state": "queued", "job_id": f"job-{number}", "accepted_at": time.time(), "status": "pending"},
                {"state": "running", "status": "processing"},
                {"status": "processing", "progress": 40},
                {"state": "saving", "video_url": "https://media.example.com/clip.mp4", "took_s": 120.0},
                {"state": "failed", "error": {"what": "the disk is full", "money": "charged"}},
            ):
                task = await store.change(lease, "", money=True, **changes)
                assert task is not None
                lease = Lease(task, lease.number)
        await store.ownership.release()
        await store.close()

    def size() -> int:
        if place.startswith("postgresql://"):
            with psycopg.connect(place, autocommit=True) as db:
                db.execute(b"VACUUM FULL")
            return int(sql(place, "SELECT pg_database_size(current_database())")[0])
        with contextlib.closing(sqlite3.connect(place)) as db:
            db.execute("VACUUM")
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return Path(place).stat().st_size

    before = size() if place.startswith("postgresql://") or Path(place).exists() else 0
    asyncio.run(lives())
    return {"bytes_a_task": round((size() - before) / count)}


def soak(place: str, minutes: float) -> list[dict[str, Any]]:
    worker, found = Worker(place, 10.0, ends_s=60.0), list[dict[str, Any]]()

    async def run() -> None:
        store, end = store_at(place), time.monotonic() + 60 * minutes
        for second in itertools.count():
            for _ in range(5):
                await store.create(new_task(new_id(time.time()), prompt=f"soak {second}"), BUDGET)
            if second % 60 == 59:
                tables = await asyncio.to_thread(
                    sql_all,
                    place,
                    "SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid) FROM pg_stat_user_tables "
                    "WHERE relname IN ('tasks', 'events', 'budgets', 'procrastinate_jobs', 'procrastinate_workers')",
                )
                memory = round(worker.said[-1][4] / 1024)
                found.append({"held": worker.held, "rss_mb": memory, **{row[0]: row[1:] for row in tables}})
                print(json.dumps(found[-1]), file=sys.stderr, flush=True)
            if time.monotonic() > end:
                break
            await asyncio.sleep(1.0)
        await store.ownership.release()
        await store.close()

    try:
        asyncio.run(run())
    finally:
        worker.end()
    return found


def main(given: argparse.Namespace) -> None:
    count, cluster = itertools.count(1), Cluster()

    def database() -> str:
        made = cluster.make(f"scale_{next(count)}")
        asyncio.run(migrate(made))
        return made

    def told(what: str, rows: Any) -> None:
        print(json.dumps({what: rows}), flush=True)

    try:
        with tempfile.TemporaryDirectory() as folder:
            files = (str(Path(folder) / f"{number}.db") for number in itertools.count())
            if "creates" in given.parts:
                for owners in (1, 50):
                    told(f"creates, SQLite, {owners} owners", creates(next(files), given.creates, owners, None))
                    told(f"creates, Postgres, {owners} owners", creates(database(), given.creates, owners, cluster))
            if "looks" in given.parts:
                for tasks in given.tasks:
                    told("looks, SQLite", looks(next(files), tasks, 1, given.gap, given.seconds, None))
                    for workers in given.workers:
                        told("looks, Postgres", looks(database(), tasks, workers, given.gap, given.seconds, cluster))
            if "takeover" in given.parts:
                told("takeover", takeover(database(), given.takeover, given.gap, cluster))
            if "left" in given.parts:
                told("left, SQLite", left(next(files)))
                told("left, Postgres", left(database()))
            if given.soak:
                told("soak", soak(database(), given.soak))
    finally:
        cluster.remove()


if __name__ == "__main__":
    if sys.argv[1:2] == ["creator"]:
        creator(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["follow"]:
        asyncio.run(follow(sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
    else:
        flags = argparse.ArgumentParser(description=__doc__)
        flags.add_argument("parts", nargs="*", default=["creates", "looks", "takeover", "left"])
        flags.add_argument("--creates", type=int, default=300)
        flags.add_argument("--tasks", type=lambda text: [int(each) for each in text.split(",")], default=[2_000])
        flags.add_argument("--workers", type=lambda text: [int(each) for each in text.split(",")], default=[1, 2])
        flags.add_argument("--gap", type=float, default=10.0)
        flags.add_argument("--seconds", type=float, default=10.0)
        flags.add_argument("--takeover", type=int, default=500)
        flags.add_argument("--soak", type=float, default=0.0, metavar="MINUTES")
        main(flags.parse_args())
