"""Direct HTTP/1.1 connections to vendors, kept for the next call: asyncio moves the bytes, h11 knows the protocol.

One exchange costs a fifth of what it costs through the HTTP client, which serves proxies and files beside this: orders
come by the thousand, and a client that is general asks every layer about every one of them.
"""

from __future__ import annotations

import asyncio
import select
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, NoReturn

import h11
import httpcore
import httpx

from mcp_server.providers.answer_head import Head
from mcp_server.providers.incoming import taken

CONNECT_S: Final = 10.0
READ_S: Final = 60.0
"""A vendor that has not answered a submit after a minute is treated as lost, not asked again."""
WRITE_S: Final = 60.0
WRITE_AT_ONCE: Final = 64 * 1024
"""A body goes out in pieces of this size, each with the write timeout to itself: a slow line is not a dead one."""
READ_AT_ONCE: Final = 64 * 1024
IDLE_AT_MOST: Final = 16
"""Kept for one purpose; more were open at once, and are closed when they are done."""
_HEAD_WHOLE: Final = 100 * 1024
"""What h11 keeps of a head that is not whole yet."""
_HINTS_MAX: Final = 20
"""Informational answers before the answer: two are the most that anybody has use for."""
_LOOK_AHEAD_S: Final = 0.25
"""Before a host's next address is tried beside the first (RFC 8305, 8)."""
Leaves = Callable[[], Awaitable[None]]


class NotSentError(Exception):
    """The other end surely heard nothing of the request; its cause says why."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request, down to its bytes."""

    method: str
    url: httpx.URL
    machine: str
    """The address that is connected to where it was looked up before; empty: whatever the name means then."""
    headers: Mapping[str, str]
    content: bytes

    @property
    def secure(self) -> bool:
        return self.url.scheme == "https"

    @property
    def host(self) -> str:
        return self.machine or self.url.host

    @property
    def port(self) -> int:
        return self.url.port or (443 if self.secure else 80)


class Incoming(NamedTuple):
    """One answer, its body bounded and unpacked."""

    status: int
    headers: Mapping[str, str]
    text: str


@dataclass
class Connections:
    """The open connections of one process, each kept for its purpose and its machine."""

    trust: Callable[[], ssl.SSLContext]
    _idle: dict[tuple[object, ...], deque[tuple[_Connection, float]]] = field(
        default_factory=dict[tuple[object, ...], "deque[tuple[_Connection, float]]"], init=False
    )

    async def exchange(self, purpose: str, keep_s: float, outgoing: Outgoing, leaves: Leaves | None) -> Incoming:
        """The answer; NotSentError where nothing left, anything else where that is not known.

        `leaves` is asked when the line is open and the first byte is next; what it raises keeps the request here.
        """
        if not outgoing.url.host or outgoing.url.scheme not in {"http", "https"}:
            raise NotSentError from httpx.UnsupportedProtocol("it is no web address")
        place = (purpose, outgoing.host, outgoing.port, outgoing.url.host if outgoing.secure else "")
        connection = self._kept(place, keep_s) or await self._opened(outgoing)
        try:
            answer = await connection.exchange(outgoing, leaves)
        finally:
            if connection.usable:
                self._keep(place, connection)
            else:
                connection.close()
        return answer

    def close(self) -> None:
        """Close them all."""
        while self._idle:
            for connection, _ in self._idle.popitem()[1]:
                connection.close()

    def _kept(self, place: tuple[object, ...], keep_s: float) -> _Connection | None:
        idle = self._idle.get(place)
        while idle:
            connection, since = idle.pop()
            if time.monotonic() - since <= keep_s and connection.silent:
                return connection
            connection.close()
        return None

    def _keep(self, place: tuple[object, ...], connection: _Connection) -> None:
        idle = self._idle.setdefault(place, deque())
        idle.append((connection, time.monotonic()))
        if len(idle) > IDLE_AT_MOST:
            idle.popleft()[0].close()

    async def _opened(self, outgoing: Outgoing) -> _Connection:
        try:
            async with asyncio.timeout(CONNECT_S):
                return _Connection(
                    *await asyncio.open_connection(
                        outgoing.host,
                        outgoing.port,
                        ssl=self.trust() if outgoing.secure else None,
                        server_hostname=outgoing.url.host if outgoing.secure else None,
                        happy_eyeballs_delay=_LOOK_AHEAD_S,
                        limit=READ_AT_ONCE,
                    )
                )
        except TimeoutError:
            raise NotSentError from httpcore.ConnectTimeout()
        except Exception as error:
            # Whatever it is, nothing left: a name that cannot be one and a certificate that is another's are no errors
            # of the network for Python, and a loop that is not Python's may not know what is asked of it.
            raise NotSentError from httpcore.ConnectError(str(error))


