"""Bytes that came inside an order (a data: URI), kept once as a file: a row of twenty megabytes slows every look."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from mcp_server.domain.file_format import ENOUGH, sniff
from mcp_server.domain.task import LocalMedium
from mcp_server.errors import LocalError
from mcp_server.providers.media_inputs import enclosed_bytes, said
from mcp_server.tasks.store.base import NewTask


def kept(new: NewTask, folder: Path) -> NewTask:
    """The order with a path in the place of every data: URI; its bytes are a file that is named by their hash."""
    request: Mapping[str, Any] = new.request
    media: list[LocalMedium] = []
    for medium in new.local_media:
        content = None if medium.path else enclosed_bytes(said(new.request, medium.place))
        if content is not None:
            path = _file(content, medium.sha256, folder)
            request, medium = _named(request, medium.place, str(path)), replace(medium, path=str(path))  # noqa: PLW2901
        media.append(medium)
    return replace(new, request=request, local_media=tuple(media))


def _file(content: bytes, sha256: str, folder: Path) -> Path:
    kind = sniff(content[:ENOUGH])
    path = folder / f"{sha256}{kind.suffix if kind else ''}"
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


def _named(request: Mapping[str, Any], place: str, path: str) -> dict[str, Any]:
    """The request with this path at this place."""
    slot, _, index = place.partition("[")
    if not index:
        return {**request, slot: path}
    several = list(cast("list[str]", request[slot]))
    several[int(index.rstrip("]"))] = path
    return {**request, slot: several}
