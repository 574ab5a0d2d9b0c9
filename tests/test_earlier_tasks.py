"""What an order takes from earlier tasks: its arguments with `again`, its clip and last frame as media."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from support.mcp_world import Vendors, client, ended, ordered
from support.services import service

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import KlingError, RequestError, UnknownTaskError

BOAT = {"prompt": "a paper boat", "provider": "runcomfy", "tier": "standard", "duration": 5}
NOBODYS = "kv-261121-000000000000"


async def finished(connected: Client, **more: Any) -> dict[str, Any]:
    task_id = (await ordered(connected, **more))["task_id"]
    done = (await ended(connected, {"task_id": task_id, "wait_s": 25})).structured_content
    assert done["state"] == "succeeded"
    return done


async def typed(shops: Vendors, *words: str) -> dict[str, Any]:
    """What the command line answers as JSON."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "mcp_server", *words, "--json"],
        env={**os.environ, **shops.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- again


@pytest.mark.parametrize(
    ("change", "became"),
    [
        ({}, {"duration": 5, "aspect_ratio": "9:16"}),
        ({"duration": 10}, {"duration": 10, "aspect_ratio": "9:16"}),
        ({"request": "the same but square"}, {"duration": 5, "aspect_ratio": "1:1"}),
        ({"request": "10 seconds", "aspect_ratio": "16:9"}, {"duration": 10, "aspect_ratio": "16:9"}),
    ],
)
async def test_again_begins_with_what_was_ordered_and_takes_the_changes(
    shops: Vendors, change: dict[str, Any], became: dict[str, Any]
) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected, **BOAT, aspect_ratio="9:16"))["task_id"]
        priced = (await connected.call_tool("estimate_cost", {"again": first, **change})).structured_content
        answer = await connected.call_tool("generate_video", {"again": first, **change})
        second = answer.structured_content

    assert not answer.is_error, answer.content[0].text
    assert second["task_id"] != first
    assert second["prompt"] == priced["prompt"] == BOAT["prompt"]
    for facts in (second["ordered"], priced["chosen"]):
        assert {name: facts[name] for name in became} == became
    assert len(shops.submits()) == 2


async def test_what_was_repeated_can_be_repeated_in_turn(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected, **BOAT))["task_id"]
        second = (await ordered(connected, again=first, aspect_ratio="9:16"))["task_id"]
        third = await ordered(connected, again=second, duration=10)

    assert (third["ordered"]["aspect_ratio"], third["ordered"]["duration"]) == ("9:16", 10)


async def test_the_same_key_beside_again_buys_once(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected, **BOAT, idempotency_key="one"))["task_id"]
        order = {"again": first, "request": "square", "idempotency_key": "two"}
        second, same = [(await connected.call_tool("generate_video", order)).structured_content for _ in range(2)]
        other = await connected.call_tool("generate_video", order | {"request": "vertical"})

    assert first != second["task_id"] == same["task_id"]
    assert other.is_error and "already stands for another request" in other.content[0].text
    assert len(shops.submits()) == 2


@pytest.mark.parametrize("tool", ["generate_video", "estimate_cost"])
@pytest.mark.parametrize(
    ("order", "says"),
    [
        ({"again": NOBODYS}, f"no task '{NOBODYS}'"),
        ({"again": "kf-261121-000000000000"}, "no task 'kf-"),
        ({"request": "but with a red boat"}, "'red boat' is no change"),
        ({"request": "how much would that cost?"}, "do not say what to change"),
        ({"request": "without pro"}, "only ruled out are no change"),
        ({"request": "cheapest"}, "are no change"),
        ({"request": "pro, standard"}, "leave `tier` open"),
    ],
)
async def test_what_cannot_be_repeated_or_read_is_refused_before_money_moves(
    shops: Vendors, tool: str, order: dict[str, Any], says: str
) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = (await ordered(connected))["task_id"]
        refused = await connected.call_tool(tool, {"again": first, **order})

    assert refused.is_error
    assert says in refused.content[0].text
    assert refused.content[0].text.endswith("Nothing was charged.")
    assert len(shops.submits()) == 1


