"""1,000 submits and 1,000 status looks through one process: our transport and adapter beside bare httpx.

    python benchmarks/transport.py [calls] [rounds]

The vendor is a process of its own on loopback. Both sides send the same bytes to it, with as many calls at once as the
provider's facts allow, parse the answer and take the job's id or state out of it. Ours does besides what it is for:
turns per vendor, the adapter's reading with exact numbers, its refusals. Rounds alternate; the middle one counts.

HTTP/2 is not used. Measured in November 2026 with httpx's own (h2 4.4, prior knowledge, the same submits, four at once
as here): 0.94 ms of CPU per call against 1.07, 383 calls/s against 368. A tenth of a millisecond is no gain where a few
calls a second are made; and all calls to a vendor would share one connection, so that when it breaks, the
answers to all paid calls in flight are lost together, each of them a task that may have been charged. (With 64 at once
in one pool it was 1.03 against 2.38: httpcore goes through its pool for every call. Our pools are small instead.)
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import httpx

from mcp_server import catalog
from mcp_server.domain.request import CheckedRequest, VideoRequest
from mcp_server.domain.task import Job
from mcp_server.ordering import validation
from mcp_server.providers import wire
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.json_bodies import encode
from mcp_server.providers.transport import Transport
from mcp_server.settings import Secret

AIM = 1.3
Work = Callable[[list[HttpCall]], Awaitable[None]]


class Vendor:
    """UniAll's two answers, from memory, over kept-alive connections; `GET /connections` tells how many there were."""

    def __init__(self) -> None:
        self.connections = 0
        self.jobs = 0

    async def serve(self) -> None:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        async with server:
            await server.serve_forever()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.lower().split(b"\r\n")
                length = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                await reader.readexactly(length)
                body = json.dumps(self.answer(*head.split(b" ", 2)[:2])).encode()
                writer.write(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: r\r\n"
                    b"Content-Length: %d\r\n\r\n" % len(body) + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, method: bytes, path: bytes) -> dict[str, object]:
        if path == b"/connections":
            return {"connections": self.connections}
        self.jobs += method == b"POST"
        job = f"job_{self.jobs}" if method == b"POST" else path.decode().rpartition("/")[2]
        return {"id": job, "task_id": job, "object": "video.generation.job", "status": "queued", "progress": 0}


async def ours(account: Account, calls: list[HttpCall]) -> None:
    """Every call through the transport, every answer through the adapter."""
    adapter = wire(account.facts)
    transport = Transport(now=time.time)

    async def one(call: HttpCall) -> None:
        async with transport.slot(account):
            reply = await transport.send(account, call)
        if call.paid:
            assert adapter.read_submit(reply).id
        else:
            assert adapter.read_status(Job(id="x"), reply).state == "queued"

    await asyncio.gather(*(one(call) for call in calls))
    await transport.aclose()


async def bare(account: Account, calls: list[HttpCall]) -> None:
    """The same bytes with httpx alone."""
    turns = asyncio.Semaphore(account.facts.concurrency)
    assert account.secret is not None
    headers = {
        "Authorization": f"Bearer {account.secret.value}",
        "Accept": "application/json",
        "Content-Type": "application/json",
    }
    async with httpx.AsyncClient(base_url=account.base_urls["api"], headers=headers) as client:

        async def one(call: HttpCall) -> None:
            async with turns:
                content = None if call.json is None else encode(call.json)
                reply = await client.request(call.method, call.path, content=content)
            assert reply.status_code == 200
            assert reply.json()["id" if call.paid else "status"]

        await asyncio.gather(*(one(call) for call in calls))


async def measured(work: Callable[[], Awaitable[None]], account: Account, calls: int) -> dict[str, float]:
    before = await connections(account)
    cpu, begun = time.process_time(), time.perf_counter()
    await work()
    took, used = time.perf_counter() - begun, time.process_time() - cpu
    return {
        "requests_per_s": calls / took,
        "cpu_ms_per_request": used * 1000 / calls,
        # The two questions of this function are connections of their own.
        "connections": await connections(account) - before - 1,
    }


async def connections(account: Account) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"{account.base_urls['api']}/connections")).json()["connections"])


def orders(account: Account, count: int) -> tuple[list[HttpCall], list[HttpCall]]:
    """Paid calls, and looks, as the adapter makes them."""
    offer = catalog.load().offer("uniall/kling-3.0/standard/text-to-video")
    checked = validation.check(VideoRequest(prompt="a paper boat on a canal, slow push-in"), offer)
    assert isinstance(checked, CheckedRequest)
    adapter = wire(account.facts)
    submits = [adapter.submit(checked, key=f"task_{number}") for number in range(count)]
    return submits, [adapter.status(Job(id=f"job_{number}"), offer) for number in range(count)]


async def compared(port: int, count: int, rounds: int) -> dict[str, object]:
    facts = catalog.load().providers["uniall"]
    account = Account(facts=facts, base_urls={"api": f"http://127.0.0.1:{port}"}, secret=Secret("sk-benchmark", "here"))
    report: dict[str, object] = {}
    for what, calls in zip(("submits", "status looks"), orders(account, count), strict=True):
        sides: dict[str, list[dict[str, float]]] = {"ours": [], "bare httpx": []}
        for number in range(rounds + 1):
            for name, work in (("ours", ours), ("bare httpx", bare)):
                found = await measured(lambda w=work, c=calls: w(account, c), account, count)
                if number:  # the first round warms up
                    sides[name].append(found)
        middle = {
            name: {key: statistics.median(one[key] for one in found) for key in found[0]}
            for name, found in sides.items()
        }
        ratio = middle["ours"]["cpu_ms_per_request"] / middle["bare httpx"]["cpu_ms_per_request"]
        report[f"{count} {what}"] = {
            **{name: {key: round(value, 2) for key, value in found.items()} for name, found in middle.items()},
            "cpu_ratio": round(ratio, 2),
            "time_ratio": round(middle["bare httpx"]["requests_per_s"] / middle["ours"]["requests_per_s"], 2),
            "within_aim": ratio <= AIM,
        }
    return report


def main(count: int, rounds: int) -> None:
    vendor = subprocess.Popen([sys.executable, __file__, "vendor"], stdout=subprocess.PIPE, text=True)
    try:
        assert vendor.stdout is not None
        port = int(vendor.stdout.readline())
        report: dict[str, object] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "at_once": catalog.load().providers["uniall"].concurrency,
            "rounds": rounds,
            "aim": AIM,
        }
        print(json.dumps(report | asyncio.run(compared(port, count, rounds)), indent=1))
    finally:
        vendor.kill()
        vendor.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["vendor"]:
        asyncio.run(Vendor().serve())
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000, int(sys.argv[2]) if len(sys.argv) > 2 else 5)
