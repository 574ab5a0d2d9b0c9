"""One process with many tasks in flight, in real time: `python benchmarks/tasks_in_flight.py TASKS SECONDS [--long]`.

The vendor is a process of its own. The tasks were bought before and are taken over, spread evenly over their life;
durations are log-normal (median 110 s, sigma 0.25; with --long nothing ends meanwhile), five providers with four
turns each, forty earlier clips to learn from. A third process buys as many as end and hands them over, so that
their number stays. Measured is this process only, after half a minute; looking into the clips is not part of it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.stub_vendor import Wire, catalog, facts, new_task

from mcp_server.ordering import vendor_schema
from mcp_server.providers.accounts import Account
from mcp_server.providers.local_media import Intake
from mcp_server.providers.transport import Transport
from mcp_server.settings import Secret
from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Budget, new_id
from mcp_server.tasks.store.sqlite import SqliteStore

NAMES = ("one", "two", "three", "four", "five")
MEDIAN, SIGMA = 110.0, 0.25
WARM_UP_S = 30.0


async def buy(
    store: SqliteStore, home: Path, number: int, draw: random.Random, *, share: float = 0.0, long: bool = False
) -> None:
    """A task that has run for this share of its time."""
    now = time.time()
    name = NAMES[number % 5]
    lease, _ = await store.create(
        new_task(new_id(now), provider=name, output_dir=home / "out", prompt=f"clip {number}"), Budget()
    )
    takes = 100_000.0 + number if long else draw.lognormvariate(math.log(MEDIAN), SIGMA)
    begun = now - (30.0 if long else share * takes)
    job = f"{begun + takes:.3f}-{number}"
    await store.change(lease, state="queued", accepted_at=begun, job_id=job, status="pending")


async def learn(store: SqliteStore, home: Path, number: int, draw: random.Random) -> None:
    """A clip of the past."""
    now = time.time()
    lease, _ = await store.create(new_task(new_id(now), provider=NAMES[number % 5], output_dir=home / "out"), Budget())
    takes = draw.lognormvariate(math.log(MEDIAN), SIGMA)
    await store.change(lease, state="saving", accepted_at=now - 9_999, took_s=takes)
    await store.change(lease, state="failed")


async def fill(home: Path, tasks: int, *, long: bool) -> None:
    store, draw = SqliteStore(home / "tasks.db"), random.Random(7)
    await asyncio.gather(*(learn(store, home, number, draw) for number in range(200)))
    for start in range(0, tasks, 500):
        some = range(start, min(tasks, start + 500))
        await asyncio.gather(*(buy(store, home, number, draw, share=draw.random(), long=long) for number in some))
    await store.release()
    await store.close()


async def feed(home: Path, tasks: int) -> None:
    """As many new tasks as end, every second, for ever."""
    store, draw = SqliteStore(home / "tasks.db"), random.Random(8)
    per_s = round(tasks / (MEDIAN * math.exp(SIGMA**2 / 2)))
    for second in itertools.count():
        began = time.monotonic()
        numbers = range(tasks + second * per_s, tasks + (second + 1) * per_s)
        await asyncio.gather(*(buy(store, home, number, draw) for number in numbers))
        await store.release()
        await asyncio.sleep(max(0.0, 1 - (time.monotonic() - began)))


async def follow(url: str, home: Path, seconds: float) -> dict[str, Any]:
    providers = tuple(facts(name) for name in NAMES)
    accounts = {
        each.id: Account(facts=each, base_urls={"api": url}, secret=Secret("k", "t"), trusted_origins=frozenset({url}))
        for each in providers
    }

    async def reach(provider: str, _: bool) -> Account:  # noqa: FBT001 - the runtime's own signature
        return accounts[provider]

    transport = Transport(now=time.time)
    runtime = TaskRuntime(
        store=SqliteStore(home / "tasks.db"), transport=transport, account=reach, catalog=catalog(*providers), wire=Wire
    )
    runner = TaskRunner(runtime, Intake(transport, check=vendor_schema.check_body))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await runner.start()
    took = time.process_time()
    while not len(runner.dispatcher.scheduler):  # noqa: ASYNC110 - no event for this outside the measurement
        await asyncio.sleep(0.05)
    takeover = time.process_time() - took
    await asyncio.sleep(WARM_UP_S)
    whole = len(runner.dispatcher.scheduler)
    before_numbers = await numbers(url)
    begun, used = time.perf_counter(), time.process_time()
    slowest = 0.0
    while time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        await asyncio.sleep(0.05)
        slowest = max(slowest, time.perf_counter() - at - 0.05)
    used = time.process_time() - used
    wall = time.perf_counter() - begun
    left = len(runner.dispatcher.scheduler)
    seen = await numbers(url)
    await runner.close(grace_s=0)
    await runner.runtime.transport.aclose()
    return {
        "cpu_percent_of_a_core": round(100 * used / wall, 1),
        "takeover_cpu_s": round(takeover, 2),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "rss_before_mb": round(before / 1024),
        "in_flight": f"{whole} at the beginning, {left} at the end",
        "longest_stall_ms": round(slowest * 1000),
        "seconds": round(wall),
        "numbers": {
            "looks": seen["looks"] - before_numbers["looks"],
            "downloads": seen["downloads"] - before_numbers["downloads"],
            "lags": seen["lags"][len(before_numbers["lags"]) :],
            "connections": seen["connections"],
        },
    }


async def numbers(url: str) -> dict[str, Any]:
    """What the vendor has counted, asked in another process so that the answer's length is not ours."""
    code = f"import httpx; print(httpx.get({url!r} + '/numbers').text)"
    asked = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=subprocess.PIPE)
    text, _ = await asked.communicate()
    return json.loads(text)


