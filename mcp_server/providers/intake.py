"""Local media on their way to a vendor, before anything is paid: uploaded where possible, else as data: URIs."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from mcp_server.domain.request import VideoRequest
from mcp_server.errors import ProviderError
from mcp_server.providers import media, uploads
from mcp_server.providers.accounts import origin
from mcp_server.providers.addresses import unfit
from mcp_server.providers.media import Kind, Material

if TYPE_CHECKING:
    from mcp_server.providers.accounts import Account
    from mcp_server.providers.transport import Transport


async def sendable(
    request: VideoRequest, given: Mapping[str, Kind], account: Account, transport: Transport
) -> VideoRequest:
    """The request with every local picture, clip and recording where the vendor can fetch or read it."""
    local = {place: text for place, text in media.inputs(request) if given.get(place) in ("data", "file")}
    addresses: dict[str, str] = {}
    for place, text in local.items():
        material = await asyncio.to_thread(media.load, place, text, account.facts)
        if "upload" in account.facts.media_inputs:
            addresses[place] = await _uploaded(material, account, transport)
        else:
            addresses[place] = material.data_uri
    return media.placed(request, addresses) if addresses else request


async def _uploaded(material: Material, account: Account, transport: Transport) -> str:
    steps = uploads(account.facts)
    target = steps.read_prepared(await transport.ask(account, steps.prepare(material.name, material.content)))
    if origin(target.url) not in account.trusted_origins and (reason := unfit(target.url)):
        raise ProviderError(
            f"{account.facts.name} names an upload address that is not followed ({reason})",
            fault="unreadable",
            provider=account.facts.id,
            next_step="Give a public https address of the file instead",
        )
    async with transport.slot(account):
        reply = await transport.send(account, steps.put(target, material.content))
    steps.read_put(reply)
    return steps.read_confirmed(await transport.ask(account, steps.confirm(target))).url
