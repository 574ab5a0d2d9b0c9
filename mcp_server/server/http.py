"""MCP over streamable HTTP: stateless, one process, tasks visible only to the token that bought them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl

from mcp_server.clock import Clock
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.providers.network import is_loopback
from mcp_server.server import callbacks, observed
from mcp_server.server.auth import IssuedToken, SharedToken
from mcp_server.server.lazy_service import LazyService, make_service, make_worker
from mcp_server.server.server import build_server
from mcp_server.server.studio_mount import alone, mount, opened_by, sessions_for
from mcp_server.studio.sessions import PATH as STUDIO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from mcp.server.auth.provider import TokenVerifier
    from starlette.applications import Starlette

    from mcp_server.server.server import KlingServer
    from mcp_server.service import Service
    from mcp_server.settings import Settings

PATH = "/mcp"
GRACE_S = 2
"""How long an open stream may hold up the end."""
LARGEST_BODY = 32 * 1024 * 1024
"""A request may carry pictures as data: addresses."""
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


def _quiet(_line: str) -> None:
    """Nobody listens."""


def build_app(
    settings: Settings,
    *,
    host: str,
    port: int,
    make: Callable[[], Service] = make_service,
    clock: Clock | None = None,
    extra: Callable[[KlingServer], None] | None = None,
    announce: Callable[[str], None] = _quiet,
    worker: bool = False,
) -> Starlette:
    """The application, refusing what would let strangers buy."""
    clock = clock or Clock()
    auth, verifier = _checked(settings, host, port, clock)
    server = build_server(
        make,
        settings=settings,
        back_channel=False,
        auth=auth,
        token_verifier=verifier,
        extra=extra,
        at_once=worker,
    )

    for path, handler in observed.routes(server.services.ready, verifier).items():
        server.custom_route(path, ["GET"])(handler)
    if settings.public_url is not None:
        server.custom_route(callbacks.PATH, ["POST"])(callbacks.receiver(server.services.ready))

    # Stateless: clients of the older versions survive a restart, and nothing grows with the number of sessions.
    # Never json_response: it drops the progress notifications of the older versions.
    hosts = _rebinding(_in_address(host), settings.http_url, local=is_loopback(host))
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        stateless_http=True,
        max_request_body_size=LARGEST_BODY,
        transport_security=hosts,
    )
    sessions = sessions_for(_studio(settings, host, port), hosts, verifier, now=clock.now, announce=announce)
    app.router.routes.append(mount(sessions, server.services.ready))
    app.state.studio = opened_by(sessions)
    return app


def build_studio(
    settings: Settings,
    *,
    host: str,
    port: int,
    make: Callable[[], Service] = make_service,
    clock: Clock | None = None,
    announce: Callable[[str], None] = _quiet,
    opened: Callable[[str], None] = _quiet,
) -> Starlette:
    """The studio by itself, with the same rules; `opened` is told the link that opens it once."""
    clock = clock or Clock()
    _, verifier = _checked(settings, host, port, clock)
    hosts = _rebinding(_in_address(host), settings.http_url, local=is_loopback(host))
    sessions = sessions_for(_studio(settings, host, port), hosts, verifier, now=clock.now, announce=announce)
    announce(opened_by(sessions))
    if verifier is None:
        opened(sessions.link)
    return alone(sessions, LazyService(settings, make))


def build_worker_app(settings: Settings, *, host: str, port: int, ready: Callable[[], Awaitable[Service]]) -> Starlette:
    """What a worker shows of itself; with the same rules, for numbers of money stand in it."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    _, verifier = _checked(settings, host, port, Clock())
    return Starlette(routes=[Route(path, handler) for path, handler in observed.routes(ready, verifier).items()])


def bound(host: str, port: int) -> socket.socket:
    """A listener there, or the refusal."""
    return _bound(host, port)


def served_beside(app: Starlette, listener: socket.socket) -> Callable[[], Awaitable[None]]:
    """The application beside whatever else this process does, whose signals they stay; what ends it."""
    import uvicorn

    class Guest(uvicorn.Server):
        def capture_signals(self) -> contextlib.AbstractContextManager[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
            return contextlib.nullcontext()

    server = Guest(uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1))
    serving = asyncio.create_task(server.serve([listener]), name="kling-pages")

    async def end() -> None:
        server.should_exit = True
        await serving

    return end


