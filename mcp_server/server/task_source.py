"""Our orders as MCP tasks: the same record, the same ids, the same owner."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from mcp_server.errors import KlingError, UnknownTaskError
from mcp_server.server.caller import owner
from mcp_server.server.tools.replies import order_reply

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.server.lazy_service import LazyService
    from mcp_server.server.tasks_extension import View


class OrderTasks:
    """The orders of the service as a TaskSource: what was bought with generate_video."""

    def __init__(self, services: LazyService) -> None:
        self._services = services

    @property
    def tools(self) -> Mapping[str, Literal["optional", "required"]]:
        return {"generate_video": "optional"}

    async def view(self, task_id: str) -> View | None:
        service = await self._services.ready()
        try:
            return shown((await service.get([task_id], owner=owner()))[0])
        except UnknownTaskError:
            return None

    async def cancel(self, task_id: str) -> None:
        """Ask the vendor; where it cannot, the task simply goes on."""
        service = await self._services.ready()
        with suppress(KlingError):
            await service.cancel(task_id, owner=owner())

    async def update(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Nothing: our only question comes before the purchase, when there is no task yet."""


def shown(task: TaskAnswer) -> View:
    """One order in the protocol's words. A failed clip is `completed` with an error: the call itself worked."""
    status = "cancelled" if task.state == "cancelled" else "completed" if task.finished_at else "working"
    moving = task.progress is not None and status == "working"
    view: View = {
        "taskId": task.task_id,
        "status": status,
        "statusMessage": f"{task.state} {task.progress}%" if moving else task.state,
        "createdAt": task.created_at,
        "lastUpdatedAt": task.updated_at,
        # The record keeps every task.
        "ttlMs": None,
    }
    if task.poll_after_s is not None:
        view["pollIntervalMs"] = int(task.poll_after_s * 1000)
    if status == "completed":
        view["result"] = order_reply(task).model_dump(by_alias=True, mode="json", exclude_none=True)
    return view
