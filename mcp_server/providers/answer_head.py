"""How much may come in before an answer's body: bytes and time, counted on the connection itself.

The HTTP client reads on as long as something comes: a header every few seconds, or `103` without an end, would keep
a place busy for ever. Every connection made here counts what is read for the head of the answer that is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import ContextVar
from ssl import SSLContext
from time import monotonic
from typing import Any, Final

import httpcore
import httpx

HEAD_BYTES: Final = 192 * 1024
"""Status line, headers and informational answers together, and what of the body comes in one read with them."""
HEAD_S: Final = 60.0
"""The same in time, from the first wait on; a vendor that has not answered after a minute is treated as lost."""


class Head:
    """The head of one answer: what may still come of it, and until when."""

    def __init__(self, seconds: float = HEAD_S) -> None:
        self._seconds = seconds
        self._until: float | None = None
        self._left = HEAD_BYTES
        self._over = False

    def expected(self) -> None:
        """From now on this context waits for this head, until it waits for another."""
        _EXPECTED.set(self)

    def over(self) -> None:
        """The head is here: what comes now is the body, which has bounds of its own."""
        self._over = True

    def patience(self, timeout: float | None) -> float | None:
        """How long the next read may take."""
        if self._over:
            return timeout
        now = monotonic()
        if self._until is None:
            self._until = now + self._seconds
        if now >= self._until:
            raise httpcore.ReadTimeout(f"the head of the answer was not whole after {self._seconds:g} s")
        left = self._until - now
        return left if timeout is None else min(timeout, left)

    def came(self, piece: bytes) -> bytes:
        """The piece, counted."""
        if not self._over:
            self._left -= len(piece)
            if self._left < 0:
                raise httpcore.ReadError(f"the head of the answer has more than {HEAD_BYTES:,} bytes")
        return piece


_EXPECTED: ContextVar[Head | None] = ContextVar("expected", default=None)


class _CountedStream(httpcore.NetworkStream):
    """A connection read in a thread."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        head = _EXPECTED.get()
        if head is None:
            return self._inner.read(max_bytes, timeout)
        return head.came(self._inner.read(max_bytes, head.patience(timeout)))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _CountedStream(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _AsyncCountedStream(httpcore.AsyncNetworkStream):
    """A connection read in the event loop."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's word
        head = _EXPECTED.get()
        if head is None:
            return await self._inner.read(max_bytes, timeout)
        return head.came(await self._inner.read(max_bytes, head.patience(timeout)))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncCountedStream(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _CountedBackend(httpcore.NetworkBackend):
    def __init__(self, inner: httpcore.NetworkBackend) -> None:
        self._inner = inner

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _CountedStream(self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _AsyncCountedBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's word
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _AsyncCountedStream(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def counted(transport: httpx.HTTPTransport) -> httpx.HTTPTransport:
    """The same transport, each connection of it counting the heads that come in on it."""
    # httpx hands no backend on; httpcore documents it for exactly this (encode.io/httpcore/network-backends).
    pool: Any = transport._pool  # type: ignore[reportPrivateUsage]
    pool._network_backend = _CountedBackend(pool._network_backend)
    return transport


def counted_async(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
    """The same for connections of the event loop."""
    pool: Any = transport._pool  # type: ignore[reportPrivateUsage]
    pool._network_backend = _AsyncCountedBackend(pool._network_backend)
    return transport
