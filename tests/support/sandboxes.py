"""A sandbox for tests: a clock that stands still until it is moved, requests without sockets or over real ones."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from support import recorded_vendors

from mcp_server import catalog, places
from mcp_server.sandbox.app import KEY_HEADER, create_app
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer

EPOCH = 1_798_000_000.0
"""Late in December 2026: after every price here was published."""
HOST = "http://localhost"
SIGNED_IN = {"Authorization": "Bearer sandbox"}
"""As most vendors have it; `as_asked` writes it as the vendor of each request does."""


def exported(lines: Iterable[str]) -> dict[str, str]:
    """The variables `kling-video sandbox` says, up to the last of them, as a shell would read them."""
    found: dict[str, str] = {}
    for line in lines:
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found[name] = value
        if name == "KLING_SANDBOX_CONTROL":
            break
    return found


async def as_asked(request: httpx.Request) -> None:
    """The key under the header and the word its vendor asks for."""
    facts = catalog.load().providers.get(request.url.path.split("/")[1])
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if facts is not None and scheme == "Bearer":
        del request.headers["authorization"]
        request.headers[facts.key_header] = f"{facts.key_scheme} {key}".lstrip()


HOOKS: dict[str, Any] = {"request": [as_asked]}


def opened(sandbox: Sandbox) -> dict[str, str]:
    """The headers of whoever has a good key, and the one of the control API."""
    return {**SIGNED_IN, KEY_HEADER: sandbox.control_key}


@dataclass
class Clock:
    """Time, moved by hand."""

    now: float = EPOCH
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@dataclass
class Bench:
    """A sandbox, its clock, and two clients: one with a good key, one without any."""

    sandbox: Sandbox
    clock: Clock
    host: str
    client: httpx.AsyncClient
    stranger: httpx.AsyncClient

    async def fault(self, text: str) -> None:
        reply = await self.client.post(f"{self.host}/control/faults", json={"faults": text})
        assert reply.status_code == 200, reply.text

    async def journal(self, **wanted: str) -> dict[str, Any]:
        return (await self.client.get(f"{self.host}/control/journal", params=wanted)).json()

    def finish(self) -> None:
        """Let every job end."""
        self.clock.now += 1_000


@asynccontextmanager
async def bench(store: Path | str = ":memory:", *, clock: Clock | None = None, **more: Any) -> AsyncIterator[Bench]:
    """Without sockets: fast, but a dropped connection is only an exception."""
    clock = clock or Clock()
    sandbox = Sandbox(store, now=clock, sleep=clock.sleep, seconds=more.pop("seconds", 40), **more)
    transport = httpx.ASGITransport(create_app(sandbox))
    async with (
        httpx.AsyncClient(transport=transport, headers=opened(sandbox), event_hooks=HOOKS) as client,
        httpx.AsyncClient(transport=transport) as stranger,
    ):
        yield Bench(sandbox, clock, HOST, client, stranger)
    sandbox.close()


@asynccontextmanager
async def served(store: Path | str = ":memory:", *, clock: Clock | None = None, **more: Any) -> AsyncIterator[Bench]:
    """Over a real port."""
    clock = clock or Clock()
    sandbox = Sandbox(store, now=clock, sleep=clock.sleep, seconds=more.pop("seconds", 40), **more)
    embedded = SandboxServer(sandbox)
    urls = await embedded.start()
    host = urls["runapi"].removesuffix("/runapi")
    async with (
        httpx.AsyncClient(headers=opened(sandbox), event_hooks=HOOKS, timeout=60) as client,
        httpx.AsyncClient(timeout=60) as stranger,
    ):
        yield Bench(sandbox, clock, host, client, stranger)
    await embedded.stop()
    sandbox.close()


@dataclass(frozen=True)
class Protocol:
    """How a test orders at a vendor and asks after it, written from the vendor's documents."""

    vendor: str
    path: str
    body: dict[str, Any]
    job: str
    """Where the id stands in the answer to an order."""
    status: str
    """Path of the status, with {id}."""
    word: str
    url: str
    words: tuple[str, str, str]
    """Waiting, running, done."""
    schemas: tuple[str, str]
    """Stems of the answers' schemas: order, status."""
    result: str = ""
    """Path of the second call, where there is one."""
    fails_in_result: bool = True
    """Whether that is where a failure shows."""

    def at(self, reply: Any, dotted: str) -> Any:
        for name in dotted.split("."):
            reply = reply[int(name)] if isinstance(reply, list) else reply[name]
        return reply


