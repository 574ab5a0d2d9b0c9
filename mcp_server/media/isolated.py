"""Media work from an event loop, each piece in a process of its own: this is what other rooms call."""

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
from mcp_server.media.compare import Bill, defects_of, differences
from mcp_server.media.fitted_copy import FittedCopy
from mcp_server.media.joining.cut_list import CutList, JoinedFilm
from mcp_server.media.part import sweep
from mcp_server.media.progress import Progress

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


def in_turns(at_once: int = AT_ONCE, *, posters: Path | None = None) -> Callable[[Task, Artifact], Awaitable[Artifact]]:
    """`examined`, for so many clips at a time: many can be ready at once, and a decoder takes what cores it gets."""
    room = asyncio.Semaphore(at_once)

    async def examine(task: Task, artifact: Artifact) -> Artifact:
        async with room:
            return await examined(task, artifact, posters)

    return examine


async def examined(task: Task, artifact: Artifact, posters: Path | None = None) -> Artifact:
    """The artifact with what the file is and how it differs from the order; as it was where nobody can look.

    The same look leaves the clip's poster in that folder.
    """
    if not media.available():
        return artifact
    try:
        left = () if posters is None else (str(poster_at(posters, task)),)
        delivered = Delivered(**json.loads(await _run("look", artifact.path, *left)))
    except (LocalError, OSError, ValueError, TypeError) as error:
        _log.warning("%s could not be looked into: %s", artifact.path, error)
        return artifact
    found = differences(task.ordered, delivered, bill_of(task))
    return replace(artifact, delivered=delivered.facts(), differences=(*artifact.differences, *found))


async def sheet(path: str, shots: Sequence[Mapping[str, Any]] = ()) -> Path:
    """The contact sheet beside this clip, made when it is not there yet; LocalError where it cannot be made."""
    made = Path(path).with_suffix(".sheet.jpg")
    if made.exists():
        return made
    lengths = [shot.get("duration") for shot in shots]
    timed = [] if None in lengths else [str(length) for length in lengths]
    return Path(await _run("sheet", path, *timed))


def poster_at(posters: Path, task: Task) -> Path:
    """Where in that folder the poster of this task's clip is, once it was made."""
    return posters / f"{task.id}.jpg"


async def poster(path: str, made: Path) -> Path:
    """A small picture of this clip at that place, made now; LocalError where it cannot be made."""
    return Path(await _run("poster", path, str(made)))


def last_frame_at(path: str | Path) -> Path:
    """Where the last frame of this clip is, once it was made."""
    return Path(path).with_suffix(".last.png")


async def last_frame(path: str) -> Path:
    """The last frame beside this clip as PNG; LocalError where it cannot be made."""
    made = last_frame_at(path)
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


async def defects(path: str, ordered: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes this clip nothing to build on, a sentence each: broken, black, frozen, too short, silent.

    `ordered` is what `Task.ordered` holds; LocalError where the clip could not be looked into.
    """
    return defects_of(ordered, Delivered(**json.loads(await _run("look", path))))


async def join(cut_list: CutList, on_progress: Callable[[Progress], None] | None = None) -> JoinedFilm:
    """One film out of clips, under its final name, checked; see `joining/cut_list.py` for what goes in and comes out.

    Nothing is there under that name until the film is whole. ClipError names a shot whose file cannot be used,
    LocalError says what else stood in the way (a full disk has `disk_full` among its details); the clips are only ever
    read. Cancelled, it ends its process and leaves nothing. `on_progress` is called a few times a second.
    """
    from mcp_server.media import jobs

    try:
        return JoinedFilm.read(await jobs.run("join", cut_list.facts(), on_progress))
    except BaseException:
        # A process that was killed took its half file not with it.
        sweep(Path(cut_list.target))
        raise


async def fit(path: str, megabytes: float, on_progress: Callable[[Progress], None] | None = None) -> FittedCopy:
    """A copy of this clip in at most so many million bytes, just as long, kept beside it; the clip stays.

    RequestError where no copy of that size can be watched, with the least there is as `least_mb` among its details.
    """
    from mcp_server.media import jobs

    return FittedCopy.read(await jobs.run("fit", {"path": path, "megabytes": megabytes}, on_progress))


def command(*arguments: str) -> tuple[str, ...]:
    """What is started for one piece of media work."""
    return sys.executable, "-P", "-c", _PROGRAM, *arguments


async def _run(*arguments: str) -> str:
    if not media.available():
        raise LocalError("There is nothing to look into clips with", why=media.WITHOUT)
    child = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        out, err = await asyncio.wait_for(child.communicate(), _TIME_S)
    except TimeoutError:
        raise LocalError(f"{arguments[1]} could not be looked into in {_TIME_S:g} s") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode != 0:
        said = err.decode("utf-8", "replace").strip().splitlines()
        why = said[-1] if said else f"the decoder ended with {child.returncode}"
        raise LocalError(f"{arguments[1]} could not be looked into", why=why)
    return out.decode("utf-8")
