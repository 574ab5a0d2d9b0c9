"""MCP over stdin and stdout: nothing but protocol on stdout, and a clean end on EOF, SIGINT and SIGTERM.

The SDK's own runner ignores SIGINT while it reads and skips every clean-up on SIGTERM (seen with 2.3.0).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, BinaryIO, cast

import anyio
import anyio.to_thread
from mcp.server.stdio import stdio_server

from mcp_server.domain.damaged_text import may_hold_halves, mended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from anyio.abc import TaskStatus

    from mcp_server.server.server import KlingServer


class _Lines:
    """The client's lines; a read that blocks is left behind when the server ends."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        line = await anyio.to_thread.run_sync(self._source.readline, abandon_on_cancel=True)
        if not line:
            raise StopAsyncIteration
        return _answerable(line.decode("utf-8", "replace"))


def _answerable(line: str) -> str:
    """The line with U+FFFD for halves of characters: the SDK drops a line with one, and its sender waits for ever."""
    if not may_hold_halves(line):
        return line
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    whole = mended(found)
    return line if whole == found else json.dumps(whole)


class _Out:
    """Our lines to the client."""

    def __init__(self, sink: BinaryIO) -> None:
        self._sink = sink

    async def write(self, text: str) -> None:
        await anyio.to_thread.run_sync(self._sink.write, text.encode())

    async def flush(self) -> None:
        await anyio.to_thread.run_sync(self._sink.flush)


def claim_wire() -> tuple[BinaryIO, BinaryIO]:
    """The real stdin and stdout, for us alone: a stray print goes to stderr, a child process reads an empty stdin."""
    source, sink = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    os.dup2(2, 1)
    return source, sink


async def serve(server: KlingServer, source: BinaryIO, sink: BinaryIO) -> None:
    """One connection, until the client leaves or a signal says so."""
    async with anyio.create_task_group() as group:

        async def until_signalled(*, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
            with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                task_status.started()
                async for _ in signals:
                    group.cancel_scope.cancel()
                    return

        await group.start(until_signalled)
        # The SDK asks for anyio's file objects and uses only what these two offer.
        lines, out = cast("anyio.AsyncFile[str]", _Lines(source)), cast("anyio.AsyncFile[str]", _Out(sink))
        async with stdio_server(lines, out) as (read_stream, write_stream):
            low = server.low_level
            await low.run(read_stream, write_stream, low.create_initialization_options())
        group.cancel_scope.cancel()


def run(server: KlingServer) -> None:
    """Serve this process's own stdin and stdout; does not return."""
    source, sink = claim_wire()
    try:
        anyio.run(serve, server, source, sink)
    finally:
        # A thread may still sit in a read of stdin; an ordinary exit would wait for it.
        sys.stderr.flush()
        os._exit(0)