WRITTEN_OUT = (
    Protocol(
        vendor="runapi",
        path="/api/v1/kling/text_to_video",
        body={
            "model": "kling-3.0",
            "prompt": "a paper boat",
            "duration_seconds": 3,
            "aspect_ratio": "9:16",
            "output_resolution": "720p",
            "enable_sound": True,
        },
        job="id",
        status="/api/v1/kling/text_to_video/{id}",
        word="status",
        url="videos.0.url",
        words=("pending", "processing", "completed"),
        schemas=("submit_response", "status_response"),
    ),
    Protocol(
        vendor="kling3api",
        path="/api/generate",
        body={
            "type": "std-text-to-video",
            "prompt": "a paper boat",
            "duration": 3,
            "aspect_ratio": "9:16",
            "sound": True,
        },
        job="data.task_id",
        status="/api/status?task_id={id}",
        word="data.status",
        url="data.response.0",
        words=("IN_PROGRESS", "IN_PROGRESS", "SUCCESS"),
        schemas=("generate_response", "status_response"),
    ),
    Protocol(
        vendor="octopusx",
        path="/v1/videos",
        body={
            "model": "Kling-3.0-Omni",
            "prompt": "a paper boat",
            "seconds": "5",
            "metadata": {
                "output_config": {
                    "duration": 5,
                    "resolution": "720P",
                    "aspect_ratio": "9:16",
                    "audio_generation": "Enabled",
                }
            },
        },
        job="id",
        status="/v1/videos/{id}",
        word="status",
        url="video_url",
        words=("queued", "processing", "completed"),
        schemas=("videos_response", "status_response"),
    ),
    Protocol(
        vendor="uniall",
        path="/v1/video/generations",
        body={"model": "kling-v3-std-audio", "prompt": "a paper boat", "aspect_ratio": "9:16", "duration": 3},
        job="task_id",
        status="/v1/videos/{id}",
        word="status",
        url="video_url",
        words=("queued", "in_progress", "completed"),
        schemas=("generations_response", "status_response"),
    ),
    Protocol(
        vendor="runcomfy",
        path="/v1/models/kling/kling-3.0/standard/text-to-video",
        body={"prompt": "a paper boat", "duration": 3, "aspect_ratio": "9:16", "sound": True},
        job="request_id",
        status="/v1/requests/{id}/status",
        word="status",
        url="output.video",
        words=("in_queue", "in_progress", "completed"),
        schemas=("submit_response", "status_response"),
        result="/v1/requests/{id}/result?include_cost=true",
    ),
)
BY_VENDOR = {protocol.vendor: protocol for protocol in WRITTEN_OUT}


def protocol(vendor: str) -> Protocol:
    """The one written here, else what the vendor's cases show."""
    return BY_VENDOR.get(vendor) or Protocol(**recorded_vendors.protocol(vendor))


PROTOCOLS = tuple(protocol(name) for name in catalog.load().rehearsable)


async def order(bench: Bench, protocol: Protocol, **changes: Any) -> httpx.Response:
    """The vendor's ordinary order, with changes."""
    headers = changes.pop("headers", None)
    body = {**protocol.body, **changes}
    return await bench.client.post(f"{bench.host}/{protocol.vendor}{protocol.path}", json=body, headers=headers)


async def bought(bench: Bench, protocol: Protocol, **changes: Any) -> str:
    """The id of an order that was taken."""
    reply = await order(bench, protocol, **changes)
    assert reply.status_code == 200, reply.text
    return protocol.at(reply.json(), protocol.job)


async def look(bench: Bench, protocol: Protocol, job: str, *, result: bool = False) -> httpx.Response:
    path = (protocol.result if result else protocol.status).format(id=job)
    return await bench.client.get(f"{bench.host}/{protocol.vendor}{path}")


async def link(bench: Bench, protocol: Protocol, job: str) -> str:
    """The address of a finished clip."""
    reply = await look(bench, protocol, job, result=bool(protocol.result))
    return protocol.at(reply.json(), protocol.url)


def problems(vendor: str, stem: str, body: Any) -> list[str]:
    schema = json.loads((places.schemas() / vendor / f"{stem}.json").read_text(encoding="utf-8"))
    return [error.message for error in Draft202012Validator(schema).iter_errors(body)]
