"""Telling a client that a task it watches has changed, on both ways the protocol knows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from mcp.server.subscriptions import ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from mcp_server.errors import KlingError
from mcp_server.server.caller import owner

if TYPE_CHECKING:
    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
    from mcp.server.subscriptions import SubscriptionBus

    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.server.lazy_service import LazyService

LOOK_S = 25.0
"""How long one look waits for a change."""
SCHEMES = ("task://", "film://", "video://")
AT_MOST = 100
"""Resources one client may watch: each is a look at the record that never ends."""
ADDRESS_MAX = 200


class Watching:
    """Follows tasks only while somebody watches them."""

    def __init__(self, services: LazyService, bus: SubscriptionBus) -> None:
        self._services = services
        self._bus = bus
        # By address alone: only stdio serves these methods, and there one process has one client.
        self._subscribed: dict[str, asyncio.Task[None]] = {}

    async def middleware(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """While a listen stream is open, publish changes of the tasks it names (2026-07-28)."""
        if ctx.method != "subscriptions/listen":
            return await call_next(ctx)
        wanted = cast("dict[str, Any]", (ctx.params or {}).get("notifications") or {})
        uris = [str(uri) for uri in wanted.get("resourceSubscriptions") or ()]
        _refuse_many(uris)

        async def publish(uri: str) -> None:
            await self._bus.publish(ResourceUpdated(uri=uri))

        watchers = [asyncio.create_task(self._follow(uri, publish, owner())) for uri in _tasks_of(uris)]
        try:
            return await call_next(ctx)
        finally:
            for watcher in watchers:
                watcher.cancel()

    async def subscribe(self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams) -> EmptyResult:
        """Send updates of one resource to this session until it says stop (up to 2025-11-25)."""
        _refuse_many({*self._subscribed, str(params.uri)})
        for uri in _tasks_of([params.uri]):
            self._stop(uri)
            self._subscribed[uri] = asyncio.create_task(self._follow(uri, ctx.session.send_resource_updated, owner()))
        return EmptyResult()

    async def unsubscribe(self, _ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams) -> EmptyResult:
        """No more updates of this resource."""
        self._stop(params.uri)
        return EmptyResult()

    def _stop(self, uri: str) -> None:
        if watcher := self._subscribed.pop(uri, None):
            watcher.cancel()

    async def _follow(self, uri: str, tell: Callable[[str], Awaitable[None]], of: str) -> None:
        task_id = uri.partition("://")[2]

        async def changed(_found: Sequence[OrderedAnswer]) -> None:
            await tell(uri)

        # A task that is not there, or not this caller's, never changes.
        with suppress(KlingError):
            service = await self._services.ready()
            while True:
                found = await service.get_any([task_id], wait_s=LOOK_S, owner=of, on_progress=changed)
                if found[0].finished_at:
                    await tell(uri)
                    return


def _tasks_of(uris: Iterable[str]) -> list[str]:
    return [uri for uri in uris if uri.startswith(SCHEMES)]


def _refuse_many(uris: Collection[str]) -> None:
    """Nothing, or the refusal of more than anybody watches."""
    if len(uris) > AT_MOST or any(len(uri) > ADDRESS_MAX for uri in uris):
        raise MCPError(INVALID_PARAMS, f"At most {AT_MOST} resources can be watched, of {ADDRESS_MAX} characters")
