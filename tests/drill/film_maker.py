"""One life of a process that makes a film: `python film_maker.py '{"board": {…} | null, "until_s": 60}'`.

The whole service, from settings to files. It makes the film, or only goes on with what an earlier life left, until
nothing is under way; then it prints every film and every task. `KLING_CRASH_AT` kills it on the way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from decimal import Decimal
from typing import Any

from mcp_server import composition
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.tasks.store.base import Filter
from mcp_server.tasks.store.film_store import FilmFilter


async def life(wanted: dict[str, Any]) -> dict[str, Any]:
    service = composition.build()
    end = time.monotonic() + wanted.get("until_s", 60)
    try:
        await service.start()
        if wanted.get("board"):
            order = FilmOrder(board=from_arguments(wanted["board"]), max_cost_usd=Decimal(50))
            await service.films.make(order, buying=True)
        while time.monotonic() < end:
            films = await service.films.records.find(FilmFilter(limit=100))
            tasks = await service.runner.store.find(Filter(limit=1000))
            if all(task.finished for task in tasks) and not any(film.under_way for film in films):
                break
            await asyncio.sleep(0.05)
        return {
            "films": [dataclasses.asdict(film) for film in await service.films.records.find(FilmFilter(limit=100))],
            "tasks": [dataclasses.asdict(task) for task in await service.runner.store.find(Filter(limit=1000))],
        }
    finally:
        await service.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(life(json.loads(sys.argv[1]))), default=str))
