"""The crash drill on Postgres: `python tests/drill/machines.py [KIND …]`, one JSON line a run and a sum at the end.

A server and three workers as processes on one database. Each run orders ten clips, does one thing to one worker (or to
the database) while they are under way, and compares the books: what the vendor took, what the record says, what lies
on disk or in the store, what the budget holds back, who follows what. Kinds: a failpoint's name (the worker dies
there), `kill`, `stop` (SIGSTOP for longer than the silence, then SIGCONT), `term`, `restart` (the database, at once),
`crash` (the database, without a chance to tidy up), `cut` (every connection, three times).

`--vendor NAME` buys there; of one that knows no keys, an order whose answer was lost stays in doubt and is never sent
again. `--silence 60` is how long a stopped worker stands still. `--store` keeps clips in an S3 on loopback. `--minutes
2` begins no run later than that, in an order that `--seed` draws: so every kind has its turn in the gate, by and by.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import httpx  # noqa: E402
import psycopg  # noqa: E402
from drill.lives import IDEMPOTENT, PROVIDERS, model, silence  # noqa: E402
from support.machines import Machines, machines  # noqa: E402
from support.mcp_wire import LEGACY, Web  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3  # noqa: E402

from mcp_server.tasks.failpoints import POINTS  # noqa: E402
from mcp_server.tasks.store.postgres.migrate import migrate  # noqa: E402

ORDERS = 10
AT_WORK = tuple(point for point in POINTS if point.partition(".")[0] in ("submit", "follow", "save"))
PASSED = tuple(point for point in AT_WORK if not point.startswith("submit.hand"))
KINDS = (*PASSED, "kill", "stop", "term", "restart", "crash", "cut")
MAY_DOUBT = {"submit.before_send", "submit.answered", "submit.recorded", "kill", "stop", "crash", "restart", "cut"}
"""Where a paid call may be under way whose answer nobody hears."""


async def ordered(address: str, vendor: str) -> None:
    async with httpx.AsyncClient(timeout=90.0) as http:
        client = Web(http, f"{address}/mcp", LEGACY)
        asked = (
            client.call(
                "generate_video",
                {
                    **{"provider": vendor, "model": model(vendor), "duration": 5, **silence(vendor)},
                    **{"prompt": f"a paper boat in the rain {number}", "idempotency_key": f"boat {number}"},
                },
            )
            for number in range(ORDERS)
        )
        answers = await asyncio.gather(*asked)
    refused = [
        answer["content"][0]["text"]
        for answer in answers
        if answer.get("isError") and not answer.get("structuredContent", {}).get("task_id")
    ]
    assert not refused, refused[0]


def one(kind: str, cluster: Cluster, name: str, given: argparse.Namespace, s3: S3 | None) -> dict[str, Any]:
    database, vendor = cluster.make(name), given.vendor
    asyncio.run(migrate(database))
    bucket = "" if s3 is None else s3.bucket()
    store = {} if s3 is None else {**s3.variables, "KLING_STORE_URL": f"s3://{bucket}/drill"}
    with tempfile.TemporaryDirectory() as folder, machines(Path(folder), database, seconds=3.0) as fleet:
        _, address = fleet.server(KLING_DAILY_BUDGET_USD="100", **store)
        victim = fleet.worker("victim", **store, **({"KLING_CRASH_AT": kind} if kind in POINTS else {}))
        fleet.worker("second", **store)
        fleet.worker("third", **store)
        asyncio.run(ordered(address, vendor))
        began = time.monotonic()
        harm(kind, cluster, fleet, victim, given.silence)
        wrong = settled(fleet)
        took = time.monotonic() - began
        if kind in POINTS and victim.process.poll() is None:
            wrong.append("nobody died")
        clips = len(list(fleet.clips.glob("[!.]*.mp4"))) if s3 is None else len(s3.objects(bucket))
        wrong += books(kind, fleet, vendor, clips)
        return {"kind": kind, "vendor": vendor, "wrong": wrong, "states": states(fleet), "seconds": round(took, 1)}


def harm(kind: str, cluster: Cluster, fleet: Machines, victim: Any, silence_s: float) -> None:
    match kind:
        case "kill" | "term":
            victim.process.send_signal(signal.SIGKILL if kind == "kill" else signal.SIGTERM)
        case "stop":
            victim.process.send_signal(signal.SIGSTOP)
            time.sleep(silence_s)
            victim.process.send_signal(signal.SIGCONT)
        case "restart" | "crash":
            cluster.stop("fast" if kind == "restart" else "immediate")
            time.sleep(2.0)
            cluster.start()
        case "cut":
            for _ in range(3):
                with psycopg.connect(fleet.database, autocommit=True) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                time.sleep(0.7)
        case _:
            pass


def settled(fleet: Machines, limit_s: float = 90.0) -> list[str]:
    """Once nothing is under way any more; what still is, when it takes too long."""
    end = time.monotonic() + limit_s
    query = "SELECT id, state, became ->> 'note' AS note FROM tasks WHERE finished_at IS NULL AND state <> 'uncertain'"
    while open_now := fleet.rows(query):
        if time.monotonic() > end:
            return [f"still open: {row}" for row in open_now]
        time.sleep(0.2)
    return []


def states(fleet: Machines) -> dict[str, int]:
    return dict(Counter(row["state"] for row in fleet.rows("SELECT state FROM tasks")))


def books(kind: str, fleet: Machines, vendor: str, clips: int) -> list[str]:
    """Everything that is wrong."""
    wrong: list[str] = []
    found = states(fleet)
    accepted, made = fleet.orders(vendor), found.get("succeeded", 0)
    if not found:
        return ["nothing was ordered: choose a vendor whose price is known in dollars"]
    doubtful = found.get("uncertain", 0)
    if accepted > ORDERS:
        wrong.append(f"{accepted} orders were taken for {ORDERS}")
    if sum(found.values()) != ORDERS or set(found) - {"succeeded", "uncertain"}:
        wrong.append(f"states {found}")
    if doubtful and kind not in MAY_DOUBT:
        wrong.append(f"{doubtful} in doubt")
    if doubtful and vendor in IDEMPOTENT and kind in POINTS:
        wrong.append(f"{doubtful} in doubt at a vendor that knows an order by its key")
    if accepted < made:
        wrong.append(f"{made} made of {accepted} taken")
    if clips != made:
        wrong.append(f"{clips} clips of {made} made")
    if jobs := fleet.rows("SELECT id, status FROM procrastinate_jobs"):
        wrong.append(f"jobs are left: {len(jobs)}")
    (held,) = fleet.rows("SELECT used_usd AS one FROM budgets WHERE payer = 'house' AND day <> 'films'")
    (sums,) = fleet.rows("SELECT sum(reserved_usd) AS one FROM tasks")
    if held["one"] != sums["one"]:
        wrong.append(f"the budget holds {held['one']}, the orders {sums['one']}")
    for each in fleet.running:
        if "a defect" in each.said() or "Traceback" in each.said():
            wrong.append(f"{each.name}: {each.said()[-1500:]}")
    return wrong


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them unless named")
    asked.add_argument("--vendor", default="runapi", choices=PROVIDERS)
    asked.add_argument("--silence", type=float, default=15.0, metavar="SECONDS")
    asked.add_argument("--store", action="store_true")
    asked.add_argument("--minutes", type=float, default=0.0)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    given = asked.parse_args(words)
    kinds, results = list(given.kinds or KINDS), list[dict[str, Any]]()
    if given.minutes:
        random.Random(given.seed).shuffle(kinds)
    count, end = itertools.count(1), time.monotonic() + 60 * (given.minutes or 1e6)
    cluster, s3 = Cluster(), S3() if given.store else None
    try:
        for kind in kinds:
            if results and time.monotonic() > end:
                break
            results.append(one(kind, cluster, f"drill_{next(count)}", given, s3))
            print(json.dumps(results[-1]), flush=True)
    finally:
        cluster.remove()
        if s3 is not None:
            s3.close()
    wrong = [result for result in results if result["wrong"]]
    told = {"runs": len(results), "of": len(kinds), "wrong": len(wrong), "seed": given.seed}
    print(json.dumps(told | {"seconds": round(sum(r["seconds"] for r in results))}))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
