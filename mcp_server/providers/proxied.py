"""The way to a vendor through a proxy of the environment, which the HTTP client knows in all its kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from mcp_server.providers.answer_head import Head
from mcp_server.providers.connections import WRITE_AT_ONCE, Incoming, Leaves, NotSentError, Outgoing, breath
from mcp_server.providers.http_clients import Clients
from mcp_server.providers.incoming import taken


@dataclass
class Proxied:
    """Connections by way of proxies: one small pool per purpose and proxy, since a pool is gone through every time."""

    made: Clients
    _clients: dict[tuple[str, str], httpx.AsyncClient] = field(
        default_factory=dict[tuple[str, str], httpx.AsyncClient], init=False
    )

    async def exchange(
        self, purpose: str, keep_s: float, proxy: str, outgoing: Outgoing, leaves: Leaves | None
    ) -> Incoming:
        """The answer; NotSentError where nothing left for the vendor, anything else where that is not known."""
        client = self._client(purpose, keep_s, proxy)
        request, leaving = _request(client, outgoing), _Leaving(leaves)
        request.extensions["trace"] = leaving.trace
        head = Head()
        head.expected()
        try:
            response = await client.send(request, stream=True)
        except Exception as error:
            # What the proxy says or does before then is no answer of the vendor's, whatever it is.
            if leaving.begun and not isinstance(error, httpx.LocalProtocolError):
                raise
            raise NotSentError from error
        head.over()
        try:
            text = await taken(response.aiter_raw(), response.headers.get("content-encoding", ""), breath)
        finally:
            await response.aclose()
        return Incoming(response.status_code, {name.lower(): value for name, value in response.headers.items()}, text)

    async def aclose(self) -> None:
        """Close the connections."""
        while self._clients:
            await self._clients.popitem()[1].aclose()

    def _client(self, purpose: str, keep_s: float, proxy: str) -> httpx.AsyncClient:
        if (purpose, proxy) not in self._clients:
            self._clients[purpose, proxy] = self.made.client(proxy, keep_s)
        return self._clients[purpose, proxy]


@dataclass(frozen=True)
class _Pieces(httpx.AsyncByteStream):
    """A long body on its way out."""

    content: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), WRITE_AT_ONCE):
            yield self.content[start : start + WRITE_AT_ONCE]


def _request(client: httpx.AsyncClient, outgoing: Outgoing) -> httpx.Request:
    there = outgoing.url.copy_with(host=outgoing.machine) if outgoing.machine else outgoing.url
    made = client.build_request(
        outgoing.method,
        there,
        content=outgoing.content or None,
        headers={"Host": outgoing.url.netloc.decode(), **outgoing.headers},
        extensions={"sni_hostname": outgoing.url.host} if outgoing.machine else {},
    )
    if len(outgoing.content) > WRITE_AT_ONCE:
        made.stream = _Pieces(outgoing.content)
    return made


@dataclass
class _Leaving:
    """The client's hook (encode.io/httpcore/extensions, `trace`): whether writing the request has begun."""

    leaves: Leaves | None
    begun: bool = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        # A proxy's tunnel is asked for by a request of its own, before the vendor hears anything.
        if event.endswith(".send_request_headers.started") and info["request"].method != b"CONNECT":
            self.begun = True
            if self.leaves is not None:
                await self.leaves()
