"""The tools that never spend: estimate_cost, list_models, get_task, list_tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_types import CallToolResult

from mcp_server.tools.replies import clip_links, reply, task_reply

if TYPE_CHECKING:
    from mcp_server.domain.answers import TaskAnswer
    from mcp_server.tools.tool import Call


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
    if one:
        return task_reply(found[0])
    return reply({"tasks": [task.facts() for task in found]}, *clip_links(found))


async def list_tasks(call: Call) -> CallToolResult:
    """Earlier purchases."""
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
