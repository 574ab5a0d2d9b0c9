"""The tools that never spend: estimate_cost, list_models, get_task, list_tasks."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

import anyio
from mcp_types import CallToolResult, ImageContent

from mcp_server.errors import LocalError
from mcp_server.server.tools.replies import clip_links, reply, task_reply

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.server.tools.tool import Call
    from mcp_server.service import Service

PREVIEWS = 6
"""At most 150 kB each: more would crowd out the conversation."""


async def estimate_cost(call: Call) -> CallToolResult:
    """The price of what generate_video would buy."""
    # `source_task` may name a task in the record.
    service = await call.services.ready() if call.arguments.source_task else call.services.get()
    return reply((await service.estimate(call.arguments, owner=call.owner)).facts())


async def list_models(call: Call) -> CallToolResult:
    """What can be bought from whom."""
    wanted = call.arguments
    service = call.services.get()
    found = service.models(
        provider=wanted.provider, model=wanted.model, tier=wanted.tier, mode=wanted.mode, detail=wanted.detail
    )
    return reply(found.facts())


async def get_task(call: Call) -> CallToolResult:
    """Tasks as they stand, after waiting for them if that was asked."""
    wanted = call.arguments
    service = await call.services.ready()
    one = wanted.task_id is not None
    found = await service.get(
        [wanted.task_id] if one else list(dict.fromkeys(wanted.task_ids)),
        wait_s=wanted.wait_s,
        until=wanted.until,
        owner=call.owner,
        on_progress=Progress(call).tell,
    )
    pictures: list[ImageContent] = []
    if wanted.preview:
        found, pictures = await previewed(service, found, call.owner)
    if one:
        return task_reply(found[0], *pictures)
    return reply({"tasks": [task.facts() for task in found]}, *clip_links(found), *pictures)


async def previewed(
    service: Service, tasks: list[TaskAnswer], owner: str
) -> tuple[list[TaskAnswer], list[ImageContent]]:
    """A contact sheet for each finished clip; where none can be made, the task says why."""
    shown: list[TaskAnswer] = []
    pictures: list[ImageContent] = []
    for task in tasks:
        note = task.note
        if task.state == "succeeded" and len(pictures) < PREVIEWS:
            try:
                path = await service.sheet(task.task_id, owner=owner)
                data = await anyio.to_thread.run_sync(path.read_bytes)
                pictures.append(ImageContent(type="image", data=b64encode(data).decode(), mime_type="image/jpeg"))
            except (LocalError, OSError) as error:
                note = f"{note} No preview: {error}".strip()
        shown.append(task.model_copy(update={"note": note}))
    return shown, pictures


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

    async def tell(self, tasks: list[TaskAnswer]) -> None:
        """One notification about all tasks that are waited for; the SDK sends none when the client asked for none."""
        ended = all(task.finished_at for task in tasks)
        percent = sum(100 if task.finished_at else task.progress or 0 for task in tasks) / len(tasks)
        # 100 is kept for the end; a vendor that gives no percent, or takes one back, still shows that something lives.
        shown = 100.0 if ended else max(percent * 0.99, self._last + 0.01)
        if shown <= self._last:
            return
        self._last = shown
        await self._context.report_progress(
            round(shown, 2), 100, ", ".join(dict.fromkeys(_line(task) for task in tasks))
        )


def _line(task: TaskAnswer) -> str:
    return f"{task.state} {task.progress}%" if task.progress is not None else task.state
