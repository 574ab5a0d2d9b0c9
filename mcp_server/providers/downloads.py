"""A file from a media host on its way: blocking reads in a thread of its own, several times as fast as the loop's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

import httpcore
import httpx

from mcp_server.providers.answer_head import Head

T = TypeVar("T")
READ_AT_ONCE: Final = 1024 * 1024
READ_TIMEOUT_S: Final = 60.0
SLOW_WINDOW_S: Final = 60.0
SLOWEST: Final = 64 * 1024
"""Bytes that must come in each window: a host that only drips holds a place which other clips wait for."""
WHOLE_S: Final = 600.0
SLOWEST_ON_AVERAGE: Final = 16 * 1024
"""Bytes a second, after the first ten minutes: one try ends, and goes on in its next turn where the host can."""


class Taker(Protocol):
    """Takes a file in. Everything is called in one worker thread."""

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        """The answer's head, names in lower case; whether what follows is wanted."""
        ...

    def take(self, piece: bytes) -> None:
        """The next bytes."""
        ...

    def close(self) -> None:
        """Nothing more comes: it is whole, or it broke off."""
        ...

    def whole(self) -> None:
        """It did not break off."""
        ...


class Line:
    """The connections that files come in by."""

    def __init__(self, client: Callable[[str | None], httpx.Client]) -> None:
        # A client per file on its way: httpcore goes through its whole pool for every request, and asks each line in
        # it whether it lives.
        self._make = client
        self._idle: dict[str | None, list[httpx.Client]] = {}
        self._closed = False

    async def fetch(
        self, url: str, headers: Mapping[str, str], extensions: Mapping[str, Any], taker: Taker, *, proxy: str | None
    ) -> None:
        """Hand the file over; once this has returned or raised, nothing more is handed over."""
        fetching = _Fetching(url, headers, extensions, taker)
        work = in_a_thread(lambda: self._run(fetching, proxy))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            if fetching.hang_up():
                await asyncio.wait({work})
            work.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        while self._idle:
            for client in self._idle.popitem()[1]:
                client.close()

    def _run(self, fetching: _Fetching, proxy: str | None) -> None:
        idle = self._idle.setdefault(proxy, [])
        client = idle.pop() if idle else self._make(proxy)
        try:
            fetching.run(client)
        finally:
            if self._closed:
                client.close()
            else:
                idle.append(client)


def in_a_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """How the work ended. The thread is a daemon: a program that ends does not wait for a host that says nothing."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def told(tell: Callable[[], None]) -> None:
        if not ended.done():
            tell()

    def run() -> None:
        try:
            found = work()
            tell = partial(ended.set_result, found)
        except BaseException as raised:
            tell = partial(ended.set_exception, raised)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(told, tell)

    threading.Thread(target=run, name="kling-file", daemon=True).start()
    return ended


class _Fetching:
    """One file on its way."""

    def __init__(self, url: str, headers: Mapping[str, str], extensions: Mapping[str, Any], taker: Taker) -> None:
        self._url, self._headers, self._extensions, self._taker = url, headers, extensions, taker
        self._turn = threading.Lock()
        self._response: httpx.Response | None = None
        self._stopped = False

    def run(self, client: httpx.Client) -> None:
        """All of it, in a worker thread."""
        request = client.build_request("GET", self._url, headers=self._headers, extensions=dict(self._extensions))
        head = Head()
        head.expected()
        try:
            response = client.send(request, stream=True)
        except (httpx.HTTPError, httpx.InvalidURL):
            raise
        except Exception as error:
            # The client lets through what it does not know, such as a SOCKS proxy that speaks something else.
            raise httpx.ProxyError(str(error)) from error
        head.over()
        with contextlib.closing(response):
            with self._turn:
                if self._stopped:
                    return
                self._response = response
            headers = {name.lower(): value for name, value in response.headers.items()}
            if not self._taker.head(response.status_code, headers):
                return
            try:
                self._copy(response, headers)
            finally:
                self._taker.close()
            self._taker.whole()

    def hang_up(self) -> bool:
        """Wake the thread out of its waiting for bytes; False when it still waits for the first, and will take none."""
        with self._turn:
            self._stopped = True
            if self._response is None:
                return False
        line = self._response.extensions["network_stream"].get_extra_info("socket")
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        return True

    def _copy(self, response: httpx.Response, headers: Mapping[str, str]) -> None:
        pace = _Pace()
        pieces = response.iter_raw()
        length = headers.get("content-length", "")
        if not length.isdigit() or "transfer-encoding" in headers:
            for piece in pieces:
                self._taker.take(pace.checked(piece))
            return
        # httpcore reads 64 kB at a time and copies each three times. Its first piece is all that came with the head;
        # what is left of a body of known length is read from the same line (and its proxy and TLS) in large ones.
        left = int(length)
        for piece in pieces:
            self._taker.take(pace.checked(piece))
            left -= len(piece)
            if left > 0:
                break
        line = response.extensions["network_stream"]
        try:
            while left > 0:
                piece = line.read(min(left, READ_AT_ONCE), READ_TIMEOUT_S)
                if not piece:
                    raise httpx.ReadError(f"the host hung up {left} bytes before the end")
                self._taker.take(pace.checked(piece))
                left -= len(piece)
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from None
        except httpcore.NetworkError as error:
            raise httpx.ReadError(str(error)) from None


class _Pace:
    """How fast it comes."""

    def __init__(self) -> None:
        self._began = self._since = monotonic()
        self._came = self._all = 0

    def checked(self, piece: bytes) -> bytes:
        """The piece, or ReadTimeout when too little came for too long."""
        self._came += len(piece)
        self._all += len(piece)
        now = monotonic()
        if now - self._began > WHOLE_S + self._all / SLOWEST_ON_AVERAGE:
            raise httpx.ReadTimeout(f"only {self._all} bytes in {now - self._began:.0f} s")
        if (waited := now - self._since) > SLOW_WINDOW_S:
            if self._came < SLOWEST:
                raise httpx.ReadTimeout(f"only {self._came} bytes in {waited:.0f} s")
            self._since, self._came = now, 0
        return piece
