"""Variations of one order: one call, one budget decision, one key, and a task for each."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.mcp_world import ERAS, Vendors, client, ended, ordered
from support.orders import PIXEL

from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import BudgetError
from mcp_server.tasks.store.base import Filter

ONE = {"prompt": "a paper boat", "provider": "runcomfy", "tier": "standard", "duration": 5, "audio": False}
"""$0.42 each."""
THREE = {**ONE, "count": 3}


def ids(answer: dict[str, Any]) -> list[str]:
    return [task["task_id"] for task in answer["tasks"]]


@pytest.mark.parametrize("era", ERAS)
async def test_three_variations_are_one_call_with_a_task_each_and_the_price_of_all(shops: Vendors, era: str) -> None:
    async with client(shops.server(), era) as connected:
        priced = (await connected.call_tool("estimate_cost", THREE)).structured_content
        answer = await connected.call_tool("generate_video", THREE)
        made = answer.structured_content
        done = await ended(connected, {"task_ids": ids(made), "wait_s": 25})

    assert not answer.is_error
    assert (priced["chosen"]["cost"]["usd"], priced["count"], priced["total"]["usd"]) == ("0.42", 3, "1.26")
    assert made["estimated_cost"]["usd"] == "1.26"
    assert made["estimated_cost"]["arithmetic"] == "3 × (5 s × $0.084 (silent) = $0.42) = $1.26"
    assert [task["estimated_cost"]["usd"] for task in made["tasks"]] == ["0.42"] * 3
    assert {task["state"] for task in made["tasks"]} <= {"queued", "running"}
    assert "task_id" not in made, "one of three at the top would be followed, and the others forgotten"
    assert all(task_id in made["next_step"] for task_id in ids(made))
    assert [task["state"] for task in done.structured_content["tasks"]] == ["succeeded"] * 3
    assert len({task["video_path"] for task in done.structured_content["tasks"]}) == 3
    assert len({row["job"] for row in shops.submits()}) == len(shops.submits()) == 3


async def test_the_same_key_again_answers_with_the_same_tasks(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {**THREE, "idempotency_key": "boats"}
        first, same = [(await connected.call_tool("generate_video", order)).structured_content for _ in range(2)]
        fewer = await connected.call_tool("generate_video", order | {"count": 2})
        single = await connected.call_tool("generate_video", ONE | {"idempotency_key": "boats"})
        inner = await connected.call_tool("generate_video", ONE | {"idempotency_key": "boats #2"})

    assert ids(first) == ids(same)
    assert any("nothing was bought again" in warning for warning in same["warnings"])
    for refused in (fewer, single, inner):
        assert refused.is_error
        assert "already stands for another request" in refused.content[0].text
    assert len(shops.submits()) == 3


async def test_processes_that_order_at_once_under_one_key_buy_it_once(shops: Vendors) -> None:
    buyers = [build(shops.settings()) for _ in range(3)]
    wish = VideoArguments(**THREE, idempotency_key="boats")

    answers = await asyncio.gather(*(buyer.generate(wish) for buyer in buyers))

    for buyer in buyers:
        await buyer.close()
    assert len({tuple(task.task_id for task in answer.tasks) for answer in answers}) == 1
    assert len(shops.submits()) == 3


async def test_a_key_that_would_meet_another_orders_variation_buys_nothing(shops: Vendors) -> None:
    buyer = build(shops.settings())
    await buyer.generate(VideoArguments(**ONE, idempotency_key="boats #2"))
    async with client(shops.server(), "legacy") as connected:
        refused = await connected.call_tool("generate_video", {**THREE, "idempotency_key": "boats"})
    tasks = await buyer.runner.store.find(Filter())
    await buyer.close()

    assert refused.is_error
    assert len(tasks) == len(shops.submits()) == 1


async def test_one_variation_is_an_order_like_any_other(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        made = await ordered(connected, **ONE, count=1, idempotency_key="boat")
        same = await ordered(connected, **ONE, idempotency_key="boat")

    assert made["task_id"] == same["task_id"]
    assert "tasks" not in made


@pytest.mark.parametrize("count", [0, 5, 2.5, "two"])
async def test_only_one_to_four_are_taken(shops: Vendors, count: object) -> None:
    async with client(shops.server(), "legacy") as connected:
        refused = await connected.call_tool("generate_video", ONE | {"count": count})

    assert refused.is_error
    assert "count must be" in refused.content[0].text
    assert shops.submits() == []


async def test_the_days_budget_takes_all_or_nothing(shops: Vendors) -> None:
    buyer = build(shops.settings(KLING_DAILY_BUDGET_USD="1.00"))
    with pytest.raises(BudgetError, match=r"this costs 1\.26"):
        await buyer.generate(VideoArguments(**THREE))
    assert await buyer.runner.store.find(Filter()) == []

    made = await buyer.generate(VideoArguments(**ONE, count=2))

    reserved = [task.reserved_usd for task in await buyer.runner.store.find(Filter())]
    await buyer.close()
    assert len(made.tasks) == len(shops.submits()) == 2
    assert reserved == [Decimal("0.42")] * 2


async def test_a_limit_is_held_against_the_price_of_all(shops: Vendors) -> None:
    async with client(shops.server(KLING_CONFIRM_ABOVE_USD="1"), "legacy") as connected:
        refused = await connected.call_tool("generate_video", THREE | {"max_cost_usd": 1})
        asked = await connected.call_tool("generate_video", THREE)
        assert shops.submits() == []
        agreed = await connected.call_tool("generate_video", THREE | {"max_cost_usd": 1.26})

    assert refused.is_error and "= $1.26, more than max_cost_usd 1" in refused.content[0].text
    assert asked.is_error and asked.structured_content["error"]["usd"] == "1.26"
    assert not agreed.is_error
    assert len(shops.submits()) == 3


async def test_what_became_of_each_is_told_and_only_all_of_them_are_an_error(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        shops.fault("runcomfy", "content_refused", count=1)
        some = await connected.call_tool("generate_video", THREE)
        shops.fault("runcomfy", "content_refused", count=3)
        none = await connected.call_tool("generate_video", THREE | {"prompt": "another"})

    states = sorted(task["state"] for task in some.structured_content["tasks"])
    (failed,) = [task for task in some.structured_content["tasks"] if task["state"] == "failed"]
    assert not some.is_error, "whoever reads an error orders all three again"
    assert states.count("failed") == 1
    assert failed["task_id"] not in some.structured_content["next_step"]
    assert any(warning.startswith(f"{failed['task_id']} is failed") for warning in some.structured_content["warnings"])
    assert none.is_error
    assert "Nothing was charged" in none.content[0].text
    assert len(none.structured_content["tasks"]) == 3


async def test_a_picture_goes_with_every_variation(shops: Vendors, tmp_path: Path) -> None:
    picture = tmp_path / "first.png"
    picture.write_bytes(PIXEL)
    buyer = build(shops.settings())
    wish = {**ONE, "provider": "runapi", "image": str(picture), "count": 2, "max_cost_usd": 9}

    made = await buyer.generate(VideoArguments(**wish))
    for _ in range(100):
        tasks = await buyer.runner.store.find(Filter())
        if all(task.state != "submitting" for task in tasks):
            break
        await buyer.get([task.id for task in tasks], wait_s=0.1, until="any")

    await buyer.close()
    assert len(made.tasks) == len(shops.submits()) == 2
    assert all(task.local_media[0].address.startswith("http") for task in tasks)
    assert len({task.call["idempotency_key"] for task in tasks}) == 2, "one key at the vendor would be one clip"


async def test_one_of_several_is_repeated_as_one(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        made = (await connected.call_tool("generate_video", THREE)).structured_content
        again = await ordered(connected, again=ids(made)[1], aspect_ratio="9:16")
        two = await connected.call_tool("generate_video", {"again": ids(made)[0], "count": 2})

    assert "tasks" not in again
    assert len(ids(two.structured_content)) == 2
    assert len(shops.submits()) == 6


async def test_a_rehearsal_of_three_is_no_purchase(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        order = {**THREE, "provider": "sandbox", "idempotency_key": "boats"}
        made = (await connected.call_tool("generate_video", order)).structured_content
        bought = await connected.call_tool("generate_video", {**THREE, "idempotency_key": "boats"})

    assert made["simulated"] is True
    assert all(task["simulated"] for task in made["tasks"])
    assert bought.is_error
    assert shops.submits() == []


def typed(shops: Vendors, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mcp_server", *words],
        env={**os.environ, **shops.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


ORDERED = ["--prompt", "a paper boat", "--provider", "runcomfy", "--tier", "standard", "--duration", "5", "--no-audio"]


async def test_the_command_line_orders_follows_and_delivers_all_of_them(shops: Vendors) -> None:
    asked = await asyncio.to_thread(typed, shops, "generate", *ORDERED, "--count", "3")
    assert shops.submits() == []
    left = await asyncio.to_thread(typed, shops, "generate", *ORDERED, "--count", "2", "--no-wait")
    facts = await asyncio.to_thread(typed, shops, "generate", *ORDERED, "--count", "2", "--no-wait", "--json")
    whole = await asyncio.to_thread(typed, shops, "generate", *ORDERED, "--count", "3", "--yes")
    priced = await asyncio.to_thread(typed, shops, "estimate", *ORDERED, "--count", "3")

    assert asked.returncode == 78 and "$1.26" in asked.stderr
    assert left.returncode == 0 and len(left.stdout.split()) == 2
    assert json.loads(facts.stdout)["estimated_cost"]["usd"] == "0.84"
    assert len(json.loads(facts.stdout)["tasks"]) == 2
    assert whole.returncode == 0, whole.stderr
    assert len([path for path in whole.stdout.split() if Path(path).is_file()]) == 3
    assert "All 3: $1.26" in priced.stdout
    assert len(shops.submits()) == 7
