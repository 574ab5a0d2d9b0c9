"""Long media work from an event loop: a process of its own that says how far it is and ends with whoever wants it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from typing import Any, Final

from mcp_server import media
from mcp_server.errors import ClipError, KlingError, LocalError, RequestError
from mcp_server.media.isolated import command
from mcp_server.media.progress import Progress

QUIET_S: Final = 300.0
"""Without a word for so long it is stuck; a 4K picture takes a second on a slow machine."""
_GRACE_S: Final = 3.0
_LINE: Final = 16 * 1024**2
_WORDS: Final = ("code", "what", "why", "next_step", "money")


async def run(what: str, order: Mapping[str, Any], on_progress: Callable[[Progress], None] | None) -> dict[str, Any]:
    """The job's result; the error it ended with, as what it was there."""
    if not media.available():
        raise LocalError("There is nothing to join or change clips with", why=media.WITHOUT)
    child = await asyncio.create_subprocess_exec(*command(what), stdin=PIPE, stdout=PIPE, stderr=PIPE, limit=_LINE)
    words = asyncio.create_task(_last_words(child))
    try:
        return await _told(child, order, words, on_progress)
    finally:
        await _ended(child)
        words.cancel()


async def _told(
    child: Process,
    order: Mapping[str, Any],
    words: asyncio.Task[str],
    on_progress: Callable[[Progress], None] | None,
) -> dict[str, Any]:
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        child.stdin.write(json.dumps(order).encode() + b"\n")
        await child.stdin.drain()
    while True:
        try:
            line = await asyncio.wait_for(child.stdout.readline(), QUIET_S)
        except TimeoutError:
            raise LocalError(f"The work on the film stood still for {QUIET_S:g} s and was ended") from None
        if not line:
            code = await child.wait()
            raise LocalError("The work on the film broke off", why=await words or f"its process ended with {code}")
        said = json.loads(line)
        if "done" in said:
            return said["done"]
        if "error" in said:
            raise _error(said["error"])
        if on_progress is not None:
            on_progress(Progress(**said["progress"]))


def _error(facts: Mapping[str, Any]) -> KlingError:
    """The error as it was raised there."""
    said = {name: facts.get(name, "") for name in ("why", "next_step")}
    details = {name: value for name, value in facts.items() if name not in _WORDS}
    if "shot" in details:
        return ClipError(facts["what"], shot=details["shot"], **said)
    kind = RequestError if facts.get("code") == RequestError.code else LocalError
    return kind(facts["what"], details=details, **said)


async def _last_words(child: Process) -> str:
    """The last line it wrote about itself; FFmpeg's warnings before it are read, so that the pipe never fills."""
    assert child.stderr is not None
    last = ""
    with contextlib.suppress(ValueError):
        async for line in child.stderr:
            last = line.decode("utf-8", "replace").strip() or last
    return last


async def _ended(child: Process) -> None:
    """Asked to end it takes its half file with it; what does not listen is killed."""
    if child.stdin is not None:
        child.stdin.close()
    if child.returncode is None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(child.wait(), _GRACE_S)
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()
