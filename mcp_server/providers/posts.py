"""One POST to an address of the user's own, whose answer is only a number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import httpx

from mcp_server.providers.http_clients import Clients, proxy_for

TIMEOUT_S: Final = 15.0


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> int | str:
    """The HTTP status, or why there is none; no redirect is followed and no body is read."""
    try:
        async with Clients().client(proxy_for(url), 0) as client:
            request = client.build_request("POST", url, content=body, headers=dict(headers), timeout=TIMEOUT_S)
            reply = await client.send(request, stream=True)
            await reply.aclose()
            return reply.status_code
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return str(error) or type(error).__name__
