"""One server under everything at once: hostile answers, texts, lines and rows; how much memory it takes, and how soon it answers a ping."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any

import httpx
from drill.besiegers import scenarios
from drill.books import Reckoning, Turns
from drill.lives import ROOT, Vendors, environment
from hostile.test_rows import UNREADABLE
from support.http_serving import free_port
from support.mcp_wire import LEGACY, MODERN, Web, pipe

PEAK_MB = 300
PING_S = 0.25
"""Within which every ping is answered where the machine has time. One that took longer by the clock is the server's fault
where the server itself, in all its threads, was at work for longer than this meanwhile: what other programs of a busy
machine take is in the clock alone.
"""
SIEGE_S = 150.0
LOG_BYTES = 5_000_000


@asynccontextmanager
async def running(*words: str, env: dict[str, str], log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("ab") as told:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=told, stdin=subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def peak_mb(pid: int) -> float:
    """The most memory this process ever held."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1]) / 1024


def order(name: str, provider: str) -> dict[str, Any]:
    wanted = {"prompt": f"a boat {name}", "provider": provider, "model": "kling-3.0", "tier": "pro", "duration": 5}
    return {**wanted, "audio": False, "max_cost_usd": 9}


async def damaged(env: dict[str, str], record: Path) -> int:
    """Orders of an earlier server, their rows damaged, each in its way; how many."""
    async with pipe(env) as server:
        tasks = [
            (await server.call("generate_video", order(f"honest-{number + 1}", "runcomfy")))["structuredContent"]
            for number in range(len(UNREADABLE))
        ]
    with closing(sqlite3.connect(record)) as db:
        for task, change in zip(tasks, UNREADABLE.values(), strict=True):
            change(db, task["task_id"])
        db.commit()
    return len(tasks)


def worked_s(pid: int) -> float:
    """How long this process has had a processor, in all its threads."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def pinged(web: Web, pid: int, over: asyncio.Event, made: Reckoning) -> list[tuple[float, float]]:
    """How long each ping took by the clock, and of the server's own time, one after the other, until it is over."""
    took: list[tuple[float, float]] = []
    while not over.is_set():
        began, worked = time.monotonic(), worked_s(pid)
        try:
            said = await web.send("ping")
            assert said.status_code == 200, said.text
        except (httpx.TransportError, AssertionError) as error:
            made.wrong.append(f"a ping was not answered: {type(error).__name__} {error}")
        took.append((time.monotonic() - began, worked_s(pid) - worked))
        await asyncio.sleep(0.05)
    return took


async def bought(web: Web, made: Reckoning) -> None:
    """Every scenario ordered, a few at a time."""
    turn = asyncio.Semaphore(8)

    async def one(name: str, provider: str) -> None:
        async with turn:
            said = await web.call("generate_video", order(name, provider))
            if "structuredContent" not in said:
                made.wrong.append(f"{name} was not ordered: {json.dumps(said)[:500]}")

    await asyncio.gather(*(one(name, provider) for name, (provider, _) in scenarios().items()))


async def until_played(url: str) -> set[str]:
    """The scenarios that came to nothing but their name, when the time was up."""
    end = time.monotonic() + SIEGE_S
    async with httpx.AsyncClient() as http:
        while True:
            left = set(scenarios()) - set((await http.get(f"{url}/played", timeout=30)).json())
            if not left or time.monotonic() > end:
                return left
            await asyncio.sleep(1)


async def still_sells(web: Web) -> str:
    """Nothing, or how an honest order came to nothing."""
    task = (await web.call("generate_video", order("honest-0", "runcomfy")))["structuredContent"]
    for _ in range(8):
        if task["state"] == "succeeded":
            return ""
        task = (await web.call("get_task", {"task_id": task["task_id"], "wait_s": 20}))["structuredContent"]
    return f"an honest order stays {task['state']}: {json.dumps(task)[:600]}"


async def besieged(folder: Path, shops: Vendors, _seed: int, turns: Turns) -> Reckoning:
    next(turns)
    made, log = Reckoning(), folder / "server.log"
    home = folder / "besieged"
    home.mkdir()
    own = environment(home, shops)
    async with running("-m", "drill.besiegers", "vendor", env=own, log=folder / "vendor.log") as vendor:
        assert vendor.stdout is not None
        url = (await vendor.stdout.readline()).decode().strip()
        # Without an address here the orders would go to the vendors' own.
        assert url.startswith("http://127.0.0.1:"), (folder / "vendor.log").read_text(encoding="utf-8")
        env = own | {f"{name}_BASE_URL": url for name in ("RUNCOMFY", "RUNAPI")}
        made.counts["rows damaged"] = await damaged(env, home / "state" / "tasks.db")
        port = free_port()
        serve = ("-m", "mcp_server", "serve", "--http", "--port", str(port))
        async with (
            running(*serve, env=env, log=log) as server,
            httpx.AsyncClient() as http,
            httpx.AsyncClient() as quick,
        ):
            address = f"http://127.0.0.1:{port}"
            await up(http, address)
            web = Web(http, f"{address}/mcp", MODERN)
            over = asyncio.Event()
            pinging = asyncio.create_task(pinged(Web(quick, f"{address}/mcp", LEGACY), server.pid, over, made))
            throwing = ("-m", "drill.besiegers", "clients", f"{address}/mcp")
            async with running(*throwing, env=own, log=folder / "clients.log") as clients:
                await bought(web, made)
                left = await until_played(url)
                with suppress(TimeoutError):
                    await asyncio.wait_for(clients.wait(), SIEGE_S)
                if clients.returncode != 0:
                    told = (folder / "clients.log").read_text(encoding="utf-8")
                    made.wrong.append(f"the clients ended with {clients.returncode}: {told[-600:]}")
            if trouble := await still_sells(web):
                made.wrong.append(trouble)
            over.set()
            took = await pinging
            judged(made, took, peak_mb(server.pid), left, log)
    return made


async def up(http: httpx.AsyncClient, address: str) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        with suppress(httpx.TransportError):
            await http.get(f"{address}/health")
            return
        await asyncio.sleep(0.05)


def judged(made: Reckoning, took: list[tuple[float, float]], peak: float, left: set[str], log: Path) -> None:
    late = [(wall, work) for wall, work in took if wall > PING_S]
    ours = [(wall, work) for wall, work in late if work > PING_S]
    slowest, work = max(wall for wall, _ in took), max(work for _, work in took)
    made.counts.update({"scenarios": len(scenarios()), "pings": len(took), "pings after 250 ms": len(late)})
    made.told = (
        f"peak {peak:.0f} MB, slowest ping {slowest * 1000:.0f} ms by the clock, at most {work * 1000:.0f} ms of the "
        f"server's own work before one, {len(ours)} after 250 ms by the server's own fault"
    )
    if peak > PEAK_MB:
        made.wrong.append(f"the server took {peak:.0f} MB, not {PEAK_MB}")
    for wall, work in ours:
        made.wrong.append(f"a ping took {wall * 1000:.0f} ms, and the server was at work for {work * 1000:.0f} of them")
    if left:
        made.wrong.append(f"{len(left)} scenarios were not played: {sorted(left)[:20]}")
    told = log.read_bytes()
    if len(told) > LOG_BYTES or b"Traceback" in told:
        made.wrong.append(f"the server's log has {len(told)} bytes: {told[-2000:].decode(errors='replace')}")
