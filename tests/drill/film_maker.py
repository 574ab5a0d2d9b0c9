"""One life of a process that makes films: `python film_maker.py '{"boards": [{…}], "plan": false, "race": false, "until_s": 60}'`.

The whole service, from settings to files. It makes the films, or only goes on with what an earlier life left, until
nothing is under way; then it prints every film and every task, and what was refused. `KLING_CRASH_AT` kills it on the
way. With `plan` nothing is bought; with `race` it says `ready` before it buys, waits for a line to be let go, and ends
at once where it is refused.
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
from mcp_server.errors import KlingError
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.service import Service
from mcp_server.tasks.store.base import Filter
from mcp_server.tasks.store.film_store import FilmFilter


async def life(wanted: dict[str, Any]) -> dict[str, Any]:
    service = composition.build()
    end = time.monotonic() + wanted.get("until_s", 60)
    try:
        await service.start()
        refused = [why for board in wanted.get("boards", ()) if (why := await made(service, board, wanted))]
        while time.monotonic() < end and not (wanted.get("race") and refused):
            films = await service.films.records.find(FilmFilter(limit=1000))
            tasks = await service.runner.store.find(Filter(limit=1000))
            if all(task.finished for task in tasks) and not any(film.under_way for film in films):
                break
            await asyncio.sleep(0.05)
        return {
            "films": [dataclasses.asdict(film) for film in await service.films.records.find(FilmFilter(limit=1000))],
            "tasks": [dataclasses.asdict(task) for task in await service.runner.store.find(Filter(limit=1000))],
            "refused": refused,
        }
    finally:
        await service.close()


async def made(service: Service, board: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any] | None:
    """One film planned or bought; why it is not."""
    order = FilmOrder(board=from_arguments(board), max_cost_usd=Decimal(50))
    if wanted.get("plan"):
        await service.films.make(order)
        return None
    draft = await service.films.prepare(order)
    if wanted.get("race"):
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    try:
        await service.films.buy(draft)
    except KlingError as error:
        return error.as_dict()
    return None


if __name__ == "__main__":
    print(json.dumps(asyncio.run(life(json.loads(sys.argv[1]))), default=str))
