"""The crash drill on Postgres: `python tests/drill/machines.py [KIND …]`, one JSON line a run and a sum at the end.

A server and three workers as processes on one database. Each run orders clips, does one thing to one worker (or to the
database) while they are under way, and compares the books: what the vendor took, what the record says, what lies on
disk or in the store, what the budget holds back, who follows what. Kinds: a failpoint's name (the worker dies there),
`kill`, `stop` (SIGSTOP for longer than the silence, then SIGCONT), `term`, `restart` (the database, at once), `crash`
(the database, without a chance to tidy up), `cut` (every connection, three times), `network` (a worker loses the
network for a while), `versions` (two of them side by side), `crowd` (several servers and many workers; small here,
`python tests/drill/machines_crowd.py` chooses).

`--vendor NAME` buys there; of one that knows no keys, an order whose answer was lost stays in doubt and is never sent
again. `--silence 60` is how long a stopped worker stands still. `--store` keeps clips in an S3 on loopback. `--rounds 5`
runs each kind five times and sums up each. `--minutes 2` begins no run later than that, in an order that `--seed` draws:
so every kind has its turn in the gate, by and by. A kind this machine cannot run is named in the sum, and has not passed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import psycopg  # noqa: E402
from drill import machines_crowd, machines_network, machines_versions  # noqa: E402
from drill.lives import IDEMPOTENT, PROVIDERS  # noqa: E402
from drill.machines_books import Clips, books, concurrency, ordered, settled, states  # noqa: E402
from support.machines import Machines, machines  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3  # noqa: E402

from mcp_server.tasks.failpoints import POINTS  # noqa: E402
from mcp_server.tasks.store.postgres.migrate import migrate  # noqa: E402

ORDERS = 10
AT_WORK = tuple(point for point in POINTS if point.partition(".")[0] in ("submit", "follow", "save"))
PASSED = tuple(point for point in AT_WORK if not point.startswith("submit.hand"))
MAY_DOUBT = {"submit.before_send", "submit.answered", "submit.recorded", "kill", "stop", "crash", "restart", "cut"}
"""Where a paid call may be under way whose answer nobody hears."""
CUTS = 3
OF_THEIR_OWN = {"network": machines_network.run, "versions": machines_versions.run, "crowd": machines_crowd.run}
KINDS = (*PASSED, "kill", "stop", "term", "restart", "crash", "cut", *OF_THEIR_OWN)


def harmed(kind: str, cluster: Cluster, name: str, given: argparse.Namespace, s3: S3 | None) -> dict[str, Any]:
    """One run: ordered, harmed, settled, and compared."""
    database, vendor, kept = cluster.make(name), given.vendor, Clips(s3)
    asyncio.run(migrate(database))
    with tempfile.TemporaryDirectory() as folder, machines(Path(folder), database, seconds=3.0) as fleet:
        _, address = fleet.server(KLING_DAILY_BUDGET_USD="100", **kept.variables)
        victim = fleet.worker("victim", **kept.variables, **({"KLING_CRASH_AT": kind} if kind in POINTS else {}))
        fleet.worker("second", **kept.variables)
        fleet.worker("third", **kept.variables)
        asyncio.run(ordered(address, vendor, range(ORDERS)))
        began = time.monotonic()
        harm(kind, cluster, fleet, victim, given.silence)
        wrong = settled(fleet)
        took = time.monotonic() - began
        if kind in POINTS and victim.process.poll() is None:
            wrong.append("nobody died")
        wrong += books(fleet, vendor, len(kept.names(fleet.clips)), ORDERS, doubts(kind, vendor))
        return {"kind": kind, "vendor": vendor, "wrong": wrong, "states": states(fleet), "seconds": round(took, 1)}


def doubts(kind: str, vendor: str) -> int:
    """How many paid calls can be under way, and so in doubt, when this happens."""
    if kind not in MAY_DOUBT or (vendor in IDEMPOTENT and kind in POINTS):
        return 0
    return concurrency(vendor) * (CUTS if kind == "cut" else 1)


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
            for _ in range(CUTS):
                with psycopg.connect(fleet.database, autocommit=True) as connection:
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                time.sleep(0.7)
        case _:
            pass


def summed(results: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the runs of each kind came to."""
    kinds: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in results:
        kinds[each["kind"]].append(each)
    told: list[dict[str, Any]] = []
    for kind, runs in kinds.items():
        took = [each["seconds"] for each in runs]
        told.append(
            {
                **{"kind": kind, "runs": len(runs), "wrong": sum(bool(each["wrong"]) for each in runs)},
                **{"uncertain": [each["states"].get("uncertain", 0) for each in runs]},
                **{"seconds": [min(took), round(statistics.median(took), 1), max(took)]},
            }
        )
    return told


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(KINDS)}; all of them unless named")
    asked.add_argument("--vendor", default="runapi", choices=PROVIDERS)
    asked.add_argument("--silence", type=float, default=15.0, metavar="SECONDS")
    asked.add_argument("--store", action="store_true")
    asked.add_argument("--rounds", type=int, default=1, metavar="NUMBER")
    asked.add_argument("--minutes", type=float, default=0.0)
    asked.add_argument("--seed", type=int, default=int(time.time()))
    asked.add_argument("--old", default="", metavar="COMMIT", help="with `versions`: the older code, from git")
    given = asked.parse_args(words)
    kinds = list(given.kinds or KINDS) * given.rounds
    if given.minutes:
        random.Random(given.seed).shuffle(kinds)
    count, end = itertools.count(1), time.monotonic() + 60 * (given.minutes or 1e6)
    results: list[dict[str, Any]] = []
    cluster, s3 = Cluster(), S3() if given.store else None
    try:
        for kind in kinds:
            if results and time.monotonic() > end:
                break
            results.append(OF_THEIR_OWN.get(kind, harmed)(kind, cluster, f"drill_{next(count)}", given, s3))
            print(json.dumps(results[-1]), flush=True)
    finally:
        cluster.remove()
        if s3 is not None:
            s3.close()
    return verdict(results, given, len(kinds))


def verdict(results: list[dict[str, Any]], given: argparse.Namespace, of: int) -> int:
    """0 where every run passed, and everything that was asked for by name was run."""
    run = [result for result in results if "not_run" not in result]
    wrong = [result for result in run if result["wrong"]]
    if given.rounds > 1:
        for each in summed(run):
            print(json.dumps(each))
    told = {"runs": len(run), "of": of, "wrong": len(wrong), "seed": given.seed}
    not_run = {result["kind"]: result["not_run"] for result in results if "not_run" in result}
    for kind, why in not_run.items():
        print(f"NOT RUN: {kind}: {why}", file=sys.stderr, flush=True)
    print(json.dumps(told | {"not_run": sorted(not_run), "seconds": round(sum(r["seconds"] for r in run))}))
    return 1 if wrong or not run or not_run.keys() & set(given.kinds) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