def main(tasks: int, seconds: float, *, long: bool) -> None:
    vendor = subprocess.Popen(
        [sys.executable, ROOT / "tests/drill/quick_vendor.py"], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert vendor.stdout is not None
        url = vendor.stdout.readline().strip()
        with tempfile.TemporaryDirectory(dir=ROOT) as folder:
            home = Path(folder)
            # Another process fills, so that its memory is not counted here.
            subprocess.run([sys.executable, __file__, "fill", folder, str(tasks), str(int(long))], check=True, cwd=ROOT)
            rows: dict[str, Any] = {
                "tasks": tasks,
                "durations": "none ends" if long else f"{MEDIAN} s, sigma {SIGMA}",
            }
            feeder = None
            if not long:
                feeder = subprocess.Popen([sys.executable, __file__, "feed", folder, str(tasks)], cwd=ROOT)
            try:
                rows |= asyncio.run(follow(url, home, seconds))
            finally:
                if feeder is not None:
                    feeder.kill()
                    feeder.wait()
            numbers = rows.pop("numbers")
            lags = sorted(numbers["lags"])
            rows |= {
                "looks_per_s": round(numbers["looks"] / seconds, 1),
                "looks_per_s_at_fixed_2_s": tasks / 2,
                "saves_per_s": round(numbers["downloads"] / seconds, 1),
                "lag_mean_s": round(sum(lags) / len(lags), 2) if lags else None,
                "lag_p50_s": round(lags[len(lags) // 2], 2) if lags else None,
                "connections": numbers["connections"],
            }  # fmt: skip
            print(json.dumps(rows, indent=1))
    finally:
        vendor.kill()
        vendor.wait()


if __name__ == "__main__":
    if sys.argv[1] == "feed":
        asyncio.run(feed(Path(sys.argv[2]), int(sys.argv[3])))
    elif sys.argv[1] == "fill":
        asyncio.run(fill(Path(sys.argv[2]), int(sys.argv[3]), long=sys.argv[4] == "1"))
    else:
        main(int(sys.argv[1]), float(sys.argv[2]), long="--long" in sys.argv)
