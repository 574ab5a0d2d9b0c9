"""What happens is told to the pages that are looked at, and forgotten with them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from support.browsing import Browser, Studio

from mcp_server.domain.arguments import VideoArguments


@asynccontextmanager
async def listening(visitor: Browser, **asked: str) -> AsyncGenerator[AsyncGenerator[dict[str, Any]]]:
    """The facts a page hears."""
    async with visitor.http.stream("GET", f"{visitor.studio.address}/events", params=asked, timeout=120) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")

        async def facts() -> AsyncGenerator[dict[str, Any]]:
            async for line in answer.aiter_lines():
                if line.startswith("data: "):
                    yield json.loads(line.removeprefix("data: "))

        yield facts()


async def test_a_card_is_told_until_its_end(opened: Studio, visitor: Browser) -> None:
    task = await opened.service.generate(VideoArguments(prompt="<b>a boat", duration=5), wait_s=0)
    states = list[str]()
    async with listening(visitor, **{"as": "card", "ids": task.task_id}) as facts:
        async for fact in facts:
            assert f'data-task="{task.task_id}"' in fact["html"]
            assert "<b>a boat" not in fact["html"]
            states.append(fact["state"])
            if fact["over"]:
                break
    assert states[-1] == "succeeded"
    assert len(states) > 1


async def test_a_new_order_is_told_to_a_page_that_began_before_it(opened: Studio, visitor: Browser) -> None:
    async with listening(visitor, **{"as": "card", "ids": "", "newest": "none"}) as facts:
        task = await opened.service.generate(VideoArguments(prompt="a boat", duration=5), wait_s=0)
        fact = await anext(facts)
    assert fact == {"id": task.task_id, "new": True}


async def test_others_tasks_are_not_told(opened: Studio, visitor: Browser) -> None:
    theirs = await opened.service.generate(VideoArguments(prompt="secret"), owner="somebody")
    mine = await opened.service.generate(VideoArguments(prompt="mine"))
    async with listening(visitor, **{"as": "card", "ids": f"{theirs.task_id},{mine.task_id}"}) as facts:
        assert (await anext(facts))["id"] == mine.task_id
    async with listening(visitor, **{"as": "clip", "ids": theirs.task_id, "newest": "none"}) as facts:
        assert (await anext(facts))["id"] == mine.task_id


async def test_a_page_that_is_gone_leaves_nothing_behind(opened: Studio, visitor: Browser) -> None:
    task = await opened.service.generate(VideoArguments(prompt="a boat"), wait_s=0)
    waiters = opened.service.runner.waiters
    for _ in range(5):
        async with listening(visitor, **{"as": "card", "ids": task.task_id}) as facts:
            await anext(facts)
    async with asyncio.timeout(60):
        while len(waiters):
            await asyncio.sleep(0)
