"""Everything tests/hostile plays, at once and from processes of its own: `python -m drill.besiegers vendor`, `… clients ADDRESS`.

The vendor knows each order by the name in its prompt, and later by the job it gave it.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import httpx
from hostile.test_answers import (
    CODINGS,
    MAD,
    QUOTED,
    SPELT,
    bomb,
    brackets,
    drip,
    headers_without_end,
    one_header_line,
    quoted,
)
from hostile.test_clients import BAITS, UNREAD
from hostile.test_downloads import SHORT
from hostile.test_tool_fuzz import drawn
from hostile.test_words import NASTY, WORDED, worded
from support.hostile_vendor import CLIP, Answer, Asked, HostileVendor, Hurry, asked_on, early_hints, reply
from support.mcp_wire import MODERN, Web

HALF_OPEN = 150
"""Lines that begin a request and never end it; the server closes each after ten seconds."""
BEGUN = (b"", b"POST /mcp HT", b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nA: ")
PUSHED = 12
"""Times that each bait is thrown."""


def endless(head: bytes, piece: bytes, pause_s: float = 0.0) -> Callable[[Asked, asyncio.StreamWriter], Any]:
    async def talk(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause_s)

    return talk


PAGE = endless(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\n\r\n<html>', b"<p>" * 20_000)
TRICKLE = endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", bytes(65_536), 0.2)
FLOOD = endless(b"HTTP/1.1 200 OK\r\n\r\n" + CLIP, bytes(65_536))
HEADS = (early_hints, headers_without_end, one_header_line, drip)


@cache
def scenarios() -> dict[str, tuple[str, dict[str, list[Answer]]]]:
    """Name → the vendor it is played at, and the answers by step. What holds a line for long is played at one vendor of its own."""
    found: dict[str, tuple[str, dict[str, Any]]] = {}

    def add(provider: str, **answers: Any) -> None:
        found[f"siege-{len(found):03}"] = provider, answers

    for step in ("submit", "status", "result", "clip"):
        for coding in CODINGS:
            add("runcomfy", **{step: reply(200, bomb(coding), {"Content-Encoding": coding})})
        for text in ("[],", "[" * 100):
            add("runcomfy", **{step: brackets(text)})
        for number in MAD:
            said = f'{{"request_id": "job-1", "status": "completed", "queue_position": {number}, "cost": {number}}}'
            add("runcomfy", **{step: reply(200, said)})
    for where in QUOTED:
        for spelling in SPELT.values():
            add("runcomfy", submit=quoted(where, spelling))
    for where in WORDED:
        for said in NASTY.values():
            add("runcomfy", **worded(where, said, job=f"siege-{len(found):03}"))
    for clips in SHORT.values():
        add("runcomfy", clip=[*clips, reply(200, CLIP)])
    for step in ("submit", "status", "clip"):
        for talk in HEADS:
            add("runapi", **{step: talk})
    for clip in (PAGE, TRICKLE, FLOOD):
        add("runapi", clip=clip)
    return {
        name: (provider, {step: said if isinstance(said, list) else [said] for step, said in answers.items()})
        for name, (provider, answers) in found.items()
    }


class Street:
    """One address for all of them."""

    def __init__(self) -> None:
        hurry = Hurry(1)
        self.steps = {name: set(answers) for name, (_, answers) in scenarios().items()}
        self.vendors = {
            name: HostileVendor(hurry, {step: list(said) for step, said in answers.items()}, job=name)
            for name, (_, answers) in scenarios().items()
        }

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = await asked_on(reader)
            if asked.line.startswith("GET /played "):
                writer.write(reply(200, self.played()))
                return
            named = re.search(r"(siege|honest)-\d+", asked.line + asked.body.decode(errors="replace"))
            name = named[0] if named else "honest-0"
            if name not in self.vendors:
                self.vendors[name] = HostileVendor(Hurry(1), url=self.url, job=name)
            await self.vendors[name].answer(asked, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def played(self) -> list[str]:
        """Whose hostile answer was asked for."""
        return [name for name, steps in self.steps.items() if any(self.vendors[name].count(step) for step in steps)]

    async def serve(self) -> None:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for vendor in self.vendors.values():
            vendor.url = self.url
        print(self.url, flush=True)
        await server.serve_forever()


async def half_open(host: str, port: int, number: int) -> None:
    """Begin a request, wait to be shown out, and begin another."""
    while True:
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(BEGUN[number % len(BEGUN)])
            await reader.read()
            writer.close()
        await asyncio.sleep(1)


async def push(http: httpx.AsyncClient, address: str) -> None:
    """Every line, every text and every drawn call that clients throw in the tests, some times over."""
    web = Web(http, address, MODERN)
    headers, _ = web.post("tools/call", {"name": "estimate_cost"})
    for _ in range(PUSHED):
        for line, _number in UNREAD:
            with suppress(httpx.HTTPError):
                await http.post(address, headers=headers, content=line, timeout=40)
        for bait in BAITS:
            with suppress(httpx.HTTPError):
                await web.send("tools/call", {"name": "estimate_cost", "arguments": {"request": bait}})
        for name, arguments in drawn():
            if name not in ("generate_video", "make_film", "cancel_task"):
                with suppress(httpx.HTTPError, ValueError):
                    await web.send("tools/call", {"name": name, "arguments": arguments})


async def clients(address: str) -> None:
    parts = urlsplit(address)
    lines = [
        asyncio.create_task(half_open(parts.hostname or "", parts.port or 80, number)) for number in range(HALF_OPEN)
    ]
    async with httpx.AsyncClient() as http:
        await push(http, address)
    for line in lines:
        line.cancel()
    print(json.dumps({"pushed": PUSHED * (len(UNREAD) + len(BAITS))}), flush=True)


if __name__ == "__main__":
    asyncio.run(Street().serve() if sys.argv[1] == "vendor" else clients(sys.argv[2]))
