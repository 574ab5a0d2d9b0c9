"""What an order is made with, kept before the order is written down, so that whoever hands it over has those bytes.

Bytes that came inside an order (a data: URI) are kept in any case: a row of twenty megabytes slows every look. Files
are kept only where another machine may hand them over.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any, cast

from mcp_server.domain.file_format import ENOUGH, sniff
from mcp_server.domain.task import LocalMedium, names_task
from mcp_server.errors import LocalError, RequestError
from mcp_server.object_store import ObjectStore
from mcp_server.providers.media_inputs import enclosed_bytes, read_file, said
from mcp_server.settings import is_object
from mcp_server.tasks.store.base import NewTask


@dataclass(frozen=True, slots=True)
class KeptMedia:
    """Keeps them in a folder or in the object store, under names made of their bytes."""

    objects: ObjectStore
    root: str
    """The folder, or where in the object store."""
    files: bool = False
    """Whether files are kept, too."""

    async def kept(self, new: NewTask) -> NewTask:
        """The order with what is kept in the place of every data: URI and of every file that others must have."""
        request: Mapping[str, Any] = new.request
        media: list[LocalMedium] = []
        for medium in new.local_media:
            if medium.path and not self.files:
                media.append(medium)
                continue
            # What was kept before is not fetched to be kept again.
            path = medium.path if is_object(medium.path) else await self._kept(medium, new.request)
            request = _named(request, medium.place, path)
            media.append(replace(medium, path=path))
        return replace(new, request=request, local_media=tuple(media))

    async def keep(self, file: Path) -> str:
        """Where a file of this machine is for every other, too."""
        try:
            if is_object(self.root):
                return await self.objects.put_made(file, self.root)
            content = await asyncio.to_thread(file.read_bytes)
            name = f"{hashlib.sha256(content).hexdigest()}{file.suffix}"
            return str(await asyncio.to_thread(_file, content, name, Path(self.root)))
        except LocalError as error:
            error.money = "not_spent"
            raise

    async def _kept(self, medium: LocalMedium, request: Mapping[str, Any]) -> str:
        content = await asyncio.to_thread(_content, medium, request)
        kind = sniff(content[:ENOUGH])
        name = f"{medium.sha256}{kind.suffix if kind else ''}"
        if not is_object(self.root):
            return str(await asyncio.to_thread(_file, content, name, Path(self.root)))
        called = PurePath(medium.path).name or name
        media_type = kind.media_type if kind else "application/octet-stream"
        try:
            return await self.objects.put(content, self.root, sha256=medium.sha256, name=called, media_type=media_type)
        except LocalError as error:
            error.money = "not_spent"
            raise


def _content(medium: LocalMedium, request: Mapping[str, Any]) -> bytes:
    """The bytes that were looked at; RequestError where they are others by now."""
    if not medium.path:
        return enclosed_bytes(said(request, medium.place)) or b""
    content = read_file(Path(medium.path), medium.bytes)
    if hashlib.sha256(content).hexdigest() != medium.sha256:
        raise RequestError(
            f"{medium.name} was changed while it was ordered", next_step="Order again with the file as it is now"
        )
    return content


def _file(content: bytes, name: str, folder: Path) -> Path:
    path = folder / name
    try:
        if path.is_file() and path.stat().st_size == len(content):
            return path
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Made for this user's eyes (0600) and whole before it has its name.
        made, draft = tempfile.mkstemp(dir=folder)
        with os.fdopen(made, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except OSError as error:
        raise LocalError(
            f"What came with the order cannot be kept in {folder}: {error.strerror}",
            next_step="Make room, or set KLING_HOME to a folder that can be written to",
        ) from error
    return path


def _named(request: Mapping[str, Any], place: str, path: str) -> Mapping[str, Any]:
    """The request with this path at this place, if bytes or a file of this machine were named there and no task."""
    slot, _, index = place.partition("[")
    if slot not in request or names_task(said(request, place)):
        return request
    if not index:
        return {**request, slot: path}
    several = list(cast("list[str]", request[slot]))
    several[int(index.rstrip("]"))] = path
    return {**request, slot: several}
