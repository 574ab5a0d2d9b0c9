"""Vendors post the end of a job to `serve --http`, over HTTP: it is looked at then, and not before it could be."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from support.http_serving import free_port, running
from support.mcp_wire import LEGACY, Web
from support.mcp_world import Vendors

from mcp_server.composition import build
from mcp_server.sandbox.vendors.base import CALLBACK_SECRET
from mcp_server.server.http import build_app
from mcp_server.tasks.callbacks import LARGEST

ORDER = {
    "prompt": "a paper boat in the rain",
    "provider": "runapi",
    "model": "kling-3.0",
    "duration": 5,
    "audio": False,
}


@asynccontextmanager
async def served(shops: Vendors, **more: str) -> AsyncIterator[Web]:
    port = free_port()
    settings = shops.settings(KLING_PUBLIC_URL=f"http://127.0.0.1:{port}", **more)
    app = build_app(settings, host="127.0.0.1", port=port, make=lambda: build(settings))
    async with running(app, port) as address, httpx.AsyncClient(timeout=60) as http:
        yield Web(http, f"{address}/mcp", LEGACY)


def looks(shops: Vendors) -> int:
    return len(shops.box.store.journal(action="status"))


def posts(shops: Vendors) -> list[int]:
    return [line["status"] for line in shops.box.store.journal(action="callback")]


async def order(client: Web, **more: Any) -> dict[str, Any]:
    return (await client.call("generate_video", {**ORDER, **more}))["structuredContent"]


async def waited(client: Web, task_id: str, wait_s: float = 20) -> dict[str, Any]:
    return (await client.call("get_task", {"task_id": task_id, "wait_s": wait_s}))["structuredContent"]


async def test_an_end_is_posted_and_looked_at_then(shops: Vendors) -> None:
    async with served(shops) as client:
        done = await waited(client, (await order(client))["task_id"])

    assert done["state"] == "succeeded"
    assert (looks(shops), posts(shops)) == (1, [200]), "the first look of itself comes four seconds later"


async def test_a_post_that_comes_twice_is_heard_once(shops: Vendors) -> None:
    shops.fault("runapi", "callback_twice")
    shops.box.sleep = _no_time
    async with served(shops) as client:
        done = await waited(client, (await order(client))["task_id"])
        while len(posts(shops)) < 2:
            await _no_time(0)

    assert done["state"] == "succeeded" and looks(shops) == 1 and posts(shops) == [200, 200]


async def _no_time(_: float) -> None:
    import asyncio

    await asyncio.sleep(0.01)


def signed(body: bytes, post: str = "p", at: float | None = None) -> dict[str, str]:
    stamp = str(int(at or time.time()))
    mac = hmac.new(base64.b64decode(CALLBACK_SECRET), f"{post}.{stamp}.".encode() + body, hashlib.sha256)
    signature = base64.b64encode(mac.digest()).decode()
    return {"X-Callback-Id": post, "X-Callback-Timestamp": stamp, "X-Callback-Signature": signature}


async def test_strangers_change_nothing(shops: Vendors) -> None:
    shops.box.seconds = 900
    async with served(shops) as client:
        await order(client)
        (line,) = shops.submits()
        address, job = line["facts"]["body"]["callback_url"], line["job"]
        body = json.dumps(
            {"id": job, "status": "completed", "videos": [{"url": "https://evil.example/a.mp4"}]}
        ).encode()
        foreign = json.dumps({"id": "another", "status": "failed", "error": "no"}).encode()

        async def post(to: str, text: bytes, headers: dict[str, str]) -> int:
            return (await client.http.post(to, content=text, headers=headers)).status_code

        assert await post(address[:-1] + ("x" if address[-1] != "x" else "y"), body, signed(body)) == 404
        assert await post(address.replace("/runapi/", "/fal/"), body, signed(body)) == 404
        assert await post(address, body, {}) == 401
        assert await post(address, body, signed(body) | {"X-Callback-Id": "q"}) == 401
        assert await post(address, body, signed(body, at=time.time() - 3_600)) == 401
        assert await post(address, foreign, signed(foreign)) == 401
        assert await post(address, bytes(LARGEST + 1), {}) == 413

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(LARGEST // 65_536 + 2):
                yield bytes(65_536)

        assert (await client.http.post(address, content=endless())).status_code == 413
        assert (await client.http.get(address)).status_code == 405
        assert looks(shops) == 0
        task = (await client.call("list_tasks", {}))["structuredContent"]["tasks"][0]
        assert task["state"] in ("queued", "running")
        # A genuine one says that it is done; the vendor's own answer says that it is not, and that is what counts.
        assert await post(address, body, signed(body)) == 200
        while not looks(shops):
            await _no_time(0)
        task = (await client.call("list_tasks", {}))["structuredContent"]["tasks"][0]
        assert task["state"] in ("queued", "running") and "evil" not in json.dumps(task)


async def test_without_a_public_address_nothing_is_asked_and_nothing_is_heard(shops: Vendors) -> None:
    settings = shops.settings()
    port = free_port()
    app = build_app(settings, host="127.0.0.1", port=port, make=lambda: build(settings))
    async with running(app, port) as address, httpx.AsyncClient(timeout=60) as http:
        await order(Web(http, f"{address}/mcp", LEGACY))
        (line,) = shops.submits()
        assert "callback_url" not in line["facts"]["body"]
        assert (await http.post(f"{address}/callbacks/runapi/kv-1/x", content=b"{}")).status_code == 404
