"""One life of a server process: `python buyer.py '{"buy": {…} | null, "cancel": bool, "until_s": 20}'`.

The whole service, from settings to files. It buys, or only looks after what an earlier life left, until nothing is
unfinished; then it prints every task. `KLING_CRASH_AT` kills it on the way.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import time
from typing import Any

from support.task_events import history

from mcp_server import composition
from mcp_server.domain.arguments import VideoArguments
from mcp_server.tasks.store.base import Filter


async def life(orders: dict[str, Any]) -> list[dict[str, Any]]:
    service = composition.build()
    end = time.monotonic() + orders.get("until_s", 20)
    try:
        await service.start()
        if orders.get("buy"):
            answer = await service.generate(VideoArguments.model_validate(orders["buy"]), confirmed=True)
            if orders.get("cancel"):
                await service.cancel(answer.task_id)
        unanswered = service.runner.dispatcher.submitter.unanswered
        while time.monotonic() < end:
            # Another process may have given up what this one still has in its hands: it has the last word.
            under_way = bool(unanswered)
            tasks = await service.runner.store.find(Filter(limit=1000))
            if not under_way and all(task.finished for task in tasks):
                break
            await asyncio.sleep(0.05)
        return [
            {**dataclasses.asdict(task), "history": history(service.settings.database, task.id)}
            for task in await service.runner.store.find(Filter(limit=1000))
        ]
    finally:
        await service.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(life(json.loads(sys.argv[1]))), default=str))
