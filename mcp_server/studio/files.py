"""Files on their way to a browser: asked for by the id of what they belong to, never by a name."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import FileResponse, RedirectResponse

from mcp_server.errors import UnknownTaskError

if TYPE_CHECKING:
    from starlette.responses import Response

    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.studio.pages import Visit

WORDS_MAX: Final = 200
"""Characters of a search."""
KEPT: Final = "download"
"""What an address ends with that wants the file to keep it."""
_DAY: Final = "private, max-age=86400"
_POLICY: Final = "default-src 'none'; sandbox"
"""What is opened by itself in a tab is a picture or a clip, and nothing that acts."""


async def played(found: OrderedAnswer, visit: Visit) -> Response:
    """The clip or film, or the part of it that is asked for; from the object store by a link where it lies there.

    To keep it comes from here in any case: no browser keeps under a name what a link led to at another address.
    """
    away = elsewhere(found)
    if away is None:
        return _video(await there(found.video_path, found.id), visit)
    if KEPT not in visit.request.query_params:
        return away
    return _video(await visit.service.file(found.id, owner=visit.owner), visit)


def elsewhere(found: OrderedAnswer) -> Response | None:
    """To the clip in the object store, by a link of this moment; None where it is a file of this machine."""
    return RedirectResponse(found.place, 302) if found.place and not found.video_path else None


async def there(path: str | None, owner_id: str) -> Path:
    """The file; a refusal where there is none, or none any more."""
    if path is None:
        raise UnknownTaskError(f"There is no file of {owner_id} yet", money="unknown")
    found = Path(path)
    if not await asyncio.to_thread(found.is_file):
        raise UnknownTaskError(f"{found} is not there any more", money="unknown")
    return found


def _video(path: Path, visit: Visit) -> Response:
    """A clip, or the part that is asked for; to keep, where that is said."""
    name = path.name if KEPT in visit.request.query_params else None
    headers = {"Cache-Control": "private, no-cache", "Content-Security-Policy": _POLICY}
    return FileResponse(path, media_type="video/mp4", filename=name, headers=headers)


def picture(path: Path) -> Response:
    """A poster or a sheet, which a browser keeps for a day."""
    headers = {"Cache-Control": _DAY, "Content-Security-Policy": _POLICY}
    return FileResponse(path, media_type="image/jpeg", headers=headers)