async def test_an_argument_that_is_not_taken_any_more_says_to_order_anew(tmp_path: Path) -> None:
    from dataclasses import replace

    from mcp_server.ordering.again import repeated

    buyer = service(tmp_path)
    made = await buyer.generate(VideoArguments(prompt="a boat"))
    task = replace(await buyer.runner.store.get(made.task_id), request={"prompt": "a boat", "seed": 7})
    with pytest.raises(RequestError, match="cannot be repeated") as refused:
        repeated(task, VideoArguments(again=task.id), buyer.catalog)
    await buyer.close()

    assert "Order it anew" in str(refused.value)


async def test_another_owners_task_is_nobodys(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    hers = await buyer.generate(VideoArguments(prompt="a boat"), owner="her")
    (done,) = await buyer.get([hers.task_id], wait_s=300, owner="her")
    assert done.state == "succeeded"

    for order in ({"again": hers.task_id}, {"image": hers.task_id}, {"prompt": "x", "video": hers.task_id}):
        for act in (buyer.estimate, buyer.generate):
            with pytest.raises(UnknownTaskError):
                await act(VideoArguments(**order), owner="him")
    own = await buyer.estimate(VideoArguments(prompt="on", image=hers.task_id), owner="her")
    await buyer.close()

    assert own.chosen.mode == "image-to-video"


async def test_the_limit_of_then_still_refuses_and_agrees_to_nothing(shops: Vendors) -> None:
    async with client(shops.server(KLING_CONFIRM_ABOVE_USD="1"), "legacy") as connected:
        first = (await ordered(connected, **BOAT, max_cost_usd=5))["task_id"]
        dear = await connected.call_tool("generate_video", {"again": first, "tier": "4k"})
        words = await connected.call_tool("generate_video", {"again": first, "request": "4k, under $9"})
        dearer = await connected.call_tool("generate_video", {"again": first, "tier": "4k", "duration": 15})
        agreed = await connected.call_tool("generate_video", {"again": first, "tier": "4k", "max_cost_usd": 3})

    assert dear.is_error and "wants to be asked" in dear.content[0].text
    assert words.is_error and "wants to be asked" in words.content[0].text
    assert dearer.is_error and "more than max_cost_usd 5" in dearer.content[0].text
    assert not agreed.is_error
    assert len(shops.submits()) == 2


# ---- media by task id


@pytest.mark.parametrize(
    ("order", "mode", "kind"),
    [
        ({"image": "TASK"}, "image-to-video", ".last.png"),
        ({"image": "TASK", "end_image": "TASK"}, "image-to-video", ".last.png"),
        ({"references": ["TASK"], "model": "kling-o3"}, "reference-to-video", ".last.png"),
        ({"video": "TASK", "model": "kling-o3", "provider": "runapi"}, "video-edit", ".mp4"),
    ],
)
async def test_a_task_id_stands_for_its_last_frame_or_its_file(
    shops: Vendors, order: dict[str, Any], mode: str, kind: str
) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected)
        clip = Path(first["video_path"])
        frame = clip.with_suffix(".last.png")
        wish: dict[str, Any] = json.loads(json.dumps(order).replace("TASK", first["task_id"]))
        wish |= {"prompt": "on it goes", "accept_unknown_price": True}
        priced = await connected.call_tool("estimate_cost", wish)
        assert not frame.exists(), "an estimate makes no file"
        answer = await connected.call_tool("generate_video", wish)

    assert not priced.is_error, priced.content[0].text
    assert not answer.is_error, answer.content[0].text
    assert priced.structured_content["chosen"]["mode"] == answer.structured_content["mode"] == mode
    assert frame.exists() is (kind == ".last.png")
    if kind == ".last.png":
        assert frame.read_bytes()[:4] == b"\x89PNG"
    assert len(shops.submits()) == 2


async def test_the_file_is_handed_over_like_any_other_of_this_machine(shops: Vendors) -> None:
    from mcp_server.composition import build

    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected)
    buyer = build(shops.settings())
    made = await buyer.generate(VideoArguments(prompt="on", image=first["task_id"], provider="runapi", max_cost_usd=9))
    task = await buyer.runner.store.get(made.task_id)
    await buyer.close()

    (medium,) = task.local_media
    assert Path(medium.path) == Path(first["video_path"]).with_suffix(".last.png")
    assert medium.address.startswith("http"), "it was uploaded"
    assert task.request["image"] == first["task_id"]


