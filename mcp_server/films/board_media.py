"""What a board names on this machine and in this record: looked up, looked for, and nobody else's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.task import names_task
from mcp_server.errors import RequestError
from mcp_server.films.board import Board
from mcp_server.ordering import earlier, limits
from mcp_server.providers.media_inputs import kind_of, located

if TYPE_CHECKING:
    from mcp_server.object_store import ObjectStore
    from mcp_server.tasks.store.base import TaskStore


async def resolved(board: Board, store: TaskStore, owner: str, objects: ObjectStore) -> tuple[Board, tuple[str, ...]]:
    """The board with files in the place of task ids, and which of those tasks are simulations."""
    simulations: list[str] = []

    async def file(medium: str | None, place: Literal["image", "video"]) -> str | None:
        if medium is None or not names_task(medium):
            return medium
        named = VideoArguments.model_validate({place: medium})
        found = await earlier.found(named, store, owner, making=True, objects=objects)
        simulations.extend(found.simulated)
        return str(found.media[place])

    shots = [
        shot.model_copy(
            update={
                "image": await file(shot.image, "image"),
                "end_image": await file(shot.end_image, "image"),
                "clip": await _there(await file(shot.clip, "video"), shot.id),
            }
        )
        for shot in board.shots
    ]
    cast = {
        name: one.model_copy(update={"pictures": [await file(picture, "image") for picture in one.pictures]})
        for name, one in board.cast.items()
    }
    if board.sound is not None:
        await _there(board.sound, "sound")
    resolved = board.model_copy(update={"shots": shots, "cast": cast})
    return resolved, tuple(dict.fromkeys(simulations))


def own_files(board: Board, output_dir: str | None, owner: str) -> None:
    """Somebody who came over the network names no files of this machine, in no part of a board."""
    if not owner:
        return
    pictures = [picture for one in board.cast.values() for picture in one.pictures]
    media_of = [medium for shot in board.shots for medium in (shot.image, shot.end_image, shot.clip) if medium]
    limits.own_files(
        VideoArguments.model_validate({"references": [*pictures, *media_of][:50], "audio_file": board.sound}), owner
    )
    for medium in [*pictures, *media_of]:
        limits.own_files(VideoArguments.model_validate({"image": medium}), owner)
    if output_dir is not None:
        limits.own_files(VideoArguments.model_validate({"output_dir": output_dir}), owner)


async def _there(clip: str | None, whose: str) -> str | None:
    """The whole path of a file that is used as it is; a refusal where it is not there."""
    if clip is None:
        return None
    if kind_of(clip) != "file":
        raise RequestError(
            f"shot {whose!r}: only files of this machine and tasks of this record can be used as they are",
            next_step="Download it first, and give its path",
        )
    path = located(clip)
    if path is None or not await asyncio.to_thread(path.is_file):
        raise RequestError(f"shot {whose!r}: there is no file {path}", next_step="Check the path, or name a task_id")
    return str(path)
