"""A process that plays the vendors until it is ended: `python vendors.py STORE SECONDS [HOST [drawing]]`.

With `drawing`, clips are what was ordered. `GET /counted/VENDOR` tells what this vendor was asked at most at once, and in
any one second.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.responses import JSONResponse

from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import HOST, configuration, listen, urls, variables


@dataclass
class Count:
    """What one vendor was asked."""

    now: int = 0
    at_once: int = 0
    in_a_second: int = 0
    calls: int = 0
    files: int = 0
    """Clips that were asked for, which no limit counts."""
    last: deque[float] = field(default_factory=deque)

    def begins(self) -> None:
        at = time.monotonic()
        self.calls += 1
        self.now += 1
        self.at_once = max(self.at_once, self.now)
        self.last.append(at)
        while self.last[0] <= at - 1.0:
            self.last.popleft()
        self.in_a_second = max(self.in_a_second, len(self.last))

    def told(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("at_once", "in_a_second", "calls", "files")}


class Counted:
    """The vendors, with a count of each one's calls."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.counts: dict[str, Count] = defaultdict(Count)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        vendor, _, rest = scope.get("path", "").lstrip("/").partition("/")
        if vendor == "counted":
            await JSONResponse(self.counts[rest].told())(scope, receive, send)
            return
        count = self.counts[vendor]
        if rest.startswith("files/"):
            count.files += 1
            await self.app(scope, receive, send)
            return
        count.begins()
        under_way = True

        async def sent(message: Any) -> None:
            nonlocal under_way
            # Before it leaves: whoever has the answer may call again at once.
            if under_way and message["type"] == "http.response.body" and not message.get("more_body"):
                under_way = False
                count.now -= 1
            await send(message)

        try:
            await self.app(scope, receive, sent)
        finally:
            count.now -= under_way


def main(store: str, seconds: str, host: str = HOST, drawing: str = "") -> None:
    box = Sandbox(store, now=time.time, seconds=float(seconds), rendering=bool(drawing))
    listener = listen(host, 0)
    print(json.dumps({**variables(urls(listener)), "KLING_SANDBOX_CONTROL": box.control_key}), flush=True)
    serving = configuration(box)
    serving.app = Counted(serving.app)
    asyncio.run(uvicorn.Server(serving).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
