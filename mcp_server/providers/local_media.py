"""Local media on their way to a vendor: looked at before an order is recorded, and the same bytes sent after."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mcp_server.domain.catalog import Provider
from mcp_server.domain.request import VideoRequest
from mcp_server.domain.task import LocalMedium, Task
from mcp_server.errors import ProviderError, RequestError
from mcp_server.providers import media_inputs, uploads
from mcp_server.providers.destinations import Resolve, UnfitError, checked, header_unfit, look_up
from mcp_server.providers.media_addresses import unfit
from mcp_server.providers.media_inputs import Kind, Material
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from mcp_server.providers.accounts import Account
    from mcp_server.providers.base import Target
    from mcp_server.providers.destinations import Place
    from mcp_server.providers.transport import Transport

_PREFIX: Final = "data:"
AT_ONCE: Final = 4
"""Files uploaded at the same time: each is in memory as long as that takes."""


async def with_placeholders(
    request: VideoRequest, given: Mapping[str, Kind], facts: Provider, key: str
) -> tuple[VideoRequest, tuple[LocalMedium, ...]]:
    """The request with a placeholder for every local medium, and what each of them is; nothing is sent."""
    local = [(place, text) for place, text in media_inputs.inputs(request) if given.get(place) in ("data", "file")]
    found = [
        await asyncio.to_thread(_looked_at, place, text, facts, f"{key}/{number}/{place.partition('[')[0]}")
        for number, (place, text) in enumerate(local)
    ]
    return media_inputs.placed(request, {medium.place: medium.placeholder for medium in found}), tuple(found)


@dataclass
class Intake:
    """Sends what was ordered with: uploaded where the vendor has a place for files, else inside the order."""

    transport: Transport
    check: Callable[[str, str, Any], None]
    """Provider, schema and body → nothing, or a RequestError when the vendor's documents do not allow it."""
    resolve: Resolve = look_up
    local: Callable[[str], Awaitable[Path]] | None = None
    """Brings what is kept in an object store to this machine."""
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), init=False)

    async def hand_over(self, account: Account, task: Task, medium: LocalMedium) -> str:
        """The address under which the vendor keeps it, for nothing; empty where its bytes go into the order itself."""
        # What goes into the order itself is brought here, too: a store that fails is asked again, the order waits.
        at = await self._at(medium)
        if "upload" not in account.facts.media_inputs:
            return ""
        async with self._room:
            return await self._uploaded(await asyncio.to_thread(_again, task, medium, at), account)

    async def body(self, task: Task) -> Any:
        """What the paid call says, with every medium in its place: as checked as what was recorded."""
        places = {medium.place: await self._at(medium) for medium in task.local_media if not medium.address}
        return await asyncio.to_thread(self._body, task, places)

    async def _at(self, medium: LocalMedium) -> Path | None:
        """Where its bytes are on this machine now; None while the order itself holds them."""
        if self.local is not None and is_object(medium.path):
            return await self.local(medium.path)
        return Path(medium.path) if medium.path else None

    def _body(self, task: Task, at: Mapping[str, Path | None]) -> Any:
        real = {
            medium.placeholder: medium.address or _enclosed(task, medium, at[medium.place])
            for medium in task.local_media
        }
        body = _filled(task.call["json"], real)
        # What was sent before must be repeated as it was.
        if task.sent_at is None:
            self.check(task.provider, task.call["schema"], body)
        return body

    async def _uploaded(self, material: Material, account: Account) -> str:
        steps = uploads(account.facts)
        announced = await asyncio.to_thread(steps.prepare, material.name, material.content)
        target = steps.read_prepared(await self.transport.ask(account, announced))
        place = await self._place(target, account)
        put = replace(steps.put(target, material.content), addresses=place.addresses)
        # Without a turn at the vendor: the bytes go to its store, and looks at other tasks must not wait for them.
        steps.read_put(await self.transport.send(account, put))
        stored = target.ready
        if stored is None:
            stored = steps.read_confirmed(await self.transport.ask(account, steps.confirm(target)))
        kept = stored.url
        if reason := unfit(kept, simulated=True):
            raise _not_followed(account, "a file address", reason)
        return kept

    async def _place(self, target: Target, account: Account) -> Place:
        """Where a file's bytes may go: a public machine, with headers that are a vendor's to set."""
        try:
            if reason := header_unfit(target.headers):
                raise UnfitError(reason, "")
            return await checked(target.url, account, resolve=self.resolve, proxied=self.transport.proxied)
        except (UnfitError, OSError, UnicodeError) as error:
            reason = error.why if isinstance(error, UnfitError) else "its host could not be looked up"
            raise _not_followed(account, "an upload address", reason) from None


def _not_followed(account: Account, what: str, reason: str) -> ProviderError:
    return ProviderError(
        f"{account.facts.name} names {what} that is not used ({reason})",
        fault="unreadable",
        provider=account.facts.id,
        next_step="Give a public https address of the file instead",
    )


def _looked_at(place: str, text: str, facts: Provider, key: str) -> LocalMedium:
    material = media_inputs.load(place, text, facts)
    return LocalMedium(
        place=place,
        path=str(media_inputs.located(text) or ""),
        bytes=len(material.content),
        sha256=hashlib.sha256(material.content).hexdigest(),
        placeholder=_placeholder(material, facts, key),
    )


def _placeholder(material: Material, facts: Provider, key: str) -> str:
    """Of the kind that will be sent, so that the vendor's schema says now what it would say then."""
    if "upload" in facts.media_inputs:
        return f"https://example.com/{key}{material.format.suffix}"
    enclosed = base64.b64encode(key.encode()).decode("ascii")
    return f"{_PREFIX}{material.format.media_type};base64,{enclosed}" if "data" in facts.media_inputs else enclosed


def _enclosed(task: Task, medium: LocalMedium, path: Path | None) -> str:
    """The medium's bytes as text: with what they are before them, or bare where the vendor wants it so."""
    uri = _again(task, medium, path).data_uri
    return uri if medium.placeholder.startswith(_PREFIX) else uri.partition(",")[2]


def _again(task: Task, medium: LocalMedium, path: Path | None) -> Material:
    """The medium as it was ordered; RequestError when it is not that any more."""
    try:
        content = media_inputs.enclosed_bytes(media_inputs.said(task.request, medium.place)) if path is None else None
        if path is not None:
            content = media_inputs.read_file(path, medium.bytes)
    except RequestError as error:
        raise RequestError(
            f"{medium.name} was there when it was ordered and cannot be handed over now",
            why=error.what,
            next_step="Put the file back and order again",
        ) from None
    if content is None or hashlib.sha256(content).hexdigest() != medium.sha256:
        raise RequestError(
            f"{medium.name} was changed after it was ordered",
            why=f"{path or medium.place} holds other bytes now, and only what was ordered is handed over",
            next_step="Order again with the file as it is now",
        )
    return media_inputs.recognised(medium.place, path, content)


def _filled(value: Any, real: Mapping[str, str]) -> Any:
    """The body with what is real in the place of its placeholder."""
    if isinstance(value, dict):
        return {name: _filled(part, real) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_filled(part, real) for part in cast("list[Any]", value)]
    return real.get(value, value) if isinstance(value, str) else value
