"""What a long record costs: listing, searching, looking, ordering and opening with 10 to 100,000 finished tasks in it.

    python benchmarks/growth.py [LONGEST]

Medians in milliseconds, and as shares of those at 100. The record is made through the store's own door; that every task
in it has ended is then written into the file, which is the only step a buyer's program does not take.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.stub_vendor import new_task

from mcp_server.domain.task import UNFINISHED
from mcp_server.tasks.store.base import Budget, Filter, new_id
from mcp_server.tasks.store.sqlite import SqliteStore

SIZES = (10, 100, 1_000, 100_000)
TIMES = 15
TOGETHER = 2_000
WORDS = ["boat", "city", "river", "lamp", "rain", "glass", "tower", "garden", "horse", "violin"]


async def filled(path: Path, count: int) -> str:
    """A record of so many tasks that have ended; the id of one in its middle."""
    store, chance, ids = SqliteStore(path), random.Random(1), list[str]()
    for start in range(0, count, TOGETHER):
        numbers = range(start, min(count, start + TOGETHER))
        prompts = [" ".join(chance.choices(WORDS, k=12)) + f", clip {number}" for number in numbers]
        orders = [new_task(new_id(time.time()), prompt=prompt) for prompt in prompts]
        ids += [order.id for order in orders]
        await asyncio.gather(*(store.create(order, Budget()) for order in orders))
    await store.close()
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE tasks SET state = 'succeeded', holder = NULL, finished_at = created_at + 60")
    return ids[count // 2]


async def median_ms(ask: Callable[[], Awaitable[Any]]) -> float:
    taken: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await ask()
        taken.append(time.perf_counter() - began)
    return sorted(taken)[TIMES // 2] * 1000


async def measured(path: Path, count: int) -> dict[str, float]:
    """What each question takes."""
    known = await filled(path, count)

    async def opened() -> None:
        fresh = SqliteStore(path)
        await fresh.take_over()
        await fresh.close()

    found = {"start": await median_ms(opened)}
    store = SqliteStore(path)
    questions: dict[str, Callable[[], Awaitable[Any]]] = {
        "list": lambda: store.find(Filter(owner="")),
        "unfinished": lambda: store.find(Filter(owner="", states=UNFINISHED)),
        "failed": lambda: store.find(Filter(owner="", states=("failed",))),
        "of a vendor": lambda: store.find(Filter(owner="", provider="fal")),
        "search, common words": lambda: store.find(Filter(owner="", text="boat river")),
        "search, a word nobody said": lambda: store.find(Filter(owner="", text="zeppelin")),
        "by the end of an id": lambda: store.find(Filter(owner="", ending=known[-6:], limit=5)),
        "get": lambda: store.get(known),
        "spent, of all days": lambda: store.spent("2000-01-01"),
        "create": lambda: store.create(new_task(new_id(time.time())), Budget()),
    }
    for name, ask in questions.items():
        found[name] = await median_ms(ask)
    await store.close()
    return found


async def main(longest: int) -> None:
    with tempfile.TemporaryDirectory(dir=ROOT) as folder:
        rows = {count: await measured(Path(folder) / f"{count}.db", count) for count in SIZES if count <= longest}
    print(
        json.dumps({count: {name: round(ms, 2) for name, ms in row.items()} for count, row in rows.items()}, indent=1)
    )
    last = rows[max(rows)]
    print(f"at {max(rows):,}, as a share of 100:")
    for name, ms in last.items():
        print(f"  {name:<28} {ms / rows[100][name]:6.2f} x")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1]))
