"""What an order takes from earlier tasks: one to build on, and the files and last frames of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mcp_server.domain.task import is_task_id, names_task
from mcp_server.errors import LocalError, RequestError
from mcp_server.ordering import limits
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.task import Task
    from mcp_server.object_store import ObjectStore
    from mcp_server.tasks.store.base import TaskStore

PLACES: Final = ("image", "end_image", "references", "video")
"""Arguments in which a task id stands for that task's clip: its file for `video`, else its last frame."""


@dataclass(frozen=True, slots=True)
class SourceTask:
    """A finished task of ours that a new one builds on."""

    provider: str
    job_id: str
    simulated: bool
    id: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What was found in the record of all that an order names there."""

    source: SourceTask | None = None
    media: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Argument → the same with a file in the place of every task id."""
    simulated: tuple[str, ...] = ()
    """Tasks among those media that are simulations."""


def named(arguments: VideoArguments) -> bool:
    """Whether any argument may name a task of the record, or what an earlier order was made with."""
    return bool(
        arguments.source_task
        or arguments.again
        or any(names_task(text) or is_object(text) for text in _texts(arguments))
    )


async def found(
    arguments: VideoArguments, store: TaskStore, owner: str, *, making: bool, objects: ObjectStore
) -> Earlier:
    """Everything these arguments name in the record, or the refusal of what cannot be used; `making` takes frames."""
    media: dict[str, Any] = {}
    simulated: list[str] = []

    async def here(place: str) -> Path:
        return await objects.local(place) if making or not is_object(place) else objects.place(place)

    async def used(place: str, text: str) -> str:
        if not names_task(text):
            return str(await here(text)) if arguments.keeps(place, text) else text
        task = await store.get(text.strip(), owner)
        path = await here(_clip(task, place))
        if task.simulated:
            simulated.append(task.id)
        return str(path if place == "video" else await _frame(task, path, place, making=making))

    def looked_up(name: str, text: str) -> bool:
        return names_task(text) or arguments.keeps(name, text)

    for name in (*PLACES, "audio_file"):
        given: str | list[str] | None = getattr(arguments, name)
        if isinstance(given, list):
            if any(looked_up(name, text) for text in given):
                media[name] = [await used(name, text) for text in given]
        elif given is not None and looked_up(name, given) and (name in PLACES or is_object(given)):
            media[name] = await used(name, given)
    return Earlier(
        source=await _source(arguments, store, owner), media=media, simulated=tuple(dict.fromkeys(simulated))
    )


def _texts(arguments: VideoArguments) -> list[str]:
    given = [getattr(arguments, name) for name in (*PLACES, "audio_file") if name != "references"]
    return [*filter(None, given), *(arguments.references or ())]


def _clip(task: Task, place: str) -> str:
    """Where the task's file is; in an object store it is until it is fetched in vain."""
    if task.state != "succeeded" or task.artifact is None:
        raise RequestError(
            f"Task {task.id} is {task.state}: there is no clip of it for `{place}`",
            next_step="Wait until get_task says that it has succeeded, then call again"
            if not task.finished
            else "Name a task that succeeded, or give a file or an address",
        )
    path = task.artifact.path
    if not is_object(path) and not Path(path).is_file():
        raise RequestError(
            f"The clip of task {task.id} is not there any more: {path}",
            why=f"it was moved or deleted, and `{place}` is made of it",
            next_step="Put the file back, or give its path or address instead of the task id",
        )
    return path


async def _frame(task: Task, path: Path, place: str, *, making: bool) -> Path:
    """The last frame of the clip, made in a process of its own; an estimate only asks whether it could be."""
    from mcp_server import media
    from mcp_server.media import isolated

    otherwise = f"Give a picture as `{place}` instead"
    if not media.available():
        raise RequestError(
            f"No last frame can be taken of task {task.id} for `{place}`", why=media.WITHOUT, next_step=otherwise
        )
    if not making:
        return isolated.last_frame_at(path)
    try:
        return await isolated.last_frame(str(path))
    except LocalError as error:
        raise RequestError(
            f"No last frame can be taken of task {task.id} for `{place}`",
            why=error.why or error.what,
            next_step=otherwise,
        ) from error


async def _source(arguments: VideoArguments, store: TaskStore, owner: str) -> SourceTask | None:
    """The finished task to build on, by our id or its vendor's; None where it is nobody's here."""
    name = arguments.source_task
    if name is None:
        return None
    task = await (store.get(name, owner) if is_task_id(name) else limits.own_job(store, name, owner))
    if task is None:
        return None
    if task.state not in ("succeeded", "saving") or task.job_id is None:
        raise RequestError(
            f"Task {name} is {task.state}; only a finished clip can be built on",
            next_step="Wait until it has succeeded, or name another source_task",
        )
    return SourceTask(task.provider, task.job_id, task.simulated, task.id, task.model)
