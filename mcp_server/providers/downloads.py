"""A file from a media host on its way: blocking reads in a thread of its own, several times as fast as the loop's."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import httpcore
import httpx

FILES_AT_ONCE: Final = 8
READ_AT_ONCE: Final = 1024 * 1024
READ_TIMEOUT_S: Final = 60.0
SLOW_WINDOW_S: Final = 60.0
SLOWEST: Final = 64 * 1024
"""Bytes that must come in each window: a host that only drips holds a place which other clips wait for."""


class Line:
    """The connections and threads that files come in by."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(FILES_AT_ONCE, thread_name_prefix="kling-files")

    async def begin(self, url: str, headers: Mapping[str, str], extensions: Mapping[str, Any]) -> Download:
        """The answer's head; the file is still to be copied, and the download to be closed."""
        request = self._client.build_request("GET", url, headers=headers, extensions=dict(extensions))
        loop = asyncio.get_running_loop()
        response = await loop.run_in_executor(self._threads, lambda: self._client.send(request, stream=True))
        lower = {name.lower(): value for name, value in response.headers.items()}
        return Download(response.status_code, lower, response, self._threads)

    def close(self) -> None:
        """Hang up."""
        self._client.close()
        self._threads.shutdown(wait=False)


@dataclass(frozen=True)
class Download:
    """A file on its way."""

    status: int
    headers: Mapping[str, str]
    response: httpx.Response
    threads: ThreadPoolExecutor

    async def copy_to(self, take: Callable[[bytes], object]) -> None:
        """Hand over the bytes as they come, in a worker thread, which has ended when this returns or raises."""
        copying = asyncio.get_running_loop().run_in_executor(self.threads, self._copy, take)
        try:
            await asyncio.shield(copying)
        except asyncio.CancelledError:
            self._hang_up()
            await asyncio.wait({copying})
            copying.exception()
            raise

    def close(self) -> None:
        """Let the line go."""
        self.response.close()

    def _copy(self, take: Callable[[bytes], object]) -> None:
        pace = _Pace()
        pieces = self.response.iter_raw()
        length = self.headers.get("content-length", "")
        if not length.isdigit() or "transfer-encoding" in self.headers:
            for piece in pieces:
                take(pace.checked(piece))
            return
        # httpcore reads 64 kB at a time and copies each three times. Its first piece is all that came with the head;
        # what is left of a body of known length is read from the same line (and its proxy and TLS) in large ones.
        left = int(length)
        for piece in pieces:
            take(pace.checked(piece))
            left -= len(piece)
            if left > 0:
                break
        line = self.response.extensions["network_stream"]
        try:
            while left > 0:
                piece = line.read(min(left, READ_AT_ONCE), READ_TIMEOUT_S)
                if not piece:
                    raise httpx.ReadError(f"the host hung up {left} bytes before the end")
                take(pace.checked(piece))
                left -= len(piece)
        except httpcore.TimeoutException as error:
            raise httpx.ReadTimeout(str(error)) from None
        except httpcore.NetworkError as error:
            raise httpx.ReadError(str(error)) from None

    def _hang_up(self) -> None:
        """Wake the thread out of its waiting for bytes."""
        line = self.response.extensions["network_stream"].get_extra_info("socket")
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


class _Pace:
    """How fast it comes."""

    def __init__(self) -> None:
        self._since = monotonic()
        self._came = 0

    def checked(self, piece: bytes) -> bytes:
        """The piece, or ReadTimeout when too little came for too long."""
        self._came += len(piece)
        now = monotonic()
        if (waited := now - self._since) > SLOW_WINDOW_S:
            if self._came < SLOWEST:
                raise httpx.ReadTimeout(f"only {self._came} bytes in {waited:.0f} s")
            self._since, self._came = now, 0
        return piece
