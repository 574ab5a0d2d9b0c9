"""A process that plays the vendors until it is ended: `python vendors.py STORE SECONDS [drawing]`; with `drawing`, clips are what was ordered."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvicorn

from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import HOST, configuration, listen, urls, variables


def main(store: str, seconds: str, drawing: str = "") -> None:
    box = Sandbox(store, now=time.time, seconds=float(seconds), rendering=bool(drawing))
    listener = listen(HOST, 0)
    print(json.dumps({**variables(urls(listener)), "KLING_SANDBOX_CONTROL": box.control_key}), flush=True)
    asyncio.run(uvicorn.Server(configuration(box)).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
