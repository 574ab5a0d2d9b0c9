"""Smaller copies from an event loop: each made once, however often it is asked for, and one at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Final

from mcp_server.media import isolated
from mcp_server.media.fitted_copy import FittedCopy
from mcp_server.media.progress import Progress

_BEGUN: Final = Progress(done=0, remaining_s=None, step="measuring")


@dataclass
class _Making:
    work: asyncio.Task[FittedCopy]
    progress: Progress = _BEGUN

    def heard(self, progress: Progress) -> None:
        self.progress = progress


@dataclass
class Copies:
    """The copies of one process. A 4K clip takes a minute, longer than a client waits: who asks again finds it."""

    _making: dict[tuple[str, float], _Making] = field(default_factory=dict[tuple[str, float], _Making])
    _turn: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))

    async def get(self, path: str, megabytes: float, *, wait_s: float | None = None) -> FittedCopy | Progress:
        """The copy; after `wait_s` how far it is, and it goes on. Errors as `isolated.fit`."""
        key = (path, megabytes)
        making = self._making.get(key)
        if making is None:
            making = self._making[key] = _Making(asyncio.ensure_future(self._made(key)))
        await asyncio.wait({making.work}, timeout=wait_s)
        return making.work.result() if making.work.done() else making.progress

    async def close(self) -> None:
        """End what is being made; no half file stays."""
        left = [making.work for making in self._making.values()]
        for work in left:
            work.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _made(self, key: tuple[str, float]) -> FittedCopy:
        try:
            async with self._turn:
                return await isolated.fit(*key, self._making[key].heard)
        finally:
            del self._making[key]
