"""What those who keep a server see of it: `/health`, `/ready`, `/metrics`; of a worker, too.

The first two say nothing but yes and no, to anybody. Numbers are for who brings the token, where one is asked for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, PlainTextResponse, Response

from mcp_server import __version__
from mcp_server.errors import KlingError

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier
    from starlette.requests import Request

    from mcp_server.service import Service

BELIEVED_S: Final = 1.0
"""So long an answer is good for whoever else asks: everybody may ask, and the record is asked each time."""
Handler = Callable[["Request"], Awaitable[Response]]


def routes(ready: Callable[[], Awaitable[Service]], verifier: TokenVerifier | None) -> Mapping[str, Handler]:
    """The handlers by their paths, over the service as it is made."""
    asking, known = asyncio.Lock(), (float("-inf"), dict[str, bool]())

    async def checks() -> dict[str, bool]:
        nonlocal known
        async with asking:
            if time.monotonic() - known[0] > BELIEVED_S:
                try:
                    found = dict(await (await ready()).checks())
                except KlingError:
                    found = {"settings": False}
                known = time.monotonic(), found
            return known[1]

    async def is_alive(_request: Request) -> Response:
        return JSONResponse({"status": "ok", "version": __version__})

    async def is_ready(_request: Request) -> Response:
        found = await checks()
        fine = all(found.values())
        said = {name: "ok" if good else "failed" for name, good in found.items()}
        return JSONResponse({"status": "ready" if fine else "not ready", "checks": said}, 200 if fine else 503)

    async def metrics(request: Request) -> Response:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if verifier is not None and (scheme.lower() != "bearer" or await verifier.verify_token(token) is None):
            return PlainTextResponse("a token is asked for", 401, {"WWW-Authenticate": "Bearer"})
        return PlainTextResponse(await (await ready()).metrics(), media_type="text/plain; version=0.0.4")

    return {"/health": is_alive, "/ready": is_ready, "/metrics": metrics}
