"""Two versions side by side: `python tests/drill/machines.py versions [--old COMMIT]`.

The older one is this checkout, the next a copy of it whose tables have columns more; with `--old` the older one is that
commit's and the next this checkout. While orders keep coming to two servers, of which one or the other is always there,
and three workers make them, the next version's `db migrate` runs, one more worker of the older begins on the new tables, then servers and workers are
exchanged one by one with SIGTERM.

What must hold: no order is refused, lost, bought twice or in doubt, and every process ends by itself and with 0. At the
end the tables are brought to a version that did more than add: who begins then, and is older, is refused in words.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx
from drill.machines_books import Clips, books, one, order, refused, settled, states, until
from support.machines import ROOT, Machine, Machines, machines
from support.mcp_wire import LEGACY, Web
from support.postgres import Cluster
from support.s3 import S3

from mcp_server.tasks.store.postgres.migrate import steps

CLIENTS = 3
PAUSE_S = 1.0
FIRST = 8
"""Orders that are made before anything is exchanged, and after everything was."""
ENDS_S = 180.0
ADDED = """
ALTER TABLE tasks ADD COLUMN drill_colour text NOT NULL DEFAULT 'none';
ALTER TABLE events ADD COLUMN drill_mood text;
CREATE TABLE drill_moods (id text PRIMARY KEY);
"""
BROKEN = "ALTER TABLE drill_moods RENAME TO drill_tempers;"
_LEAST = "LEAST: Final = 1\n"


@dataclass
class Coming:
    """Orders that keep coming, one after the other from each client, to whichever servers there are."""

    vendor: str
    servers: list[str]
    """Their addresses, as a balancer has them."""
    over: Event = field(default_factory=Event)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    taken: int = 0
    again: int = 0
    """How often a server went away before it answered, and the next was asked under the same key."""
    refused: list[str] = field(default_factory=list)

    def run(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=240.0) as http:
            await asyncio.gather(*(self._client(http) for _ in range(CLIENTS)))

    async def _client(self, http: httpx.AsyncClient) -> None:
        while not self.over.is_set():
            number = next(self.numbers)
            answer = await self._answered(http, number)
            if why := refused(answer):
                self.refused.append(why)
            self.taken += 1
            await asyncio.sleep(PAUSE_S)

    async def _answered(self, http: httpx.AsyncClient, number: int) -> dict[str, Any]:
        for attempt in itertools.count(number):
            servers = self.servers
            try:
                client = Web(http, f"{servers[attempt % len(servers)]}/mcp", LEGACY)
                return await client.call("generate_video", order(self.vendor, number))
            except httpx.TransportError:
                self.again += 1
                await asyncio.sleep(PAUSE_S)
        raise AssertionError


def copied(folder: Path, source: Path, word: str, sql: str, *, least: int | None = None) -> Path:
    """The next version of this code: one migration more; `least` where older ones cannot work with its tables."""
    made = folder / word
    for part in ("mcp_server", "schemas", "skill"):
        shutil.copytree(source / part, made / part)
    shutil.copy(source / "SKILL.md", made)
    tables = made / "mcp_server/tasks/store/postgres"
    number = len(list((tables / "migrations").glob("*.sql"))) + 1
    (tables / f"migrations/{number:03}_{word}.sql").write_text(sql)
    if least is not None:
        code = (tables / "migrate.py").read_text()
        assert code.count(_LEAST) == 1
        (tables / "migrate.py").write_text(code.replace(_LEAST, f"LEAST: Final = {least}\n"))
    return made


def archived(folder: Path, commit: str) -> Path:
    """The code of an earlier commit."""
    made = folder / "old"
    made.mkdir()
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=False)
    assert packed.returncode == 0, packed.stderr.decode()
    subprocess.run(["tar", "x", "-C", str(made)], input=packed.stdout, check=True)
    return made


def run(kind: str, cluster: Cluster, name: str, given: argparse.Namespace, s3: S3 | None) -> dict[str, Any]:
    """One run: exchanged under way, settled, compared, and then refused."""
    kept = Clips(s3)
    with (
        tempfile.TemporaryDirectory() as folder,
        machines(Path(folder), cluster.make(name), seconds=2.0) as fleet,
        ThreadPoolExecutor(1) as aside,
    ):
        old = archived(Path(folder), given.old) if given.old else ROOT
        new = ROOT if given.old else copied(Path(folder), ROOT, "next", ADDED)
        fleet.root = old
        _migrated(fleet, "tables")
        variables = {**kept.variables, "KLING_DAILY_BUDGET_USD": "10000"}
        servers = [fleet.server(f"old server {n}", **variables) for n in range(2)]
        workers = [fleet.worker(f"old worker {n}", **variables) for n in range(3)]
        coming = Coming(given.vendor, [address for _, address in servers])
        orders = aside.submit(coming.run)
        try:
            began = time.monotonic()
            wrong = _exchanged(fleet, new, coming, servers, workers, variables)
        finally:
            coming.over.set()
        orders.result()
        wrong += settled(fleet)
        took = time.monotonic() - began
        wrong += [f"refused: {why}" for why in coming.refused]
        wrong += books(fleet, given.vendor, len(kept.names(fleet.clips)), coming.taken, 0)
        wrong += _broken(fleet, copied(Path(folder), new, "broken", BROKEN, least=len(steps()) + 2 - bool(given.old)))
        return {
            **{"kind": kind, "vendor": given.vendor, "wrong": wrong, "states": states(fleet)},
            **{"seconds": round(took, 1), "orders": coming.taken, "asked_again": coming.again},
        }


def _exchanged(
    fleet: Machines,
    new: Path,
    coming: Coming,
    servers: list[tuple[Machine, str]],
    workers: list[Machine],
    variables: dict[str, str],
) -> list[str]:
    old = fleet.root
    _made(fleet, FIRST)
    fleet.root = new
    said = _migrated(fleet, "next tables")
    wrong = [] if "0 to" not in said else [f"the tables were made anew: {said}"]
    fleet.root = old
    # As after a crash: the older version is begun again on the next one's tables.
    late = fleet.worker("late worker", **variables)
    fleet.root = new
    for number, (server, address) in enumerate(servers):
        _, fresh = fleet.server(f"new server {number}", **variables)
        coming.servers = [*(each for each in coming.servers if each != address), fresh]
        wrong += _gone(server)
    for number, worker in enumerate((*workers, late)):
        if number < len(workers):
            fleet.worker(f"new worker {number}", **variables)
        wrong += _gone(worker)
    _made(fleet, one(fleet, "SELECT count(*) AS one FROM tasks") + FIRST)
    return wrong


def _migrated(fleet: Machines, name: str) -> str:
    made = fleet.begin(name, "db", "migrate", keys=False)
    assert made.process.wait(ENDS_S) == 0, made.said()
    return made.said()


def _made(fleet: Machines, count: int) -> None:
    query = "SELECT count(*) AS one FROM tasks WHERE state = 'succeeded'"
    until(f"{count} clips", lambda: one(fleet, query) >= count)


def _gone(machine: Machine) -> list[str]:
    status = machine.end(limit_s=ENDS_S)
    # uvicorn ends by the signal it was sent, once everything was answered.
    return [] if status in (0, -signal.SIGTERM) else [f"{machine.name} ended with {status}: {machine.said()[-1500:]}"]


def _broken(fleet: Machines, broken: Path) -> list[str]:
    """What is wrong with how the tables of a version that did more than add refuse the one before."""
    fleet.root, before = broken, fleet.root
    _migrated(fleet, "broken tables")
    fleet.root = before
    wrong: list[str] = []
    refused_worker = fleet.begin("refused worker", "worker")
    if refused_worker.process.wait(ENDS_S) == 0 or "later version" not in refused_worker.said():
        wrong.append(f"an older worker was not refused: {refused_worker.said()[-1500:]}")
    _, address = fleet.server("refused server")
    numbers = range(10**6, 10**6 + 1)
    answer = asyncio.run(_answer(address, numbers[0]))
    if "later version" not in refused(answer):
        wrong.append(f"an older server was not refused: {answer}")
    return wrong


async def _answer(address: str, number: int) -> dict[str, Any]:
    async with httpx.AsyncClient(timeout=240.0) as http:
        return await Web(http, f"{address}/mcp", LEGACY).call("generate_video", order("runapi", number))
