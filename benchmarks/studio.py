"""The studio over a record of many tasks, in a process of its own: `python benchmarks/studio.py [TASKS] [SECONDS]`.

First the pictures of twenty clips, six asked for at a time as browsers do, and a click meanwhile: as whoever saved the
clips left them, and where they have to be made. Then the pages: how long the first, an older one and a search take,
over HTTP on loopback, at p50 and p95 of forty. Then the memory: ten pages watch forty-eight clips each, ten of which
move twice a second, written by another process; measured is the studio's resident memory after a third of the time and
at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx

from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.settings import Settings
from mcp_server.tasks.store.base import new_id

PAGES, MOVING, LOOKS, SHOWN = 10, 10, 40, 20


async def clips(settings: Settings, count: int) -> list[str]:
    service = build(settings)
    wanted = [VideoArguments(prompt=f"a paper boat in the rain, take {number}", duration=5) for number in range(count)]
    ids = [task.task_id for task in await asyncio.gather(*(service.generate(each, wait_s=60) for each in wanted))]
    assert {task.state for task in await service.get(ids, wait_s=600)} == {"succeeded"}
    await service.close()
    return ids


def variables(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "KLING_HOME": str(home / "home"), "KLING_OUTPUT_DIR": str(home / "clips")}


def made_at(home: Path) -> Settings:
    """Those of whoever makes the clips there, which take no time."""
    return Settings.read({**variables(home), "KLING_SANDBOX_SECONDS": "0.1"})


@asynccontextmanager
async def opened(home: Path, lines: int) -> AsyncIterator[tuple[int, str, httpx.AsyncClient]]:
    """The studio of this home: its process, its address, and a browser that may come in."""
    studio = started(variables(home))
    try:
        assert studio.stderr is not None
        link = re.findall(r"http\S+code=\S+", studio.stderr.readline())[0]
        async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=lines)) as http:
            await http.get(link)
            yield studio.pid, link.partition("/enter")[0], http
    finally:
        studio.terminate()
        studio.wait(20)


async def first_look(home: Path) -> None:
    settings = made_at(home)
    ids = await clips(settings, SHOWN)
    async with opened(home, 6) as (_, address, http):
        for how in ("left by whoever saved the clips", "made when they are asked for"):
            begun = time.perf_counter()
            pictures = [asyncio.create_task(http.get(f"{address}/clips/{each}/poster")) for each in ids]
            await asyncio.sleep(0.1)
            clicked = time.perf_counter()
            assert (await http.get(f"{address}/clips/{ids[0]}")).status_code == 200
            click = time.perf_counter() - clicked
            assert all(answer.content[:2] == b"\xff\xd8" for answer in await asyncio.gather(*pictures))
            took = time.perf_counter() - begun
            print(f"{SHOWN} pictures, {how}: {took:.2f} s; a click among them waits {click:.2f} s")
            for each in settings.posters.iterdir():
                each.unlink()


def multiply(path: Path, count: int) -> None:
    """The one task of the record so many times, ten minutes apart, each with its own words; the newest ones move."""
    db = sqlite3.connect(path)
    names = [row[1] for row in db.execute("PRAGMA table_info(tasks)")]
    first = dict(zip(names, db.execute("SELECT * FROM tasks").fetchone(), strict=True))
    marks = ",".join(f":{name}" for name in names)
    now = time.time()
    rows = []
    for number in range(count):
        at = now - 600 * (number + 1)
        moving = {"state": "running", "stopped_following": 1, "finished_at": None} if number < MOVING else {}
        rows.append(
            first
            | {"id": new_id(at), "created_at": at, "prompt": f"clip {number}: a boat, take {number % 97}"}
            | moving
        )
    with db:
        db.executemany(f"INSERT INTO tasks ({','.join(names)}) VALUES ({marks})", rows)
    db.close()


def resident_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


def started(variables: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "mcp_server", "studio", "--port", "0", "--no-open"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **variables},
        stderr=subprocess.PIPE,
        text=True,
    )


def cpu_ms(pid: int) -> float:
    """What the process computed so far, which a busy machine makes longer to wait for and not more."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


async def timed(http: httpx.AsyncClient, address: str, pid: int) -> tuple[float, float, float, int]:
    took, computed = [], cpu_ms(pid)
    for _ in range(LOOKS):
        begun = time.perf_counter()
        answer = await http.get(address)
        took.append((time.perf_counter() - begun) * 1000)
        assert answer.status_code == 200, answer.text
    each = (cpu_ms(pid) - computed) / LOOKS
    return statistics.median(took), sorted(took)[int(LOOKS * 0.95)], each, answer.text.count("data-task=")


async def watch(http: httpx.AsyncClient, address: str, ids: list[str], heard: list[int], place: int) -> None:
    asked = {"as": "card", "ids": ",".join(ids), "newest": "none"}
    async with http.stream("GET", f"{address}/events", params=asked, timeout=None) as answer:
        async for line in answer.aiter_lines():
            heard[place] += line.startswith("data:")


async def move(path: Path) -> None:
    db = sqlite3.connect(path, timeout=30)
    step = 0
    while True:
        step += 1
        with db:
            db.execute(
                "UPDATE tasks SET became = json_set(became, '$.progress', ?) WHERE state = 'running'", [step % 100]
            )
        await asyncio.sleep(0.5)


async def main(count: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        await first_look(Path(scratch))
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        await clips(made_at(home), 1)
        multiply(home / "home" / "tasks.db", count)
        async with opened(home, 30) as (pid, address, http):
            listed = (await http.get(f"{address}/")).text
            ids = re.findall(r'data-task="([^"]+)"', listed)
            for name, place in (
                ("first page", "/"),
                ("older page", f"/?before={ids[-1]}"),
                ("search", "/?q=take+42"),
            ):
                p50, p95, each, cards = await timed(http, f"{address}{place}", pid)
                told = f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, of which {each:.0f} ms are computed"
                print(f"{name}: {cards} clips of {count}, {told}")
            heard = [0] * PAGES
            mover = asyncio.create_task(move(home / "home" / "tasks.db"))
            pages = [asyncio.create_task(watch(http, address, ids, heard, place)) for place in range(PAGES)]
            await asyncio.sleep(seconds / 3)
            before = resident_mb(pid)
            await asyncio.sleep(seconds * 2 / 3)
            after = resident_mb(pid)
            for each in (mover, *pages):
                each.cancel()
            await asyncio.gather(mover, *pages, return_exceptions=True)
            told = json.dumps({"heard": sum(heard), "seconds": seconds})
            print(f"{PAGES} pages watching: {before:.1f} MB after a third, {after:.1f} MB at the end; {told}")


if __name__ == "__main__":
    asyncio.run(main(int((sys.argv[1:2] or ["10000"])[0]), float((sys.argv[2:3] or ["60"])[0])))
