"""MCP over streamable HTTP: stateless, one process, tasks visible only to the token that bought them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mcp.server.auth.settings import AuthSettings
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl
from starlette.responses import JSONResponse

from mcp_server import __version__
from mcp_server.clock import Clock
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.providers.network import is_loopback
from mcp_server.server.auth import IssuedToken, SharedToken
from mcp_server.server.lazy_service import make_service
from mcp_server.server.server import build_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp.server.auth.provider import TokenVerifier
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

    from mcp_server.server.server import KlingServer
    from mcp_server.service import Service
    from mcp_server.settings import Settings

PATH = "/mcp"
GRACE_S = 2
"""How long an open stream may hold up the end."""
LARGEST_BODY = 32 * 1024 * 1024
"""A request may carry pictures as data: addresses."""
LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


def build_app(
    settings: Settings,
    *,
    host: str,
    port: int,
    make: Callable[[], Service] = make_service,
    clock: Clock | None = None,
    extra: Callable[[KlingServer], None] | None = None,
) -> Starlette:
    """The application, refusing what would let strangers buy."""
    own_address = settings.http_url or _address(host, port)
    auth, verifier = _who(settings, own_address, clock or Clock())
    if verifier is None and not is_loopback(host):
        raise ArgumentError(
            f"{host} can be reached from outside, and nobody would be asked for a token",
            why="Anyone who reaches this server can spend the money behind its keys",
            next_step="Set KLING_HTTP_TOKEN (or KLING_HTTP_ISSUER and KLING_HTTP_URL), or serve on 127.0.0.1",
        )
    server = build_server(make, settings=settings, back_channel=False, auth=auth, token_verifier=verifier, extra=extra)

    @server.custom_route("/health", ["GET"])
    async def health(_request: Request) -> Response:  # pyright: ignore[reportUnusedFunction]
        return JSONResponse({"status": "ok", "version": __version__})

    # Stateless: clients of the older versions survive a restart, and nothing grows with the number of sessions.
    # Never json_response: it drops the progress notifications of the older versions.
    return server.streamable_http_app(
        streamable_http_path=PATH,
        host=host,
        stateless_http=True,
        max_request_body_size=LARGEST_BODY,
        transport_security=_rebinding(_in_address(host), settings.http_url, local=is_loopback(host)),
    )


def run(settings: Settings, *, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Say where, and serve until a signal; open streams get a moment and no more."""
    import uvicorn

    with _bound(host, port) as listener:
        port = listener.getsockname()[1]
        app = build_app(settings, host=host, port=port)
        asks = settings.http_issuer or settings.http_token
        announce(f"MCP at {_address(host, port)}, {'for whoever brings a token' if asks else 'for this machine alone'}")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_S)
        uvicorn.Server(config).run([listener])


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
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
