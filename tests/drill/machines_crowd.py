"""Many machines at once: `python tests/drill/machines_crowd.py [--servers 4 --workers 16 --clients 8 --tasks 2000]`.

Servers without vendors' keys, workers with them, and clients of the MCP SDK that order over HTTP, each in several
sessions at once, spread over the servers. The vendor counts what it is asked: calls at once, and in any one second.

What must hold: every clip bought once, fetched once and in the store once, none in doubt; the budget to the cent; the
vendor's limits never passed, however many call; every worker's share of the tasks within a fifth of the even one, where
there are enough of them to tell. Clips are hashed and parsed, and not decoded.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import httpx2  # noqa: E402
from drill.lives import PROVIDERS  # noqa: E402
from drill.machines_books import Clips, books, concurrency, one, order, settled, states, until  # noqa: E402
from mcp import Client, MCPError  # noqa: E402
from support.machines import ROOT, Machines, machines  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3  # noqa: E402

from mcp_server.tasks.store.postgres.limits import BURST, CALLS_PER_TURN_S  # noqa: E402
from mcp_server.tasks.store.postgres.migrate import migrate  # noqa: E402

SPREAD = 0.2
"""Of the even share, by which a worker's may differ."""
ENOUGH = 100
"""Tasks for each worker from which on its share is judged; of fewer, chance alone makes more of a difference."""
CALL_S = 0.05
"""How long the vendor takes for an answer."""
LIVING = "SELECT count(*) AS one FROM procrastinate_workers"
SHARES = "SELECT holder, count(*)::int AS n FROM tasks WHERE state = 'succeeded' GROUP BY holder"
"""Who ended how many: a task's holder is whoever followed it last."""


@dataclass
class Orders:
    """What was ordered, each until it was answered."""

    vendor: str
    numbers: Iterator[int]
    refused: list[str] = field(default_factory=list)
    again: int = 0
    """How often a connection broke, and the order was repeated under its key."""

    async def turn(self, address: str) -> None:
        """One client's, by one session after the other: one order is answered before the next."""
        left = list[int]()
        while True:
            try:
                async with Client(f"{address}/mcp") as client:
                    while (number := left.pop() if left else next(self.numbers, None)) is not None:
                        left.append(number)
                        await self._one(client, number)
                        left.clear()
                    return
            except (OSError, httpx2.HTTPError, MCPError, ExceptionGroup):
                self.again += 1

    async def _one(self, client: Client, number: int) -> None:
        answer = await client.call_tool("generate_video", order(self.vendor, number), read_timeout_seconds=240)
        if answer.is_error and not (answer.structured_content or {}).get("task_id"):
            self.refused.append(str(answer.content))


async def ordered(addresses: list[str], clients: int, orders: Orders) -> None:
    """Once every order was answered."""
    await asyncio.gather(*(orders.turn(addresses[number % len(addresses)]) for number in range(clients)))


