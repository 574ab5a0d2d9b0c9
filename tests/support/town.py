"""The sandbox in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer


class Town:
    """The sandbox in a thread of its own: these clients block."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    def __enter__(self) -> Town:
        self._thread.start()
        assert self._up.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(10)

    async def _run(self) -> None:
        self._loop, self._done = asyncio.get_running_loop(), asyncio.Event()
        sandbox = Sandbox(self._store, now=time.time, seconds=0.1, rendering=False)
        self.sandbox = sandbox
        embedded = SandboxServer(sandbox)
        self.urls = await embedded.start()
        self._up.set()
        await self._done.wait()
        await embedded.stop()
        sandbox.close()

    def fault(self, vendor: str, kind: str, count: int = 1, value: str = "") -> None:
        self.sandbox.store.set_fault(vendor, kind, count, value)
