"""The studio's place on the HTTP server: beside MCP, or by itself; imported when its first page is asked for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
from mcp.server.transport_security import TransportSecurityMiddleware
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Mount, Route

from mcp_server.studio.sessions import PATH, Caller, Sessions

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from mcp.server.auth.provider import TokenVerifier
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from mcp_server.server.lazy_service import LazyService
    from mcp_server.service import Service

CLOSE_S: Final = 10.0
"""How long the end may take: as long as an order may."""


def sessions_for(
    address: str,
    hosts: TransportSecuritySettings,
    verifier: TokenVerifier | None,
    *,
    now: Callable[[], float],
    announce: Callable[[str], None],
) -> Sessions:
    """The studio's door, with the same hosts and the same tokens as the rest of the server."""
    from mcp_server.server.caller import owner_of

    check = TransportSecurityMiddleware(hosts)

    async def refused(request: Request) -> Response | None:
        return await check.validate_request(request)

    async def verify(token: str) -> Caller | None:
        found = None if verifier is None else await verifier.verify_token(token)
        return None if found is None else Caller(owner_of(found), found.expires_at)

    return Sessions(
        address=address,
        refused=refused,
        verify=None if verifier is None else verify,
        now=now,
        announce=announce,
    )


def opened_by(sessions: Sessions) -> str:
    """What is said of it at the start."""
    if sessions.verify is not None:
        return f"Studio at {sessions.address}/, for whoever brings a token"
    return f"Studio, opened once by this link: {sessions.link}"


def mount(sessions: Sessions, ready: Callable[[], Awaitable[Service]]) -> Mount:
    """The studio below its path, made when somebody comes."""
    made: list[ASGIApp] = []

    async def studio(scope: Scope, receive: Receive, send: Send) -> None:
        if not made:
            from mcp_server.studio.app import create_app

            made.append(create_app(sessions, ready))
        await made[0](scope, receive, send)

    return Mount(PATH, app=studio)


def alone(sessions: Sessions, services: LazyService) -> Starlette:
    """The studio by itself: no MCP on this port."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        services.replied()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(services.resume)
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                with anyio.move_on_after(CLOSE_S, shield=True):
                    await services.close()

    async def home(_request: Request) -> Response:
        return RedirectResponse(f"{PATH}/", 303)

    return Starlette(routes=[Route("/", home), Route(PATH, home), mount(sessions, services.ready)], lifespan=lifespan)
