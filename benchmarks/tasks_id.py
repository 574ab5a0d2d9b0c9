"""How long from "buy" to a task id, beside a bare httpx POST and one fsync: `python benchmarks/tasks_id.py [COUNT]`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import httpx
from drill.crowd import runner_at
from drill.quick_vendor import QuickVendor, serving
from support.stub_vendor import new_task

from mcp_server.tasks.store.base import new_id


def quantiles(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50_ms": round(ordered[len(ordered) // 2] * 1000, 3),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 3),
    }


async def ours(url: str, home: Path, count: int, at_once: int) -> tuple[list[float], float, float]:
    runner = runner_at(url, home, "bench")
    taken: list[float] = []
    room = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with room:
            new = new_task(new_id(time.time()), output_dir=home / "out", prompt=f"p {number}")
            began = time.perf_counter()
            task, _ = await runner.buy(new)
            taken.append(time.perf_counter() - began)
            assert task.job_id, task

    await one(-1)
    taken.clear()
    began, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one(number) for number in range(count)))
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    await runner.close()
    await runner.runtime.transport.aclose()
    return taken, wall, used


async def bare(url: str, folder: Path, count: int) -> list[float]:
    taken: list[float] = []
    with (folder / "log").open("wb") as file:
        async with httpx.AsyncClient() as client:
            await client.post(f"{url}/jobs", json={"prompt": "warm"})
            for number in range(count):
                began = time.perf_counter()
                file.write(b"x" * 1500)
                file.flush()
                os.fsync(file.fileno())
                await client.post(f"{url}/jobs", json={"prompt": f"bare {number}"})
                taken.append(time.perf_counter() - began)
    return taken


def main(count: int) -> None:
    rows: dict[str, Any] = {"count": count}
    with serving(QuickVendor(takes=lambda _: 10_000.0)) as vendor, tempfile.TemporaryDirectory(dir=ROOT) as folder:
        rows["bare httpx + 1 fsync"] = quantiles(asyncio.run(bare(vendor.url, Path(folder), count)))
        for name, at_once in (("one after the other", 1), ("20 at once", 20), ("all at once", count)):
            home = Path(folder) / name
            home.mkdir()
            before = vendor.connections
            taken, wall, used = asyncio.run(ours(vendor.url, home, count, at_once))
            rows[name] = quantiles(taken) | {
                "per_s": round(count / wall), "cpu_ms_each": round(used / count * 1000, 2),
                "connections": vendor.connections - before,
            }  # fmt: skip
    rows["above bare, one after the other, ms"] = round(
        rows["one after the other"]["p50_ms"] - rows["bare httpx + 1 fsync"]["p50_ms"], 3
    )
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
