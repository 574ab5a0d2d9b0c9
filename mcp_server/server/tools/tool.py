"""One MCP tool whose arguments, answer and refusals are worded here instead of by the SDK."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver.tools import Tool
from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase, FuncMetadata
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations

from mcp_server import places
from mcp_server.errors import KlingError
from mcp_server.server.caller import owner
from mcp_server.server.refusals import crash, refusal
from mcp_server.server.tools.declarations import PLAYER

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context

    from mcp_server.server.lazy_service import LazyService
    from mcp_server.server.tools.declarations import Declared


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its handler sees it."""

    arguments: Any
    """An instance of the tool's shape."""
    services: LazyService
    context: Context[Any, Any]
    owner: str


Handler = Callable[[Call], Awaitable[CallToolResult | InputRequiredResult]]


class KlingTool(Tool):
    """Reads its arguments strictly and never lets an exception speak for itself."""

    async def run(self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - the SDK's signature; what comes back is a finished result either way
        """The answer, or the refusal as a tool error."""
        try:
            return await self.fn(arguments, context)
        except KlingError as error:
            return refusal(error)
        except MCPError:
            raise
        except Exception as error:
            return crash(self.name, error)


def make_tool(declared: Declared, handler: Handler, services: LazyService) -> KlingTool:
    """The tool as announced, bound to its handler."""

    async def run(arguments: dict[str, Any], context: Context[Any, Any]) -> CallToolResult | InputRequiredResult:
        # The shapes are built at the first call, not at the handshake, and as all it takes: beside the loop.
        await services.loaded()
        from mcp_server.domain.parsing import read
        from mcp_server.server.tools.arguments import ARGUMENTS

        return await handler(Call(read(ARGUMENTS[declared.name], arguments), services, context, owner()))

    return KlingTool(
        fn=run,
        name=declared.name,
        title=declared.title,
        description=declared.description,
        parameters=published(f"{declared.name}.input"),
        fn_metadata=FuncMetadata(arg_model=ArgModelBase, output_schema=published(f"{declared.name}.output")),
        is_async=True,
        context_kwarg=None,
        annotations=ToolAnnotations(
            title=declared.title,
            read_only_hint=declared.read_only,
            destructive_hint=declared.destructive,
            idempotent_hint=declared.idempotent,
            open_world_hint=declared.open_world,
        ),
        meta={"ui": {"resourceUri": PLAYER}} if declared.player else None,
    )


def published(name: str) -> dict[str, Any]:
    """A schema from `schemas/tools/`, generated from the shapes and checked for drift."""
    schema = json.loads((places.schemas() / "tools" / f"{name}.json").read_text(encoding="utf-8"))
    # 2020-12 is what MCP assumes; saying it six times costs every session its bytes.
    del schema["$schema"]
    return schema
