"""MCP over stdin and stdout: nothing but protocol on stdout, and a clean end on EOF and on signals.

The SDK's own runner ignores SIGINT while it reads and skips every clean-up on SIGTERM (seen with 2.3.0).
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
from types import FrameType
from typing import TYPE_CHECKING, BinaryIO, Final, Self

import anyio
import anyio.to_thread
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from mcp_server.server.handshake.front import ENDING
from mcp_server.server.handshake.opening import LISTEN
from mcp_server.server.lines import LineBuffer, UnreadableLineError, message_of
from mcp_server.server.turns import share

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mcp_server.server.handshake.front import Handover
    from mcp_server.server.server import KlingServer


_CHUNK: Final = 64 * 1024
_LONG: Final = 256 * 1024
OWED_S: Final = 10.0
"""How long answers are still told after the client's last word: a script writes its calls and closes its end at once.
Whoever wants us gone sooner says so by a signal."""


class _Stream:
    """What the SDK asks of both its streams; whoever leaves one closes nothing."""

    async def aclose(self) -> None:
        """Nothing: the descriptors stay open until this process ends."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()


class _Messages(_Stream):
    """The client's messages, line by line; a read that blocks is left behind when the server ends."""

    def __init__(self, source: BinaryIO, answers: _Answers, heard: bytes) -> None:
        self._source = source
        self._answers = answers
        self._lines = LineBuffer()
        if heard:
            self._lines.feed(heard)
        self._ready = _awaits_reading(source)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage:
        while True:
            try:
                line = self._lines.next()
                if line is None:
                    if self._lines.ended:
                        await self._answers.told()
                        raise StopAsyncIteration
                    self._lines.feed(await self._more())
                elif text := line.decode("utf-8", "replace").strip():
                    # A line of pictures is read beside the loop, which serves others meanwhile.
                    long = len(line) > _LONG
                    message = await anyio.to_thread.run_sync(message_of, text) if long else message_of(text)
                    self._answers.owe(message)
                    return SessionMessage(message)
            except UnreadableLineError as error:
                await self._answers.write(error.answer)

    async def receive(self) -> SessionMessage:
        """The next one; EndOfStream after the last."""
        try:
            return await self.__anext__()
        except StopAsyncIteration:
            raise anyio.EndOfStream from None

    async def _more(self) -> bytes:
        if self._ready:
            await _readable(self._source)
            return self._read()
        return await anyio.to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> bytes:
        return self._source.read(_CHUNK)


class _Answers(_Stream):
    """Our lines to the client; each is written whole. One that begins as one of `answered` does is left out, once."""

    def __init__(self, sink: BinaryIO, answered: Iterable[bytes]) -> None:
        self._sink = sink
        self._answered = list(answered)
        self._turn = asyncio.Lock()
        self._owed: set[str | int | None] = set()
        """Requests that have no answer yet, by their ids."""
        self._settled = asyncio.Event()

    def owe(self, message: JSONRPCMessage) -> None:
        """Count what the client asks for; a subscription lasts as long as the line, and gets its answer at the end."""
        if isinstance(message, JSONRPCRequest) and message.method != LISTEN:
            self._owed.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle((message.params or {}).get("requestId"))

    async def told(self) -> None:
        """Return once every answer is out, or it takes too long."""
        with anyio.move_on_after(OWED_S):
            while self._owed:
                self._settled.clear()
                await self._settled.wait()

    async def send(self, message: SessionMessage) -> None:
        """The message, once the client's side has taken it; BrokenResourceError where nobody reads any more."""
        said = message.message
        try:
            await self.write(said.model_dump_json(by_alias=True, exclude_unset=True))
        except OSError as error:
            raise anyio.BrokenResourceError from error
        finally:
            if isinstance(said, (JSONRPCResponse, JSONRPCError)):
                self._settle(said.id)

    def _settle(self, number: object) -> None:
        self._owed.discard(number if isinstance(number, (str, int)) else None)
        self._settled.set()

    async def write(self, text: str) -> None:
        """The line with its end."""
        line = f"{text}\n".encode()
        if self._answered and (known := next(filter(line.startswith, self._answered), None)):
            self._answered.remove(known)
            return
        async with self._turn:
            if rest := _at_once(self._sink, line):
                # Whoever gives up a call in the middle of its line would cut off the next one's, too.
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(self._in_time, rest)

    def _in_time(self, rest: memoryview) -> None:
        while rest:
            rest = rest[self._sink.write(rest) :]


def _awaits_reading(source: BinaryIO) -> bool:
    """Whether the loop can wait for this file: not for one on a disk, and not on Windows."""
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(source, _nothing)
        loop.remove_reader(source)
    except (AttributeError, NotImplementedError, OSError, ValueError):
        return False
    return True


def _nothing() -> None: ...


async def _readable(source: BinaryIO) -> None:
    """Return when something has come, or the end."""
    loop = asyncio.get_running_loop()
    came = loop.create_future()
    loop.add_reader(source, lambda: came.done() or came.set_result(None))
    try:
        await came
    finally:
        loop.remove_reader(source)


def _at_once(sink: BinaryIO, line: bytes) -> memoryview:
    """What of the line could not be written without waiting for the client to read."""
    rest = memoryview(line)
    if not hasattr(select, "poll") or not hasattr(sink, "fileno"):
        return rest
    writable = select.poll()
    writable.register(sink, select.POLLOUT)
    while rest and writable.poll(0) == [(sink.fileno(), select.POLLOUT)]:
        # So much goes into a pipe that is ready, whole.
        rest = rest[sink.write(rest[: select.PIPE_BUF]) :]
    return rest


async def connect(
    server: KlingServer, source: BinaryIO, sink: BinaryIO, heard: bytes = b"", answered: Iterable[bytes] = ()
) -> None:
    """One connection, until the client leaves; `heard` was read of it before."""
    answers = _Answers(sink, answered)
    low = server.low_level
    await low.run(_Messages(source, answers, heard), answers, low.create_initialization_options())


async def serve(server: KlingServer, taken: Handover) -> None:
    """One connection, until the client leaves or a signal says so."""
    async with anyio.create_task_group() as group:
        loop = asyncio.get_running_loop()

        def hear(_signal: int, _frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(group.cancel_scope.cancel)

        # By themselves: the loops of Windows hear no signals.
        for ending in ENDING:
            signal.signal(ending, hear)
        await connect(server, *taken.wire.files(), taken.heard, taken.answered)
        group.cancel_scope.cancel()


def run(server: KlingServer, taken: Handover) -> None:
    """Go on with a connection where it was handed over; does not return."""
    share()
    try:
        anyio.run(serve, server, taken)
    finally:
        # A thread may still sit in a read of stdin; an ordinary exit would wait for it.
        sys.stderr.flush()
        os._exit(0)
