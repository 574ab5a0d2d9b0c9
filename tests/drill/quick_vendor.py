"""The stub's protocol over HTTP, as fast as one event loop can: for many processes, and for measuring."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CLIP = b"\0\0\0\x14ftypisom\0\0\2\0iso2" + b"\0\0\0\x6cmoov" + bytes(100) + b"\0\0\x08\x08mdat" + bytes(range(256)) * 8


@dataclass
class QuickVendor:
    """Jobs that are done after `takes(number)` seconds."""

    takes: Callable[[int], float] = lambda number: 1.0
    delay_s: float = 0.0
    clip: bytes = CLIP
    submits: Counter[str] = field(default_factory=Counter)
    looks: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    downloads: Counter[str] = field(default_factory=Counter)
    ends: dict[str, float] = field(default_factory=dict)
    seen_done: dict[str, float] = field(default_factory=dict)
    connections: int = 0
    requests: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def numbers(self) -> dict[str, Any]:
        """What a measurement wants to know."""
        lags = [seen - self.ends[job] for job, seen in self.seen_done.items()]
        return {
            "requests": self.requests,
            "connections": self.connections,
            "looks": sum(sum(names.values()) for names in self.looks.values()),
            "done": {job: sum(self.looks[job].values()) for job in self.seen_done},
            "lags": lags,
            "downloads": sum(self.downloads.values()),
        }

    async def serve(self, ready: Callable[[], None]) -> None:
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, limit=1 << 20)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        async with server:
            await server.serve_forever()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                first, *lines = head.decode("latin1").split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = first.split(" ")
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                kind, answer = self._answer(method, path, headers, body)
                writer.write(
                    f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                    + answer
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[str, bytes]:
        self.requests += 1
        now = time.time()
        if method == "POST":
            self.submits[json.loads(body)["prompt"]] += 1
            number = len(self.ends) + 1
            job = f"job-{number}"
            self.ends[job] = now + self.takes(number)
            return "application/json", json.dumps({"id": job, "status": "pending"}).encode()
        if path == "/numbers":
            return "application/json", json.dumps(self.numbers()).encode()
        job = path.rsplit("/", 1)[1].removesuffix(".mp4")
        if path.startswith("/files/"):
            self.downloads[job] += 1
            return "video/mp4", self.clip
        self.looks[job][headers.get("x-process", "")] += 1
        # An id that begins with a moment is a job that ends then: jobs nobody ordered here.
        self.ends.setdefault(job, float(job.partition("-")[0]) if "." in job else now)
        answer: dict[str, Any] = {"id": job, "status": "processing"}
        if now >= self.ends[job]:
            self.seen_done.setdefault(job, now)
            answer = {"id": job, "status": "completed", "videos": [f"{self.url}/files/{job}.mp4"], "cost": 0.5}
        return "application/json", json.dumps(answer).encode()


@contextmanager
def serving(vendor: QuickVendor) -> Iterator[QuickVendor]:
    """The vendor in a thread of its own."""
    ready = threading.Event()
    loop = asyncio.new_event_loop()

    def run() -> None:
        asyncio.set_event_loop(loop)
        serving_now = loop.create_task(vendor.serve(ready.set))
        try:
            loop.run_until_complete(serving_now)
        except asyncio.CancelledError:
            rest = asyncio.all_tasks(loop)
            for each in rest:
                each.cancel()
            loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        finally:
            loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield vendor
    finally:
        loop.call_soon_threadsafe(lambda: [each.cancel() for each in asyncio.all_tasks(loop) if "serve" in repr(each)])
        thread.join(5)


if __name__ == "__main__":
    alone = QuickVendor(takes=lambda number: 10_000.0)
    asyncio.run(alone.serve(lambda: print(alone.url, flush=True)))
