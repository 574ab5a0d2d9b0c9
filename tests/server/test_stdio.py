"""The server as a client's child process: clean on the wire, clean at the end, and no purchase hangs on the client."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from support.mcp_wire import LEGACY, MODERN, pipe
from support.mcp_world import ORDER, Vendors, vendors

both = pytest.mark.parametrize("era", [LEGACY, MODERN])


@pytest.mark.parametrize("version", ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", MODERN])
async def test_every_version_is_served_and_nothing_else_is_on_the_wire(tmp_path: Path, version: str) -> None:
    home = {"HOME": str(tmp_path), "KLING_HOME": str(tmp_path / "home")}
    async with pipe(home, version) as server:
        tools = (await server.ask("tools/list"))["result"]["tools"]
        if version == MODERN:
            found = (await server.ask("server/discover"))["result"]
            assert MODERN in found["supportedVersions"]
            assert found["capabilities"]["extensions"].keys() >= {
                "io.modelcontextprotocol/tasks",
                "io.modelcontextprotocol/skills",
            }
        else:
            first = json.loads(server.lines[0])["result"]
            assert first["protocolVersion"] == version
            assert first["serverInfo"]["name"] == "kling-video"
            assert "get_task" in first["instructions"]
        server.process.stdin.close()
        assert await asyncio.wait_for(server.process.wait(), 30) == 0
        assert await server.process.stdout.read() == b""
        assert (await server.process.stderr.read()) == b""

    assert len(tools) == 7
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_soon_and_cleanly(tmp_path: Path, stop: signal.Signals) -> None:
    async with pipe({"HOME": str(tmp_path)}) as server:
        await server.ask("tools/list")
        server.process.send_signal(stop)
        assert await asyncio.wait_for(server.process.wait(), 30) == 0
        assert await server.process.stderr.read() == b""


async def test_a_bad_line_does_not_end_it(tmp_path: Path) -> None:
    async with pipe({"HOME": str(tmp_path)}) as server:
        server.process.stdin.write(b"this is no JSON\n")
        server.process.stdin.write(b"\xff\xfe\n")
        assert len((await server.ask("tools/list"))["result"]["tools"]) == 7


@both
async def test_a_purchase_with_no_sdk_at_all(shops: Vendors, era: str) -> None:
    async with pipe(shops.environment, era) as server:
        task = (await server.call("generate_video", ORDER))["structuredContent"]
        done = (await server.call("get_task", {"task_id": task["task_id"], "wait_s": 25}))["structuredContent"]

    assert done["state"] == "succeeded"
    assert Path(done["video_path"]).stat().st_size == done["bytes"]


async def bought(shops: Vendors) -> None:
    """The vendor has the order."""
    async with asyncio.timeout(120):
        while not shops.submits():
            await asyncio.sleep(0.01)


async def arrives(shops: Vendors, era: str) -> None:
    """A later server finishes what the first began: one submit, one file."""
    async with pipe(shops.environment, era) as server:
        (task,) = (await server.call("list_tasks", {}))["structuredContent"]["tasks"]
        done = (await server.call("get_task", {"task_id": task["task_id"], "wait_s": 25}))["structuredContent"]

    assert done["state"] == "succeeded", done
    assert Path(done["video_path"]).exists()
    assert len(shops.submits()) == 1


@both
async def test_a_script_that_writes_its_calls_and_closes_its_end_gets_every_answer(shops: Vendors, era: str) -> None:
    shops.fault("runcomfy", "slow", "1")
    async with pipe(shops.environment, era) as server:
        first = await server.send("tools/call", {"name": "generate_video", "arguments": ORDER})
        second = await server.send(
            "tools/call", {"name": "estimate_cost", "arguments": {"request": "kling, 5s: a boat"}}
        )
        server.process.stdin.close()
        told = [json.loads(line) for line in (await server.process.stdout.read()).splitlines()]
        assert await asyncio.wait_for(server.process.wait(), 30) == 0

    answers = {message["id"]: message["result"]["structuredContent"] for message in told if "result" in message}
    assert answers.keys() == {first, second}
    assert answers[first]["task_id"] and answers[first]["state"] in ("queued", "running"), answers[first]
    assert len(shops.submits()) == 1


@both
@pytest.mark.parametrize("how", ["leaves", "signal"])
async def test_a_client_that_goes_in_the_middle_of_an_order_loses_nothing(shops: Vendors, era: str, how: str) -> None:
    shops.fault("runcomfy", "slow", "1.5")
    async with pipe(shops.environment, era) as server:
        await server.send("tools/call", {"name": "generate_video", "arguments": ORDER})
        await bought(shops)
        if how == "leaves":
            server.process.stdin.close()
        else:
            server.process.terminate()
        assert await asyncio.wait_for(server.process.wait(), 30) == 0

    await arrives(shops, era)


@both
async def test_a_cancelled_call_does_not_cancel_the_order(shops: Vendors, era: str) -> None:
    shops.fault("runcomfy", "slow", "1")
    async with pipe(shops.environment, era) as server:
        number = await server.send("tools/call", {"name": "generate_video", "arguments": ORDER})
        await bought(shops)
        server.post({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}})
        (task,) = (await server.call("list_tasks", {}))["structuredContent"]["tasks"]
        done = (await server.call("get_task", {"task_id": task["task_id"], "wait_s": 25}))["structuredContent"]

    assert done["state"] == "succeeded"
    assert len(shops.submits()) == 1


@both
async def test_a_client_that_goes_while_it_waits_loses_nothing(tmp_path: Path, era: str) -> None:
    async with vendors(tmp_path, seconds=2) as shops:
        async with pipe(shops.environment, era) as server:
            task = (await server.call("generate_video", ORDER))["structuredContent"]
            waiting = {"name": "get_task", "arguments": {"task_id": task["task_id"], "wait_s": 25}}
            await server.send("tools/call", {**waiting, "_meta": {"progressToken": "p"}})
            await server.until("notifications/progress")
            server.process.kill()

        await arrives(shops, era)


async def test_a_new_server_takes_up_old_tasks_by_itself(shops: Vendors) -> None:
    async with pipe(shops.environment) as server:
        task = (await server.call("generate_video", ORDER))["structuredContent"]
        server.process.kill()

    async with pipe(shops.environment) as server:
        await server.ask("tools/list")
        videos = Path(shops.environment["KLING_OUTPUT_DIR"])
        async with asyncio.timeout(120):
            while not list(videos.glob("*.mp4")):
                await asyncio.sleep(0.05)
        done = (await server.call("get_task", {"task_id": task["task_id"], "wait_s": 5}))["structuredContent"]

    assert done["state"] == "succeeded"
