"""The same looks from an event loop, each in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_server import media, places
from mcp_server.domain.delivered import Delivered
from mcp_server.errors import LocalError
from mcp_server.media.compare import Bill, differences

if TYPE_CHECKING:
    from mcp_server.domain.task import Artifact, Task

_log = logging.getLogger("kling_video.media")
AT_ONCE = 2
_TIME_S = 120.0
"""A ten-second 4K clip takes two seconds on two cores; what takes this long is stuck."""
# With -P and this very package at the end of the path: the folder a client starts us in may hold an `av.py` of its own.
_PROGRAM = (
    f"import sys; sys.path.append({str(places.PACKAGE.parent)!r}); "
    "from mcp_server.media.child import main; sys.exit(main(sys.argv[1:]))"
)


def in_turns(at_once: int = AT_ONCE) -> Callable[[Task, Artifact], Awaitable[Artifact]]:
    """`examined`, for so many clips at a time: many can be ready at once, and a decoder takes what cores it gets."""
    room = asyncio.Semaphore(at_once)

    async def examine(task: Task, artifact: Artifact) -> Artifact:
        async with room:
            return await examined(task, artifact)

    return examine


async def examined(task: Task, artifact: Artifact) -> Artifact:
    """The artifact with what the file is and how it differs from the order; as it was where nobody can look."""
    if not media.available():
        return artifact
    try:
        delivered = Delivered(**json.loads(await _run("look", artifact.path)))
    except (LocalError, OSError, ValueError, TypeError) as error:
        _log.warning("%s could not be looked into: %s", artifact.path, error)
        return artifact
    found = differences(task.ordered, delivered, bill_of(task))
    return replace(artifact, delivered=delivered.facts(), differences=found)


async def sheet(path: str, shots: Sequence[Mapping[str, Any]] = ()) -> Path:
    """The contact sheet beside this clip, made when it is not there yet; LocalError where it cannot be made."""
    made = Path(path).with_suffix(".sheet.jpg")
    if made.exists():
        return made
    lengths = [shot.get("duration") for shot in shots]
    timed = [] if None in lengths else [str(length) for length in lengths]
    return Path(await _run("sheet", path, *timed))


async def last_frame(path: str) -> Path:
    """The last frame beside this clip as PNG; LocalError where it cannot be made."""
    made = Path(path).with_suffix(".last.png")
    return made if made.exists() else Path(await _run("last", path))


def bill_of(task: Task) -> Bill:
    """What this task's quote and settlement say about the money."""
    if task.simulated:
        return Bill()
    settlement = task.settlement
    reported = settlement is not None and settlement.basis == "reported"
    seconds = task.ordered.get("duration")
    # Only a rate per second multiplies the seconds; a price per clip does not (see pricing.quote).
    by_the_second = str(task.quote.get("arithmetic", "")).startswith(f"{seconds} s × ")
    rate = task.quote_amount / seconds if task.quote_amount is not None and seconds and by_the_second else None
    return Bill(
        quoted=task.quote_amount,
        charged=settlement.amount if settlement is not None and reported else None,
        per_second=rate,
        currency=task.quote_currency,
    )


async def _run(*arguments: str) -> str:
    if not media.available():
        raise LocalError("There is nothing to look into clips with", why=media.WITHOUT, money="unknown")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-P", "-c", _PROGRAM, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), _TIME_S)
    except TimeoutError:
        raise LocalError(f"{arguments[1]} could not be looked into in {_TIME_S:g} s", money="unknown") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode != 0:
        said = err.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"the decoder ended with {child.returncode}"
        raise LocalError(f"{arguments[1]} could not be looked into", why=why, money="unknown")
    return out.decode("utf-8")