class _Connection:
    """One line to one machine, and how far the protocol has come on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_WHOLE)
        self.usable = True
        """Whether another request may follow."""

    @property
    def silent(self) -> bool:
        """Whether the other end has neither closed it nor said anything since: that would be no answer to us."""
        if self._reader.at_eof() or self._writer.transport.is_closing():
            return False
        return not _readable(self._writer.get_extra_info("socket"))

    def close(self) -> None:
        """At once: whatever still comes is not waited for."""
        self._writer.close()

    async def exchange(self, outgoing: Outgoing, leaves: Leaves | None) -> Incoming:
        first = self._written_out(outgoing)
        if leaves is not None:
            try:
                await leaves()
            except BaseException:
                # h11 has begun the request, and nobody else knows of it.
                self.usable = False
                raise
        self.usable = False
        await self._write(first, outgoing.content)
        head = Head()
        response = await self._response(head)
        head.over()
        headers = _joined(response.headers)
        text = await taken(self._pieces(head), headers.get("content-encoding", ""), breath)
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            self.usable = True
        return Incoming(response.status_code, headers, text)

    def _written_out(self, outgoing: Outgoing) -> bytes:
        try:
            headers = [(name.encode("ascii"), value.encode("ascii")) for name, value in outgoing.headers.items()]
            headers.insert(0, (b"Host", outgoing.url.netloc))
            return self._sent(h11.Request(method=outgoing.method, target=outgoing.url.raw_path, headers=headers))
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            self.usable = False
            raise NotSentError from error

    def _sent(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""

    async def _write(self, first: bytes, content: bytes) -> None:
        # An end that answers before it has heard everything closes; its answer is there all the same.
        with suppress(ConnectionError):
            if len(content) <= WRITE_AT_ONCE:
                body = self._sent(h11.Data(data=content)) if content else b""
                await self._piece(first + body + self._sent(h11.EndOfMessage()))
                return
            await self._piece(first)
            for start in range(0, len(content), WRITE_AT_ONCE):
                await self._piece(self._sent(h11.Data(data=content[start : start + WRITE_AT_ONCE])))
            self._sent(h11.EndOfMessage())

    async def _piece(self, data: bytes) -> None:
        self._writer.write(data)
        try:
            async with asyncio.timeout(WRITE_S):
                await self._writer.drain()
        except TimeoutError:
            raise httpcore.WriteTimeout(f"nothing was taken for {WRITE_S:g} s") from None

    async def _response(self, head: Head) -> h11.Response:
        for _ in range(_HINTS_MAX):
            event = await self._event(head)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                _broken("Server disconnected without sending a response.")
        return _broken(f"more than {_HINTS_MAX} informational answers came, and no answer")

    async def _pieces(self, head: Head) -> AsyncIterator[bytes]:
        while isinstance(event := await self._event(head), h11.Data):
            yield bytes(event.data)

    async def _event(self, head: Head) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            data = await self._read(head)
            if not data and self._http.their_state is h11.SEND_RESPONSE:
                _broken("Server disconnected without sending a response.")
            self._http.receive_data(data)
        return event

    async def _read(self, head: Head) -> bytes:
        seconds = head.patience(READ_S)
        try:
            async with asyncio.timeout(seconds):
                return head.came(await self._reader.read(READ_AT_ONCE))
        except TimeoutError:
            raise httpcore.ReadTimeout("") from None
        except OSError as error:
            raise httpcore.ReadError(str(error)) from None


def _broken(why: str) -> NoReturn:
    raise httpcore.RemoteProtocolError(why)


def _joined(headers: Any) -> dict[str, str]:
    """Names in lower case; what came twice, in one line."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, said = name.decode("ascii"), value.decode("utf-8", "replace")
        found[key] = f"{found[key]}, {said}" if key in found else said
    return found


def _readable(sock: Any) -> bool:
    """Whether something, or the end, has come."""
    if not hasattr(select, "poll"):
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


async def breath() -> None:
    """Let others work."""
    await asyncio.sleep(0)
