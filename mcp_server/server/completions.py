"""Completing model, mode, tier, provider and task names while a person types."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_types import Completion

from mcp_server.domain.vocabulary import MODES, TIERS
from mcp_server.server.caller import owner

if TYPE_CHECKING:
    from mcp.server.mcpserver import MCPServer
    from mcp_types import (
        CompletionArgument,
        CompletionContext,
        PromptReference,
        ResourceTemplateReference,
    )

    from mcp_server.server.lazy_service import LazyService

AT_MOST = 100
"""What the protocol allows in one answer."""
TYPICAL_SECONDS = ("5", "10", "15")


def add_completions(server: MCPServer[Any], services: LazyService) -> None:
    """One handler for every argument of every prompt and template."""

    @server.completion()
    async def complete(  # pyright: ignore[reportUnusedFunction]
        ref: PromptReference | ResourceTemplateReference,  # noqa: ARG001 - the same name means the same everywhere
        argument: CompletionArgument,
        context: CompletionContext | None,  # noqa: ARG001
    ) -> Completion:
        known = await _known(services, argument.name)
        typed = argument.value.lower()
        starts = [value for value in known if value.lower().startswith(typed)]
        inside = [value for value in known if typed in value.lower() and value not in starts]
        found = starts + inside
        return Completion(values=found[:AT_MOST], total=len(found), has_more=len(found) > AT_MOST)


async def _known(services: LazyService, name: str) -> list[str]:
    match name:
        case "model":
            return list((await services.loaded()).catalog.models)
        case "provider":
            return list((await services.loaded()).catalog.providers)
        case "mode":
            return list(MODES)
        case "tier":
            return list(TIERS)
        case "seconds":
            return list(TYPICAL_SECONDS)
        case "task_id":
            service = await services.ready()
            return [task.task_id for task in (await service.tasks(limit=AT_MOST, owner=owner())).tasks]
        case "film_id":
            service = await services.ready()
            return [film.film_id for film in await service.films.find(owner=owner(), limit=AT_MOST)]
        case _:
            return []
