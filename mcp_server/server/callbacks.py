"""`POST /callbacks/{provider}/{task}/{token}`: vendors say that a job has ended, and it is looked at now.

Who knows the address may post; what it may cost us is bounded: the body, the time it takes to come, and one question
to the record.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response

from mcp_server.errors import KlingError
from mcp_server.providers.callbacks import ForgedCallbackError
from mcp_server.tasks.callbacks import LARGEST, StrangeCallbackError

if TYPE_CHECKING:
    from starlette.requests import Request

    from mcp_server.service import Service

PATH: Final = "/callbacks/{provider}/{task}/{token}"
_log = logging.getLogger("kling_video.server")
PATIENCE_S: Final = 10.0
"""A vendor wants its answer within ten seconds; no body needs longer to come."""


def receiver(ready: Callable[[], Awaitable[Service]]) -> Callable[[Request], Awaitable[Response]]:
    """The route's handler, over the service as it is made."""

    async def heard(request: Request) -> Response:
        try:
            async with asyncio.timeout(PATIENCE_S):
                body = await _body(request)
        except TimeoutError:
            return _said("the body did not come", 408)
        if body is None:
            return _said(f"a post of more than {LARGEST} bytes", 413)
        service = await ready()
        at = request.path_params

        def counted(came: str) -> None:
            name = at["provider"] if at["provider"] in service.catalog.providers else "unknown"
            service.runner.runtime.metrics.count("kling_callbacks_total", provider=name, came=came)

        try:
            came = await service.callbacks.hear(at["provider"], at["task"], at["token"], request.headers, body)
        except StrangeCallbackError as error:
            counted("strange")
            return _said(error.what, 404)
        except ForgedCallbackError as error:
            counted("forged")
            return _said(error.what, 401)
        except KlingError as error:
            _log.warning("A post about task %s cannot be heard now: %s", at["task"], error.what)
            counted("later")
            # What is wrong here is nothing for whoever posts; a vendor that hears this posts again.
            return _said("it cannot be heard now", 503)
        counted(came)
        # Also where it changes nothing: a vendor that hears of an error posts again.
        return _said(came, 200)

    return heard


async def _body(request: Request) -> bytes | None:
    """All of it; None where it is too much."""
    said = request.headers.get("content-length", "0")
    if said.isdecimal() and int(said) > LARGEST:
        return None
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > LARGEST:
            return None
    return bytes(parts)


def _said(what: str, status: int) -> Response:
    return JSONResponse({"callback": what}, status)