def gathered(database: str, vendor: str, kept: Clips, counts: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One run."""
    with machines(folder, database, seconds=counts.seconds) as fleet:
        variables = {**kept.variables, **_without_media(folder), "KLING_DAILY_BUDGET_USD": "100000"}
        workers = [fleet.begin(f"worker {n}", "worker", **variables) for n in range(counts.workers)]
        orderers = [
            fleet.server(f"server {n}", keys=False, KLING_WORKER_PROVIDERS=vendor, **variables)
            for n in range(counts.servers)
        ]
        for worker in workers:
            worker.until("Working")
        until("every worker in its place", lambda: one(fleet, LIVING) == counts.workers)
        # Each call takes a while, or no two would be under way at once.
        fleet.shops.arm(f"{vendor}=slow:always@{CALL_S},{vendor}=status_slow:always@{CALL_S}")
        began = time.monotonic()
        addresses = [address for _, address in orderers]
        orders = Orders(vendor, iter(range(counts.tasks)))
        asyncio.run(ordered(addresses, counts.clients * counts.at_once, orders))
        taken = time.monotonic() - began
        wrong = [f"refused: {why}" for why in orders.refused[:3]]
        wrong += settled(fleet, 600.0)
        took = time.monotonic() - began
        wrong += books(fleet, vendor, len(kept.names(fleet.clips)), counts.tasks, 0)
        counted = fleet.shops.counted(vendor)
        wrong += _limits(vendor, counted) + _once(fleet, vendor, counts.tasks, counted)
        shares = sorted((row["n"] for row in fleet.rows(SHARES)), reverse=True)
        shares += [0] * (counts.workers - len(shares))
        wrong += _spread(shares, counts)
        return {
            **{"kind": "crowd", "vendor": vendor, "wrong": wrong, "states": states(fleet), "seconds": round(took, 1)},
            **{"ordered_s": round(taken, 1), "asked_again": orders.again, "shares": shares, "vendor_counted": counted},
        }


def _without_media(folder: Path) -> dict[str, str]:
    """As an installation without the extra: a decoder for each clip would be most of what these processors do."""
    aside = folder / "without"
    aside.mkdir()
    (aside / "sitecustomize.py").write_text("import sys; sys.modules['av'] = None")
    return {"PYTHONPATH": f"{ROOT}{os.pathsep}{aside}"}


def _limits(vendor: str, counted: dict[str, int]) -> list[str]:
    """What of the vendor's limits was passed, as it counted itself."""
    most = concurrency(vendor)
    # What was granted a moment before the second began arrives in it, too: as many as may be under way.
    rate = int(most * CALLS_PER_TURN_S) + BURST + most
    wrong = [f"{counted['at_once']} calls at once, {most} may be"] if counted["at_once"] > most else []
    if counted["at_once"] < 2:
        wrong.append("no two calls were under way at once: the limit was not tried")
    if counted["in_a_second"] > rate:
        wrong.append(f"{counted['in_a_second']} calls in a second, {rate} may be")
    return wrong


def _once(fleet: Machines, vendor: str, tasks: int, counted: dict[str, int]) -> list[str]:
    """What was asked or fetched more often than needed."""
    found: Counter[str] = Counter(fleet.shops.journal(vendor, "")["all"]["received"])
    wrong = [] if found[f"{vendor}.submit"] == tasks else [f"{found[f'{vendor}.submit']} orders for {tasks} clips"]
    if counted["files"] != tasks:
        wrong.append(f"{counted['files']} files were fetched for {tasks} clips")
    return wrong


def _spread(shares: list[int], counts: argparse.Namespace) -> list[str]:
    even = counts.tasks / counts.workers
    if even < ENOUGH:
        return [] if min(shares) else [f"a worker had nothing to do: {shares}"]
    least, most = math.floor(even * (1 - SPREAD)), math.ceil(even * (1 + SPREAD))
    return [] if least <= min(shares) and max(shares) <= most else [f"shares are {shares}, {even:.0f} would be even"]


def run(kind: str, cluster: Cluster, name: str, given: argparse.Namespace, s3: S3 | None) -> dict[str, Any]:
    """A small crowd, beside the other kinds."""
    del kind
    counts = argparse.Namespace(servers=2, workers=4, clients=2, at_once=10, tasks=80, seconds=2.0)
    return _run(cluster, name, given.vendor, s3, counts)


def _run(cluster: Cluster, name: str, vendor: str, s3: S3 | None, counts: argparse.Namespace) -> dict[str, Any]:
    database = cluster.make(name)
    asyncio.run(migrate(database))
    with tempfile.TemporaryDirectory() as folder:
        return gathered(database, vendor, Clips(s3), counts, Path(folder))


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--servers", type=int, default=4)
    asked.add_argument("--workers", type=int, default=16)
    asked.add_argument("--clients", type=int, default=8)
    asked.add_argument("--at-once", type=int, default=16, help="sessions of each client")
    asked.add_argument("--tasks", type=int, default=2000)
    asked.add_argument("--seconds", type=float, default=2.0, help="about how long a clip takes")
    asked.add_argument("--vendor", default="runapi", choices=PROVIDERS)
    asked.add_argument("--store", action="store_true", help="keep clips in an S3 on loopback")
    given = asked.parse_args(words)
    cluster, s3 = Cluster(), S3() if given.store else None
    try:
        result = _run(cluster, "crowd", given.vendor, s3, given)
    finally:
        cluster.remove()
        if s3 is not None:
            s3.close()
    print(json.dumps(result))
    return 1 if result["wrong"] else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