def run(
    settings: Settings,
    *,
    host: str,
    port: int,
    announce: Callable[[str], None],
    build: Callable[[int], Starlette] | None = None,
    worker: bool = False,
) -> None:
    """Say where, and serve until a signal; open streams get a moment and no more. Without `build` it is MCP.

    A `worker` follows what anybody ordered, too.
    """
    import uvicorn

    from mcp_server.server import turns
    from mcp_server.server.connections import count_repeats

    with _bound(host, port) as listener:
        port = listener.getsockname()[1]
        if build is None:
            asks = settings.http_issuer or settings.http_token
            whom = "for whoever brings a token" if asks else "for this machine alone"
            make = make_worker if worker else make_service
            app = build_app(settings, host=host, port=port, make=make, announce=announce, worker=worker)
            announce(f"MCP at {_address(host, port)}, {whom}")
            announce(app.state.studio)
        else:
            app = build(port)
        # Python's own loop, also where another is installed: over uvloop `connections` opens no line to a vendor.
        made = partial(uvicorn.Config, app, http=_limited(), loop="asyncio", timeout_graceful_shutdown=GRACE_S)
        # As JSON everything is written by one handler.
        config = made(log_config=None, access_log=False) if settings.log_as_json else made(log_level="warning")
        count_repeats()
        server = uvicorn.Server(config)
        turns.share()
        turns.settled()
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # uvicorn knows the other two; a terminal that is closed is no reason to lose an answer either.
            signal.signal(signal.SIGHUP, server.handle_exit)
        server.run([listener])


def _checked(
    settings: Settings, host: str, port: int, clock: Clock
) -> tuple[AuthSettings | None, TokenVerifier | None]:
    """Who may come in, or the refusal of settings that would let everybody in."""
    own_address = settings.http_url or _address(host, port)
    auth, verifier = _who(settings, own_address, clock)
    settings.check()
    reached = next((name for name in (host, urlsplit(own_address).hostname or "") if not is_loopback(name)), None)
    if verifier is None and reached is not None:
        # A public address before a loopback one is a proxy that lets everybody through.
        raise ArgumentError(
            f"{reached} can be reached from outside, and nobody would be asked for a token",
            why="Anyone who reaches this server can spend the money behind its keys",
            next_step="Set KLING_HTTP_TOKEN (or KLING_HTTP_ISSUER and KLING_HTTP_URL), "
            "or serve on 127.0.0.1 without KLING_HTTP_URL",
        )
    return auth, verifier


def _studio(settings: Settings, host: str, port: int) -> str:
    """Where browsers reach the studio: beside the address clients use."""
    parts = urlsplit(settings.http_url or _address(host, port))
    return f"{parts.scheme}://{parts.netloc}{STUDIO}"


def _limited() -> type[asyncio.Protocol]:
    """Uvicorn's protocol with our limits."""
    from mcp_server.server.connections import LimitedLine, lines_at_most

    LimitedLine.lines = lines_at_most()
    return LimitedLine


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol said: asyncio sends at once only on sockets that say TCP, others wait 40 ms for each answer.
        listener = socket.socket(family, kind, protocol)
        if sys.platform != "win32":
            # On Windows it would let any program share the port, and hear the tokens.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            # From here on a browser that is quick waits a moment instead of being turned away.
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise LocalError(
            f"{_address(host, port)} cannot be served: {error.strerror}", next_step="Choose another --port or --host"
        ) from error
    return listener


def _address(host: str, port: int) -> str:
    return f"http://{_in_address(host)}:{port}{PATH}"


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _who(settings: Settings, own_address: str, clock: Clock) -> tuple[AuthSettings | None, TokenVerifier | None]:
    if issuer := settings.http_issuer:
        if settings.http_url is None:
            raise ArgumentError(
                "KLING_HTTP_ISSUER is set, KLING_HTTP_URL is not",
                why="Only a token made for this server's own address may be accepted",
                next_step="Set KLING_HTTP_URL to the address clients use, such as https://video.example.com/mcp",
            )
        if not issuer.startswith("https://") and not is_loopback(urlsplit(issuer).hostname or ""):
            raise ArgumentError(
                f"KLING_HTTP_ISSUER={issuer!r} is not https",
                why="whoever stands between could hand out keys of their own",
                next_step="Begin KLING_HTTP_ISSUER with https://",
            )
        # As text: pydantic keeps a path-less address as it was written, and issuers are compared letter by letter.
        auth = AuthSettings.model_validate(
            {"issuer_url": issuer, "resource_server_url": settings.http_url, "validate_token_resource": True}
        )
        return auth, IssuedToken(issuer, settings.http_url, monotonic=clock.monotonic)
    if secret := settings.http_token:
        # No issuer stands behind a shared token; the SDK wants an address and shows it to nobody.
        return AuthSettings(issuer_url=AnyHttpUrl(own_address), resource_server_url=None), SharedToken(secret)
    return None, None


def _rebinding(host: str, public: str | None, *, local: bool) -> TransportSecuritySettings:
    """Which Host and Origin headers a browser page may bring."""
    names = dict.fromkeys([*LOOPBACK, host] if local else LOOPBACK)
    hosts = [f"{name}:*" for name in names]
    origins = [f"http://{name}:*" for name in names]
    if public is not None:
        parts = urlsplit(public)
        hosts += [parts.netloc, f"{parts.hostname}:*"]
        origins.append(f"{parts.scheme}://{parts.netloc}")
    if not local and public is None:
        # Reached by names we do not know; the token is what keeps a page of somebody else's out.
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    return TransportSecuritySettings(enable_dns_rebinding_protection=True, allowed_hosts=hosts, allowed_origins=origins)