@pytest.mark.parametrize("tool", ["generate_video", "estimate_cost"])
@pytest.mark.parametrize("place", ["image", "end_image", "references", "video"])
async def test_a_clip_that_is_not_there_is_refused_before_money_moves(shops: Vendors, tool: str, place: str) -> None:
    def order(task_id: str) -> dict[str, Any]:
        media = {place: [task_id] if place == "references" else task_id}
        return {"prompt": "on", "accept_unknown_price": True, "image": "https://example.com/a.png", **media}

    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected)
        Path(first["video_path"]).unlink()
        shops.box.seconds = 6_000
        young = (await ordered(connected))["task_id"]
        gone = await connected.call_tool(tool, order(first["task_id"]))
        early = await connected.call_tool(tool, order(young))
        await connected.call_tool("cancel_task", {"task_id": young})
        never = await connected.call_tool(tool, order(young))
        nobodys = await connected.call_tool(tool, order(NOBODYS))
        misspelt = await connected.call_tool(tool, order("kv-misspelt"))

    for answer, says in (
        (gone, "is not there any more"),
        (early, "Wait until get_task says that it has succeeded"),
        (never, "Name a task that succeeded"),
        (nobodys, "There is no task"),
        (misspelt, "There is no task 'kv-misspelt'"),
    ):
        assert answer.is_error
        assert says in answer.content[0].text
        assert answer.content[0].text.endswith("Nothing was charged.")
    assert len(shops.submits()) == 2


async def test_a_clip_nobody_can_look_into_says_to_give_a_picture(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected)
        Path(first["video_path"]).write_bytes(b"no clip at all")
        refused = await connected.call_tool("generate_video", {"prompt": "on", "image": first["task_id"]})

    assert refused.is_error
    assert "Give a picture as `image` instead" in refused.content[0].text
    assert refused.content[0].text.endswith("Nothing was charged.")
    assert len(shops.submits()) == 1


@pytest.mark.parametrize("tool", ["generate_video", "estimate_cost"])
async def test_a_test_picture_goes_into_rehearsals_and_to_no_vendor(shops: Vendors, tool: str) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected, provider="sandbox")
        refused = await connected.call_tool(tool, {"prompt": "on", "image": first["task_id"]})
        rehearsed = await connected.call_tool(tool, {"prompt": "on", "image": first["task_id"], "provider": "sandbox"})

    assert refused.is_error
    assert "is a simulation: its clip is a test picture" in refused.content[0].text
    assert refused.content[0].text.endswith("Nothing was charged.")
    assert not rehearsed.is_error, rehearsed.content[0].text
    assert rehearsed.structured_content["simulated"] is True
    assert shops.submits() == []


async def test_over_the_network_ones_own_clip_may_be_named_and_no_file(tmp_path: Path) -> None:
    buyer = service(tmp_path)
    mine = await buyer.generate(VideoArguments(prompt="a boat"), owner="me")
    (done,) = await buyer.get([mine.task_id], wait_s=300, owner="me")
    assert done.state == "succeeded"

    made = await buyer.generate(VideoArguments(prompt="on", image=mine.task_id), owner="me")
    with pytest.raises(KlingError, match="cannot be named over the network"):
        await buyer.generate(VideoArguments(prompt="on", image=str(done.video_path)), owner="me")
    with pytest.raises(KlingError, match="cannot be named over the network"):
        await buyer.generate(VideoArguments(prompt="on", image=mine.task_id, audio_file=mine.task_id), owner="me")
    await buyer.close()

    assert made.mode == "image-to-video"


async def test_at_the_command_line_again_and_task_ids_go_the_same_way(shops: Vendors) -> None:
    async with client(shops.server(), "legacy") as connected:
        first = await finished(connected)

    more = ["--prompt", "on", "--image", first["task_id"]]
    asked = await typed(shops, "estimate", *more)
    on = await typed(shops, "generate", *more, "--no-wait")
    again = await typed(shops, "again", first["task_id"], "square", "--no-wait")
    flagged = await typed(shops, "estimate", "--again", first["task_id"], "--aspect-ratio", "1:1")

    assert asked["chosen"]["mode"] == on["mode"] == "image-to-video"
    assert again["ordered"]["aspect_ratio"] == flagged["chosen"]["aspect_ratio"] == "1:1"
    assert len(shops.submits()) == 3
