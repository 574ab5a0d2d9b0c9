"""The one service behind every tool, made at the first call that needs it and not before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from mcp_server.server.turns import settled

if TYPE_CHECKING:
    from mcp_server.service import Service
    from mcp_server.settings import Settings

RESUME_AFTER_S = 0.5
"""Between the first reply and looking after what an earlier process left unfinished."""


def make_service() -> Service:
    """The real one, from the environment."""
    from mcp_server.composition import build

    return build()


def make_worker() -> Service:
    """The same, and it follows what anybody ordered in a shared record."""
    from mcp_server.composition import build

    return build(worker=True)


class LazyService:
    """The service, made at the first call; nothing is opened or started before.

    What it takes to make it is imported and read beside the loop, which goes on answering.
    """

    def __init__(self, settings: Settings, make: Callable[[], Service], *, at_once: bool = False) -> None:
        self.settings = settings
        self._make = make
        self._at_once = at_once
        self._service: Service | None = None
        self._started = False
        self._loading = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._replied = asyncio.Event()

    async def loaded(self) -> Service:
        """The service, for calls that only read facts and price."""
        if self._service is None:
            async with self._loading:
                if self._service is None:
                    self._service = await asyncio.to_thread(self._load)
                    settled()
        return self._service

    async def load_ahead(self) -> None:
        """Everything that any call needs, before the first: of many callers none shall wait for it."""
        await asyncio.to_thread((await self.loaded()).load)
        await self._load_buying()

    async def ready(self) -> Service:
        """The service with unfinished tasks taken up again, for calls that touch the record."""
        service = await self.loaded()
        if not self._started:
            async with self._starting:
                if not self._started:
                    await self._load_buying()
                    await service.start()
                    self._started = True
        return service

    def replied(self) -> None:
        """A client has had its first reply."""
        self._replied.set()

    async def resume(self) -> None:
        """A moment after the first reply, take up unfinished tasks; without a record there is nothing to do.

        A worker that also serves does not wait for anybody.
        """
        if not self._at_once:
            await self._replied.wait()
            await asyncio.sleep(RESUME_AFTER_S)
        if self.settings.has_record:
            await self.ready()

    async def close(self) -> None:
        """Close the service; nothing was bought through one that was never made."""
        if self._service is not None:
            await self._service.close()

    def _load(self) -> Service:
        from mcp_server.server.tools import arguments

        del arguments
        service = self._make()
        service.load_catalog()
        return service

    async def _load_buying(self) -> None:
        from mcp_server import composition

        await asyncio.to_thread(composition.load_buying)
        settled()
