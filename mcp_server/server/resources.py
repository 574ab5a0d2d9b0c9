"""Tasks, clips and the catalog as resources a client can read, attach and watch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from mcp_server.domain.task import names_film
from mcp_server.errors import KlingError, UnknownTaskError
from mcp_server.server.caller import owner
from mcp_server.server.tools.replies import BLOB_LIMIT

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer

    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.server.lazy_service import LazyService

JSON_TYPE = "application/json"


def add_resources(server: MCPServer[Any], services: LazyService) -> None:

    @server.resource(
        "kling://models",
        name="models",
        title="Kling models for sale",
        description="Every Kling model, tier and mode that can be bought, and from whom.",
        mime_type=JSON_TYPE,
    )
    async def models() -> str:  # pyright: ignore[reportUnusedFunction]
        return _json((await services.loaded()).models().facts())

    @server.resource(
        "kling://models/{model}",
        name="model",
        title="One Kling model",
        description="Every offer of one Kling model with its limits and prices.",
        mime_type=JSON_TYPE,
    )
    async def model(model: str) -> str:  # pyright: ignore[reportUnusedFunction]
        service = await services.loaded()
        if model not in service.catalog.models:
            raise ResourceNotFoundError(f"Unknown model {model}: known are {', '.join(service.catalog.models)}")
        return _json(service.models(model=model, detail=True).facts())

    @server.resource(
        "kling://spend",
        name="spend",
        title="What was spent on Kling",
        description="The last 30 days by day, vendor and model: quoted against charged. Simulations are not in it.",
        mime_type=JSON_TYPE,
    )
    async def spend() -> str:  # pyright: ignore[reportUnusedFunction]
        return _json((await (await services.ready()).spend(owner=owner())).facts())

    @server.resource(
        "kling://balance",
        name="balance",
        title="What is left with the vendors",
        description="What every vendor with a key says is left on its account, asked now; it costs nothing.",
        mime_type=JSON_TYPE,
    )
    async def balance() -> str:  # pyright: ignore[reportUnusedFunction]
        if owner():
            # One account may stand behind many callers.
            raise ResourceError("What is left on the accounts is shown on the machine that has the keys alone")
        return _json((await (await services.ready()).balances()).facts())

    @server.resource(
        "task://{task_id}",
        name="task",
        title="Kling video task",
        description="One ordered video as it stands: state, cost, file.",
        mime_type=JSON_TYPE,
    )
    async def task(task_id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        return _json((await _found(services, task_id)).facts())

    @server.resource(
        "film://{film_id}",
        name="film",
        title="Film of Kling shots",
        description="A film as it stands: its shots, cost, file.",
        mime_type=JSON_TYPE,
    )
    async def film(film_id: str) -> str:  # pyright: ignore[reportUnusedFunction]
        if not names_film(film_id):
            raise ResourceNotFoundError(f"{film_id} is no film: their ids begin with kf-")
        return _json((await _found(services, film_id)).facts())

    @server.resource(
        "video://{task_id}",
        name="video",
        title="Finished Kling video",
        description="The clip of a finished task or film, up to 8 MiB; above that, where it lies.",
        mime_type="video/mp4",
    )
    async def video(task_id: str) -> str | bytes:  # pyright: ignore[reportUnusedFunction]
        found = await _found(services, task_id)
        if not found.place:
            raise ResourceNotFoundError(f"Task {task_id} is {found.state}; it has no clip to read")
        if not found.video_path or (found.bytes is not None and found.bytes > BLOB_LIMIT):
            places = {"video_path": found.video_path, "video_url": found.video_url, "bytes": found.bytes}
            return _json({key: value for key, value in places.items() if value is not None})
        try:
            return await anyio.to_thread.run_sync(Path(found.video_path).read_bytes)
        except OSError as error:
            raise ResourceNotFoundError(f"The clip is no longer at {found.video_path}: {error.strerror}") from error


async def _found(services: LazyService, any_id: str) -> OrderedAnswer:
    service = await services.ready()
    try:
        return (await service.get_any([any_id], owner=owner()))[0]
    except UnknownTaskError as error:
        raise ResourceNotFoundError(str(error)) from error
    except KlingError as error:
        raise ResourceError(str(error)) from error


def _json(facts: dict[str, Any]) -> str:
    return json.dumps(facts, ensure_ascii=False, indent=1)
