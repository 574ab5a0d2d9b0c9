"""The tools that never spend: estimate_cost, list_models, get_task, list_tasks."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from mcp_types import CallToolResult, ImageContent

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.answers.tasks import fitted_answer
from mcp_server.errors import KlingError, LocalError, NoOfferError
from mcp_server.media.fitted_copy import FittedCopy
from mcp_server.ordering import earlier
from mcp_server.server.tools import catalog_answers
from mcp_server.server.tools.replies import clip_links, reply, task_reply

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.server.tools.tool import Call
    from mcp_server.service import Service

COPY_S = 20.0
"""How long a copy is waited for, after its task: together less than the minute that clients wait."""
PREVIEWS = 6
"""At most 150 kB each: more would crowd out the conversation."""


async def estimate_cost(call: Call) -> CallToolResult:
    """The price of what generate_video would buy, or of the film it would plan."""
    service = await (call.services.ready() if earlier.named(call.arguments) else call.services.loaded())
    try:
        return reply(await catalog_answers.estimate(service, call.arguments, owner=call.owner))
    except NoOfferError:
        film = await (await call.services.ready()).film_price(call.arguments, owner=call.owner)
        if film is None:
            raise
        return reply(film.facts())


async def list_models(call: Call) -> CallToolResult:
    """What can be bought from whom."""
    return reply(catalog_answers.models(await call.services.loaded(), call.arguments))


async def get_task(call: Call) -> CallToolResult:
    """Tasks as they stand, after waiting for them if that was asked."""
    wanted = call.arguments
    service = await call.services.ready()
    one = wanted.task_id is not None
    ids = [wanted.task_id] if one else list(dict.fromkeys(wanted.task_ids))
    await service.go_on(ids, owner=call.owner)
    found = await service.get_any(
        ids,
        wait_s=wanted.wait_s,
        until=wanted.until,
        owner=call.owner,
        on_progress=Progress(call).tell,
    )
    if wanted.fit_mb is not None:
        found = await fitted(service, found, wanted.fit_mb, call.owner)
    pictures: list[ImageContent] = []
    if wanted.preview:
        found, pictures = await previewed(service, found, call.owner)
    if one:
        return task_reply(found[0], *pictures)
    return reply({"tasks": [each.facts() for each in found]}, *clip_links(found), *pictures)


async def previewed(
    service: Service, found: list[OrderedAnswer], owner: str
) -> tuple[list[OrderedAnswer], list[ImageContent]]:
    """A contact sheet for each finished clip or film; where none can be made, it says why."""
    shown: list[OrderedAnswer] = []
    pictures: list[ImageContent] = []
    for each in found:
        note = each.note
        if each.state == "succeeded" and len(pictures) < PREVIEWS:
            try:
                path = await service.sheet(each.id, owner=owner)
                data = await anyio.to_thread.run_sync(path.read_bytes)
                pictures.append(ImageContent(type="image", data=b64encode(data).decode(), mime_type="image/jpeg"))
                last = await service.last_frame(each.id, owner=owner)
                # No field of its own: every tool that answers with tasks would announce it.
                note = f"{note} The last frame: {await service.handed(last)}".strip()
            except (LocalError, OSError) as error:
                note = f"{note} No preview: {error}".strip()
        shown.append(each.model_copy(update={"note": note}))
    return shown, pictures


async def fitted(service: Service, found: list[OrderedAnswer], megabytes: float, owner: str) -> list[OrderedAnswer]:
    """A copy of each finished clip or film that is no larger; where there is none, or not yet, it says why."""

    async def copied(each: OrderedAnswer) -> OrderedAnswer:
        if each.state != "succeeded":
            return each
        try:
            made = await service.fitted(each.id, megabytes, owner=owner, wait_s=COPY_S)
        except KlingError as error:
            return each.model_copy(update={"note": f"{each.note} No copy: {error.story}".strip()})
        if isinstance(made, FittedCopy):
            made = replace(made, path=await service.handed(Path(made.path)))
        return fitted_answer(each, made, megabytes)

    return list(await asyncio.gather(*map(copied, found)))


async def list_tasks(call: Call) -> CallToolResult:
    wanted = call.arguments
    service = await call.services.ready()
    found = await service.tasks(
        search=wanted.search, state=wanted.state, provider=wanted.provider, limit=wanted.limit, owner=call.owner
    )
    return reply(found.facts())


class Progress:
    """Progress notifications that only ever go up, as the protocol wants it."""

    def __init__(self, call: Call) -> None:
        self._context = call.context
        self._last = -1.0

    async def tell(self, found: Sequence[OrderedAnswer]) -> None:
        """One notification about all that is waited for; the SDK sends none when the client asked for none."""
        ended = all(each.finished_at for each in found)
        percent = sum(map(_done, found)) / len(found)
        # 100 is kept for the end; a vendor that gives no percent, or takes one back, still shows that something lives.
        shown = 100.0 if ended else max(percent * 0.99, self._last + 0.01)
        if shown <= self._last:
            return
        self._last = shown
        await self._context.report_progress(
            round(shown, 2), 100, ", ".join(dict.fromkeys(_line(each) for each in found))
        )


def _done(found: OrderedAnswer) -> int:
    if isinstance(found, FilmAnswer):
        return found.done
    return 100 if found.finished_at else found.progress or 0


def _line(found: OrderedAnswer) -> str:
    if isinstance(found, FilmAnswer) and found.state == "filming":
        return f"filming, {found.made} of {len(found.shots)} shots made"
    return f"{found.state} {found.progress}%" if found.progress is not None else found.state
