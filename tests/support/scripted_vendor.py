"""A vendor on loopback that answers what it is told to, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Asked:
    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Vendor:
    """Answers on loopback what it is told to, one after the other, and then always `{}`."""

    answers: list[Any] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    connections: int = 0
    inside: int = 0
    most_inside: int = 0
    hold: asyncio.Event | None = None
    url: str = ""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin1")
                first, *lines = head.rstrip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append(Asked(first, headers, body))
                answer = self.answers.pop(0) if self.answers else (200, "{}", {})
                if self.hold:
                    self.inside += 1
                    self.most_inside = max(self.most_inside, self.inside)
                    await self.hold.wait()
                    self.inside -= 1
                if answer == "drop":
                    return
                status, text, more = answer
                extra = "".join(f"{name}: {value}\r\n" for name, value in more.items())
                size = len(text.encode())
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {size}\r\n{extra}\r\n{text}".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving(vendor: Vendor) -> AsyncIterator[Vendor]:
    server = await asyncio.start_server(vendor.talk, "127.0.0.1", 0)
    vendor.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield vendor
    finally:
        server.close()
