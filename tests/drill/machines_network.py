"""A worker loses the network: `python tests/drill/machines.py network`.

The drill makes a network namespace of its own, and in it, for one of the three workers, another one, joined to the first
by a pair of virtual Ethernet devices; with the last process of theirs they are gone. Database, vendors, server and the
other workers stand at the near end. While clips are ordered and made, the near end goes down: to the worker beyond
nothing is refused, no connection is closed, nobody answers any more. Half a minute later it is back. Clips are kept in a
folder here, whatever the other kinds do.

What must hold: nothing bought twice, none lost, none that nobody follows, no more in doubt than paid calls were in
flight; the others make everything meanwhile, and order, although the machine was cut off in the middle of a transaction
that all orders wait for; the worker comes back by itself, takes orders again, and ends when told to, also while the
network is away.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import psycopg  # noqa: E402
from drill.machines_books import (  # noqa: E402
    ALONE,
    IN_FLIGHT,
    Clips,
    books,
    concurrency,
    one,
    ordered,
    settled,
    states,
    until,
)
from support.machines import Machines, machines  # noqa: E402
from support.postgres import Cluster  # noqa: E402
from support.s3 import S3  # noqa: E402

from mcp_server.tasks.store.postgres.connections import libpq  # noqa: E402
from mcp_server.tasks.store.postgres.migrate import migrate  # noqa: E402

HERE, THERE = "127.7.0.1", "127.7.0.2"
"""Of the loopback's own addresses, for a vendor's may be plain http there; `route_localnet` lets a link have them."""
NEAR, FAR = "kling-near", "kling-far"
ORDERS = 8
"""In each lot: before the link is cut, across that, while it is away, and once it is back."""
AWAY_S = 30.0
CHANCE_S = 20.0
"""For the worker beyond to have one of the orders under way; else there are more."""
END_S = 90.0
"""In which a worker without a network has to end when it is told to."""
LIVING = "SELECT count(*) AS one FROM procrastinate_workers WHERE last_heartbeat > now() - interval '10 seconds'"


@dataclass
class Link:
    """The way to the worker beyond."""

    inside: list[str] = field(default_factory=list)
    """What runs a command there."""

    def cut(self) -> None:
        _told("ip", "link", "set", NEAR, "down")

    def mend(self) -> None:
        _told("ip", "link", "set", NEAR, "up")


@dataclass
class Lots:
    """Numbers of orders, each given out once."""

    taken: int = 0

    def take(self, count: int) -> range:
        self.taken += count
        return range(self.taken - count, self.taken)


def _seen(condition: Callable[[], Any], limit_s: float) -> bool:
    """Whether it was so within this time."""
    end = time.monotonic() + limit_s
    while not (found := condition()) and time.monotonic() < end:
        time.sleep(0.05)
    return bool(found)


def _told(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"


@contextmanager
def link() -> Iterator[Link]:
    """From this network, which has to be the drill's own, to one more."""
    # Holds the far network until somebody ends it.
    holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE)
    try:
        namespace = f"/proc/{holder.pid}/ns/net"
        until("a second network", lambda: os.readlink(namespace) != os.readlink("/proc/self/ns/net"))
        made = Link(["nsenter", f"--net={namespace}", "--"])
        _told("ip", "link", "set", "lo", "up")
        _told("ip", "link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", str(holder.pid))
        for run, address, device in (([], HERE, NEAR), (made.inside, THERE, FAR)):
            _told(*run, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet")
            _told(*run, "ip", "address", "add", f"{address}/24", "dev", device)
            _told(*run, "ip", "link", "set", device, "up")
        # The loopback there has one address alone, and is up: the rest is beyond the link.
        _told(*made.inside, "ip", "address", "add", "127.0.0.1/32", "dev", "lo")
        _told(*made.inside, "ip", "link", "set", "lo", "up")
        _told(*made.inside, "ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
        yield made
    finally:
        holder.kill()
        holder.communicate()


def lost(vendor: str) -> dict[str, Any]:
    """One run, from inside the drill's own network."""
    with link() as way, tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(host=HERE)
        try:
            database = cluster.make("lost")
            asyncio.run(migrate(database))
            with machines(Path(folder), database, seconds=12.0, host=HERE) as fleet:
                try:
                    with locker(way, database) as locks:
                        return _lost(way, fleet, vendor, Clips(), locks)
                except AssertionError:
                    for each in fleet.running:
                        print(f"{each.name}: {each.said()[-30000:]}", file=sys.stderr)
                    raise
        finally:
            cluster.remove()


def lock(url: str) -> None:
    """What runs beyond the link, in the middle of a transaction, when it is cut: everybody's orders wait for this row."""
    given = libpq(url)
    with psycopg.connect(given.pop("conninfo"), **given) as connection:
        sys.stdin.readline()
        connection.execute("SELECT * FROM budgets WHERE payer = 'house' FOR UPDATE")
        print("locked", flush=True)
        sys.stdin.readline()


@contextmanager
def locker(way: Link, url: str) -> Iterator[Callable[[], None]]:
    """Locks when it is told to, and holds on."""
    words = [*way.inside, sys.executable, str(Path(__file__)), "--lock", url]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None

    def locks() -> None:
        process.stdin.write("now\n")
        process.stdin.flush()
        assert process.stdout.readline() == "locked\n"

    try:
        yield locks
    finally:
        process.kill()
        process.communicate()


def _lost(way: Link, fleet: Machines, vendor: str, kept: Clips, locks: Callable[[], None]) -> dict[str, Any]:
    _, address = fleet.server(KLING_DAILY_BUDGET_USD="100", **kept.variables)
    victim = fleet.worker("victim", inside=way.inside, KLING_LOG="json", **kept.variables)
    until("its place among the workers", lambda: one(fleet, LIVING) == 1)
    place = one(fleet, "SELECT id FROM procrastinate_workers")
    fleet.worker("second", **kept.variables)
    fleet.worker("third", **kept.variables)
    lots = Lots()
    asyncio.run(ordered(address, vendor, lots.take(ORDERS)))

    aside, more = ThreadPoolExecutor(1), list[Future[None]]()
    sent_there = f"{IN_FLIGHT} AND follow_job IN (SELECT id FROM procrastinate_jobs WHERE worker_id = {place})"
    while not more or not _seen(lambda: one(fleet, sent_there), CHANCE_S):
        # Each answer takes a while: the link is cut while the worker waits for one of them, once it has such an order.
        fleet.shops.arm(f"{vendor}=slow:{ORDERS}@2")
        lot = lots.take(ORDERS)
        more.append(aside.submit(lambda lot=lot: asyncio.run(ordered(address, vendor, lot))))
    until("all of them in the record", lambda: one(fleet, "SELECT count(*) AS one FROM tasks") == lots.taken)
    locks()
    way.cut()
    began, in_flight = time.monotonic(), one(fleet, IN_FLIGHT)
    held = one(fleet, f"SELECT count(*) AS one FROM procrastinate_jobs WHERE worker_id = {place}")
    of_it = f"SELECT count(*) AS one FROM procrastinate_jobs WHERE worker_id = {place}"
    taken_over = until("its tasks are others'", lambda: not one(fleet, of_it))
    for each in more:
        each.result()
    asyncio.run(ordered(address, vendor, lots.take(ORDERS)))
    unlocked = time.monotonic() - began
    time.sleep(max(0.0, AWAY_S - (time.monotonic() - began)))
    way.mend()

    back = until("it has a place again", lambda: one(fleet, LIVING) == 3)
    wrong = settled(fleet)
    took = time.monotonic() - began
    # What is ordered now it works on, too: it is told to go while it does.
    others = [each for each in fleet.running if each.name in ("second", "third")]
    for each in others:
        each.process.send_signal(signal.SIGSTOP)
    until("it alone is left", lambda: one(fleet, LIVING) == 1)
    asyncio.run(ordered(address, vendor, lots.take(ORDERS)))
    wrong += settled(fleet)
    for each in others:
        each.process.send_signal(signal.SIGCONT)
    way.cut()
    victim.process.send_signal(signal.SIGTERM)
    ended = until("it ends without a network", lambda: victim.process.poll() is not None, END_S)
    if alone := one(fleet, ALONE):
        wrong.append(f"nobody follows {alone}")
    doubts = min(in_flight, concurrency(vendor))
    wrong += books(fleet, vendor, len(kept.names(fleet.clips)), lots.taken, doubts)
    return {
        **{"kind": "network", "vendor": vendor, "wrong": wrong, "states": states(fleet), "seconds": round(took, 1)},
        **{"held": held, "in_flight": in_flight, "taken_over_s": round(taken_over, 1)},
        **{"unlocked_s": round(unlocked, 1), "back_s": round(back, 1), "ended_s": round(ended, 1)},
    }


def run(kind: str, cluster: Cluster, name: str, given: argparse.Namespace, s3: S3 | None) -> dict[str, Any]:
    """In a process with a network of its own; where none can be made, why."""
    del cluster, name, s3
    if why := missing():
        return {"kind": kind, "vendor": given.vendor, "not_run": why}
    words = [*_OWN, sys.executable, str(Path(__file__)), given.vendor]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"kind": kind, "vendor": given.vendor, "wrong": [done.stderr[-6000:]], "states": {}, "seconds": 0.0}
    return json.loads(done.stdout)


_OWN = ("unshare", "--net")


def missing() -> str:
    """What this machine lacks; empty where it can."""
    probe = "ip link add kling-near type veth peer name kling-far && nsenter --net=/proc/self/ns/net true"
    try:
        done = subprocess.run([*_OWN, "sh", "-c", probe], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "no `unshare` here: network namespaces are Linux's"
    return "" if done.returncode == 0 else done.stderr.strip() or "no network of one's own can be made here"


def main(words: list[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("vendor", nargs="?")
    asked.add_argument("--lock", metavar="URL", help="of the drill's own")
    given = asked.parse_args(words)
    if given.lock:
        lock(given.lock)
        return 0
    print(json.dumps(lost(given.vendor)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
