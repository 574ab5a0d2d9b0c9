"""What `estimate_cost` and `list_models` say; it needs neither the SDK nor, in most cases, the record."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from mcp_server.ordering import earlier
from mcp_server.server.turns import loading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_server.server.tools.arguments import EstimateArguments, ListModelsArguments
    from mcp_server.service import Service


async def estimate(service: Service, wanted: EstimateArguments, *, owner: str = "") -> dict[str, Any]:
    """The price of what generate_video would buy; NoOfferError where it would be a film."""
    found = await service.estimate(wanted, owner=owner)
    return (found if wanted.all else found.short()).facts()


def models(service: Service, wanted: ListModelsArguments) -> dict[str, Any]:
    """What can be bought from whom."""
    return service.models(
        provider=wanted.provider, model=wanted.model, tier=wanted.tier, mode=wanted.mode, detail=wanted.detail
    ).facts()


def early(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The same before the SDK is imported; None where it is needed, or the record, or the tool refuses."""
    try:
        return _early(tool, arguments)
    except Exception:
        # The SDK's tool comes to the same end, and puts it into words.
        return None


def _early(tool: str, arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    service = _made()
    from mcp_server.domain.parsing import read
    from mcp_server.server.tools.arguments import EstimateArguments, ListModelsArguments

    if tool == "list_models":
        return models(service, read(ListModelsArguments, arguments))
    wanted = read(EstimateArguments, arguments)
    if earlier.named(wanted):
        return None
    import asyncio

    return asyncio.run(estimate(service, wanted))


@cache
def _made() -> Service:
    with loading():
        from mcp_server.composition import build
        from mcp_server.server.tools import arguments

        del arguments
        service = build()
        _ = service.catalog
    return service
