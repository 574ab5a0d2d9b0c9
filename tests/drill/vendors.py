"""A process that plays the vendors until it is ended: `python vendors.py STORE SECONDS`."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import uvicorn

from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import HOST, configuration, listen, urls, variables


def main(store: str, seconds: str) -> None:
    box = Sandbox(store, now=time.time, seconds=float(seconds), rendering=False)
    listener = listen(HOST, 0)
    print(json.dumps(dict(variables(urls(listener)))), flush=True)
    asyncio.run(uvicorn.Server(configuration(box)).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
