"""A finished clip from its link to a file: whole, hashed, on the disk, under a name that was free."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.providers.transport import Download, LostAnswerError, Transport
from mcp_server.tasks.files import (
    NotAVideoError,
    Part,
    Writer,
    begun,
    finished,
    in_words,
    named,
    remove_parts,
    tagged,
    whole_of,
)
from mcp_server.tasks.links import Resolve, check, look_up
from mcp_server.tasks.marks import Marks

SIZE_LIMIT = 2 * 1024**3
REDIRECTS = 5
_GONE = frozenset({401, 403, 404, 410})


class LinkExpiredError(KlingError):
    """The host does not give the clip out under this link (any more)."""

    code = "link_expired"
    exit_code = 69


class NotOursError(Exception):
    """Another process took the task over; nothing was named."""


@dataclass
class Saver:
    """Fetches clips."""

    transport: Transport
    now: Callable[[], float]
    marks: Marks
    resolve: Resolve = look_up
    proxied: Callable[[str], bool] | None = None
    size_limit: int = SIZE_LIMIT

    async def save(self, task: Task, claim: int, account: Account, mine: Callable[[], Awaitable[bool]]) -> Artifact:
        """The file, named and on the disk; what stood in the way is an error, and nothing half stays under a name."""
        if task.video_url is None:
            raise LinkExpiredError("There is no link")
        folder, part = await asyncio.to_thread(begun, task.output_dir, task.id, claim)
        try:
            self.marks("save.before_fetch")
            if not part.whole:
                await self._fetch(task.video_url, part, account)
                self.marks("save.fetched")
            suffix, media_type = await asyncio.to_thread(finished, part, whole_of(folder, task.id))
            self.marks("save.synced")
            if not await mine():
                raise NotOursError(task.id)
            path = await asyncio.to_thread(named, part, folder, task, suffix)
            self.marks("save.named")
        except OSError as error:
            raise in_words(error, folder, task.id) from error
        return Artifact(
            path=str(path), sha256=part.sha256.hexdigest(), bytes=part.size, media_type=media_type, saved_at=self.now()
        )

    async def tidy(self, task: Task) -> None:
        """Remove what only mattered while the file had no name; a crash from here on fetches it once more."""
        await asyncio.to_thread(remove_parts, Path(task.output_dir), task.id)

    async def _fetch(self, url: str, part: Part, account: Account) -> None:
        for _ in range(REDIRECTS + 1):
            place = await check(url, account, resolve=self.resolve, proxied=self.proxied or self.transport.proxied)
            async with self.transport.download(
                place.url, start=part.size, etag=part.tag, addresses=place.addresses
            ) as download:
                if download.status in {301, 302, 303, 307, 308} and (to := download.headers.get("location")):
                    url = urljoin(url, to)
                    continue
                await self._take(download, part)
                return
        raise LinkExpiredError(f"The link was passed on more than {REDIRECTS} times")

    async def _take(self, download: Download, part: Part) -> None:
        headers = download.headers
        tag = headers.get("etag", "")
        if download.status in _GONE:
            raise LinkExpiredError(f"The host answered HTTP {download.status} for the clip's link")
        if download.status == 416 or (
            download.status == 206 and not _continues(headers.get("content-range", ""), part)
        ):
            await asyncio.to_thread(part.restart)
            raise LostAnswerError("The clip on the host is another one now; it is fetched anew")
        if download.status not in {200, 206}:
            raise LostAnswerError(f"The host answered HTTP {download.status} for the clip's link")
        if download.status == 200:
            await asyncio.to_thread(part.restart)
        part.tag = tag
        part.path = await asyncio.to_thread(tagged, part)
        expected = _length(headers)
        whole = None if expected is None else part.size + expected
        if whole is not None and whole > self.size_limit:
            raise NotAVideoError(f"The clip has {whole:,} bytes; at most {self.size_limit:,} are fetched")
        await self._write(download, part)
        if whole is not None and part.size != whole:
            raise LostAnswerError(f"The download ended after {part.size:,} of {whole:,} bytes")

    async def _write(self, download: Download, part: Part) -> None:
        writer = Writer(part, self.size_limit)

        def take(piece: bytes) -> None:
            if writer.take(piece):
                self.marks("save.some_bytes")

        try:
            await download.copy_to(take)
        finally:
            # At most one piece is left: done at once, it cannot be cancelled half way.
            writer.close()


def _continues(content_range: str, part: Part) -> bool:
    found = re.match(r"bytes (\d+)-", content_range)
    return found is not None and int(found[1]) == part.size


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if value.isdigit() else None
