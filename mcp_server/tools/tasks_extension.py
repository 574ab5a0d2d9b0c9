"""MCP Tasks (SEP-2663, `io.modelcontextprotocol/tasks`) for clients that declare it: the same tasks, the same ids.

Such a client gets a task instead of an answer from generate_video and polls it itself; the model sees only the end.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from mcp_server.errors import KlingError, UnknownTaskError
from mcp_server.tools.caller import owner
from mcp_server.tools.replies import order_reply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

    from mcp_server.domain.answers import TaskAnswer
    from mcp_server.tools.late import LateService

EXTENSION: Final = "io.modelcontextprotocol/tasks"
MODERN: Final = frozenset(MODERN_PROTOCOL_VERSIONS)
OFFERED: Final = frozenset({"generate_video"})
"""Tools whose answer may be a task."""


class TaskParams(RequestParams):
    """Which task."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    task_id: str


class UpdateParams(TaskParams):
    """Answers to a task's questions; our tasks ask none, their question comes before the purchase."""

    input_responses: dict[str, Any] | None = None


class TasksExtension(Extension):
    """`tasks/get`, `tasks/cancel`, `tasks/update`, and a task in place of generate_video's answer."""

    identifier = EXTENSION

    def __init__(self, services: LateService) -> None:
        self._services = services

    def methods(self) -> Sequence[MethodBinding]:
        def bound(method: str, params: type[TaskParams], handler: Any) -> MethodBinding:
            return MethodBinding(method=method, params_type=params, handler=handler, protocol_versions=MODERN)

        return [
            bound("tasks/get", TaskParams, self._get),
            bound("tasks/cancel", TaskParams, self._cancel),
            bound("tasks/update", UpdateParams, self._update),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """Order first, in the usual way; then hand out the task where the client understands one."""
        result = await call_next(ctx)
        if params.name not in OFFERED or ctx.protocol_version not in MODERN or not _declared(ctx):
            return result
        if not isinstance(result, CallToolResult) or result.is_error:
            return result
        facts: dict[str, Any] = result.structured_content
        found = await self._find(str(facts["task_id"]))
        # A dict and not a model: the runner would leave out a null ttlMs.
        return {"resultType": "task", **status(found)}

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        found = await self._gate(ctx, params.task_id)
        view = {"resultType": "complete", **status(found)}
        if view["status"] == "completed":
            view["result"] = order_reply(found).model_dump(by_alias=True, mode="json", exclude_none=True)
        return view

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> dict[str, Any]:
        found = await self._gate(ctx, params.task_id)
        if not found.finished_at:
            service = await self._services.ready()
            # The protocol's answer is only "heard"; tasks/get shows what the vendor made of it.
            with suppress(KlingError):
                await service.cancel(params.task_id, owner=owner())
        return {"resultType": "complete"}

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> dict[str, Any]:
        await self._gate(ctx, params.task_id)
        return {"resultType": "complete"}

    async def _gate(self, ctx: ServerRequestContext[Any, Any], task_id: str) -> TaskAnswer:
        """The caller's own task, asked for as the protocol wants it."""
        require_client_extension(ctx, EXTENSION)
        headers = getattr(ctx.request, "headers", None)
        # The SDK compares Mcp-Name only for the protocol's own methods.
        if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER) or "") != task_id:
            raise MCPError(HEADER_MISMATCH, "The Mcp-Name header does not name params.taskId")
        return await self._find(task_id)

    async def _find(self, task_id: str) -> TaskAnswer:
        service = await self._services.ready()
        try:
            return (await service.get([task_id], owner=owner()))[0]
        except UnknownTaskError as error:
            raise MCPError(INVALID_PARAMS, f"Task not found: {task_id}") from error


def status(task: TaskAnswer) -> dict[str, Any]:
    """Our task in the protocol's words. A failed clip is `completed` with an error result: the call itself worked."""
    words = "cancelled" if task.state == "cancelled" else "completed" if task.finished_at else "working"
    shown = f"{task.state} {task.progress}%" if task.progress is not None and words == "working" else task.state
    view: dict[str, Any] = {
        "taskId": task.task_id,
        "status": words,
        "statusMessage": shown,
        "createdAt": task.created_at,
        "lastUpdatedAt": task.updated_at,
        # The record keeps every task.
        "ttlMs": None,
    }
    if task.poll_after_s is not None:
        view["pollIntervalMs"] = int(task.poll_after_s * 1000)
    return view


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities
    return bool(capabilities and capabilities.extensions and EXTENSION in capabilities.extensions)
