"""A vendor over raw lines of loopback: RunComfy's protocol, or RunAPI's, or what a test likes in place of an answer.

    async with hostile(tmp_path, status=reply(200, DONE)) as (vendor, buyer):
        task = await ordered(buyer)

An answer is bytes, written as they are before the line is closed, or a coroutine that is given the line.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.services import service

from mcp_server import catalog
from mcp_server.answers.shapes import TaskAnswer
from mcp_server.clock import Clock
from mcp_server.domain.arguments import VideoArguments
from mcp_server.service import Service

KEY = "sk-MARKED-0123456789"
Talk = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]
Answer = bytes | Talk


@dataclass(frozen=True)
class Asked:
    line: str
    headers: dict[str, str]
    body: bytes


def reply(status: int, body: Any = "", headers: dict[str, str] | None = None, *, length: int | None = None) -> bytes:
    """A whole answer; `length` lies about its size."""
    data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    given = {"Content-Length": str(len(data) if length is None else length), "Connection": "close", **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + data


def box(kind: bytes, content: bytes = b"") -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


CLIP = box(b"ftyp", b"isom\0\0\2\0isomiso2") + box(b"moov", bytes(100)) + box(b"mdat", bytes(range(256)) * 40)
"""The least that parses to its end as a clip."""


@dataclass
class Hurry:
    """Time that goes faster once the first order has come: an order itself is given the time it needs."""

    times: float
    rate: float = 20.0
    _from: tuple[float, float] = field(default_factory=lambda: (time.monotonic(), time.monotonic()))
    _day: float = field(default_factory=lambda: time.time() - time.monotonic())

    def monotonic(self) -> float:
        real, ours = self._from
        return ours + (time.monotonic() - real) * self.rate

    def begin(self) -> None:
        self._from = time.monotonic(), self.monotonic()
        self.rate = self.times

    async def sleep(self, seconds: float) -> None:
        end = self.monotonic() + seconds
        while (left := end - self.monotonic()) > 0:
            await asyncio.sleep(min(left / self.rate, 0.01))

    @property
    def clock(self) -> Clock:
        return Clock(now=lambda: self._day + self.monotonic(), monotonic=self.monotonic, sleep=self.sleep)


@dataclass
class HostileVendor:
    """Sells every clip at once; each step's answers are taken one after the other, and the last one stays."""

    hurry: Hurry
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, Asked]] = field(default_factory=list)
    url: str = ""
    job: str = "job-1"
    """Its name for whatever is ordered."""
    lines: int = 0

    def count(self, step: str) -> int:
        return sum(one == step for one, _ in self.asked)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        try:
            await self.answer(await asked_on(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # Cancelled with the loop, a talk that nobody waits for would be told as an error by Python 3.11.
            pass
        finally:
            writer.close()

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        step = step_of(asked.line)
        self.asked.append((step, asked))
        if step in ("status", "result", "clip"):
            self.hurry.begin()
        left = self.answers.get(step) or [self.honest(step)]
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(asked, writer)

    def honest(self, step: str) -> bytes:
        clip = f"{self.url}/clip/{self.job}.mp4"
        match step:
            case "submit":
                return reply(200, {"request_id": self.job, "id": self.job, "status": "in_queue"})
            case "result":
                return reply(200, {"status": "completed", "output": {"video": clip}})
            case "status":
                return reply(200, {"status": "completed", "id": self.job, "videos": [{"url": clip}]})
            case "cancel":
                return reply(200, {"outcome": "cancelled"})
            case "clip":
                return reply(200, CLIP)
            case "prepare":
                return reply(200, {"signed_id": "up-1", "upload_url": f"{self.url}/store/up-1", "headers": {}})
            case "confirm":
                return reply(200, {"url": "https://files.runapi.ai/up-1"})
            case _:
                return reply(200, {})


async def asked_on(reader: asyncio.StreamReader) -> Asked:
    """The next request on this line, whole."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
    first, *lines = head.rstrip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Asked(first, headers, await reader.readexactly(int(headers.get("content-length", 0))))


def step_of(line: str) -> str:
    method, path, _ = line.split(" ", 2)
    known = ("clip", "result", "cancel", "prepare", "confirm", "store", "balance", "price")
    for step in known:
        if step in path:
            return step
    return "submit" if method == "POST" else "status"


@asynccontextmanager
async def hostile(
    folder: Path, *, times: float = 200, variables: dict[str, str] | None = None, **answers: Answer | list[Answer]
) -> AsyncIterator[tuple[HostileVendor, Service]]:
    """The vendor, and somebody who buys from it."""
    hurry = Hurry(times)
    vendor = HostileVendor(
        hurry, {step: list(said) if isinstance(said, list) else [said] for step, said in answers.items()}
    )
    server = await asyncio.start_server(vendor.talk, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    known = catalog.load().providers.values()
    keys = {facts.key_variable: KEY for facts in known}
    bases = {facts.base_url_variable: vendor.url for facts in known}
    buyer = service(folder, clock=hurry.clock, **{**keys, **bases, **(variables or {})})
    buyer.runner.dispatcher.poller.fetch.saver.resolve = buyer.runner.intake.resolve = nowhere
    try:
        yield vendor, buyer
    finally:
        await buyer.runner.close(grace_s=0)
        await buyer.close()
        server.close()


async def nowhere(host: str, port: int) -> list[str]:
    """No name is looked up outside: whatever it is, it leads inside a network."""
    return ["10.0.0.1"]


async def early_hints(_: Asked, writer: asyncio.StreamWriter) -> None:
    """`103 Early Hints`, and never the answer they hint at."""
    while True:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 200)
        await writer.drain()


def order(**more: Any) -> VideoArguments:
    wanted = {"prompt": "a paper boat", "model": "kling-3.0", "tier": "pro", "duration": 5, "provider": "runcomfy"}
    return VideoArguments.model_validate(wanted | {"max_cost_usd": 9} | more)


async def ordered(buyer: Service, *, until: str | tuple[str, ...] = (), wait_s: float = 9, **more: Any) -> TaskAnswer:
    """One clip ordered through the service, as it stands when it has ended or come to one of these states."""
    task = await buyer.generate(order(**more), confirmed=True, wait_s=wait_s)
    return await became(buyer, task.task_id, until)


async def became(buyer: Service, task_id: str, until: str | tuple[str, ...] = ()) -> TaskAnswer:
    states = (until,) if isinstance(until, str) else until
    async with asyncio.timeout(60):
        while True:
            (task,) = await buyer.get([task_id], wait_s=0)
            if task.state in (states or ("succeeded", "failed", "cancelled", "uncertain")):
                return task
            await asyncio.sleep(0.003)


def plain(text: str) -> str:
    """Without anything a terminal would act on."""
    return re.sub(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", "", text)
