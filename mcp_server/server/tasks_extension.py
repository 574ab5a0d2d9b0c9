"""MCP Tasks (SEP-2663, `io.modelcontextprotocol/tasks`), for clients that declare it; the SDK has none.

Such a client gets a task instead of an answer and polls it itself; the model sees only the end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import MCP_NAME_HEADER, decode_header_value
from mcp_types import HEADER_MISMATCH, INVALID_PARAMS, CallToolRequestParams, CallToolResult, RequestParams
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

EXTENSION: Final = "io.modelcontextprotocol/tasks"
MODERN: Final = frozenset(MODERN_PROTOCOL_VERSIONS)

View = dict[str, Any]
"""A task in the protocol's words; `result`, `error` and `inputRequests` only where tasks/get may show them."""


class TaskParams(RequestParams):
    """Names one task, as every method of the extension does."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    task_id: str


class UpdateParams(TaskParams):
    """Answers to what a task asked."""

    input_responses: dict[str, Any] | None = None


class TaskSource(Protocol):
    """One kind of task, as the extension shows and stops it."""

    @property
    def tools(self) -> Mapping[str, Literal["optional", "required"]]:
        """Tools whose answer may be a task; `required` ones refuse clients that know no tasks."""
        ...

    async def view(self, task_id: str) -> View | None:
        """The caller's own task as it stands; None when there is none."""
        ...

    async def cancel(self, task_id: str) -> None:
        """Ask for an end; tasks/get shows what became of it."""
        ...

    async def update(self, task_id: str, responses: Mapping[str, Any]) -> None:
        """Take answers to what the task asked."""
        ...


class TasksExtension(Extension):
    """`tasks/get`, `tasks/cancel`, `tasks/update`, and a task in place of a tool's answer."""

    identifier = EXTENSION

    def __init__(self, *sources: TaskSource) -> None:
        self.sources = list(sources)

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
        """Call the tool in the usual way; then answer with the task where the client understands one."""
        source = next((source for source in self.sources if params.name in source.tools), None)
        if source is None:
            return await call_next(ctx)
        if source.tools[params.name] == "required":
            require_client_extension(ctx, EXTENSION)
        result = await call_next(ctx)
        if not _declared(ctx):
            return result
        task_id = _task_id(result)
        view = await source.view(task_id) if task_id else None
        if view is None:
            return result
        # A dict and not a model: the runner would leave out a null ttlMs.
        ends = ("result", "error", "inputRequests")
        return {"resultType": "task", **{key: part for key, part in view.items() if key not in ends}}

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> View:
        _, view = await self._found(ctx, params.task_id)
        return {"resultType": "complete", **view}

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: TaskParams) -> View:
        source, view = await self._found(ctx, params.task_id)
        if view["status"] not in ("completed", "failed", "cancelled"):
            await source.cancel(params.task_id)
        return {"resultType": "complete"}

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: UpdateParams) -> View:
        source, _ = await self._found(ctx, params.task_id)
        await source.update(params.task_id, params.input_responses or {})
        return {"resultType": "complete"}

    async def _found(self, ctx: ServerRequestContext[Any, Any], task_id: str) -> tuple[TaskSource, View]:
        """The caller's own task, asked for as the protocol wants it."""
        require_client_extension(ctx, EXTENSION)
        headers = getattr(ctx.request, "headers", None)
        # The SDK compares Mcp-Name only for the protocol's own methods.
        if headers is not None and decode_header_value(headers.get(MCP_NAME_HEADER)) != task_id:
            raise MCPError(HEADER_MISMATCH, "The Mcp-Name header does not name params.taskId")
        for source in self.sources:
            view = await source.view(task_id)
            if view is not None:
                return source, view
        raise MCPError(INVALID_PARAMS, f"Task not found: {task_id}")


def _task_id(result: HandlerResult) -> str:
    """The task a tool answered with; empty where it answered with none."""
    if not isinstance(result, CallToolResult) or result.is_error:
        return ""
    facts: dict[str, Any] = result.structured_content or {}
    return str(facts.get("task_id", ""))


def _declared(ctx: ServerRequestContext[Any, Any]) -> bool:
    capabilities = ctx.session.client_capabilities if ctx.protocol_version in MODERN else None
    return bool(capabilities and capabilities.extensions and EXTENSION in capabilities.extensions)
