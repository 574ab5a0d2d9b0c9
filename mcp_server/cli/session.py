"""One command's use of the service: opened, used, closed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from mcp_server.service import Service

T = TypeVar("T")


@contextlib.asynccontextmanager
async def opened() -> AsyncGenerator[Service]:
    """The service from the environment; unfinished tasks go on while it is open, and after it elsewhere."""
    from mcp_server.composition import build

    service = build()
    try:
        await service.start()
        yield service
    finally:
        await service.close()


def run(work: Callable[[Service], Coroutine[Any, Any, T]]) -> T:
    """The result of the work with a service."""
    # Imported here: a wrong flag is refused without it.
    import asyncio

    from mcp_server.cli.formatting import harmless_log
    from mcp_server.cli.interrupt import Departure

    harmless_log()
    departure = Departure()

    async def story() -> T:
        async with opened() as service:
            return await work(service)

    async def heard() -> T:
        # The signal cancels the story and not what runs it: closing the service belongs to it, and is waited for.
        telling = asyncio.ensure_future(story())
        undo = departure.cancels(telling)
        try:
            return await telling
        finally:
            undo()

    try:
        return asyncio.run(heard())
    except (asyncio.CancelledError, OSError):
        if not departure.told:
            raise
        sys.exit(128 + departure.told)
