"""A finished clip from its link to a file: whole, hashed, on the disk, under a name that was free."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.providers.transport import LostAnswerError
from mcp_server.tasks.download.files import (
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
from mcp_server.tasks.download.links import Resolve, check, look_up
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Lease, LeaseLostError

SIZE_LIMIT = 2 * 1024**3
REDIRECTS = 5
_GONE = frozenset({401, 403, 404, 410})


class LinkExpiredError(KlingError):
    """The host does not give the clip out under this link (any more)."""

    code = "link_expired"
    exit_code = 69


@dataclass
class Saver:
    """Saves a clip under a final name only when it is whole, on the disk, and the lease still ours."""

    runtime: TaskRuntime
    resolve: Resolve = look_up
    size_limit: int = SIZE_LIMIT

    async def save(self, lease: Lease, account: Account) -> Artifact:
        """The file, named and on the disk; what stood in the way is an error, and nothing half stays under a name."""
        runtime, task = self.runtime, lease.task
        if task.video_url is None:
            raise LinkExpiredError("There is no link")
        folder, part = await asyncio.to_thread(begun, task.output_dir, task.id, lease.number)
        incoming = _Incoming(part, whole_of(folder, task.id), self.size_limit, runtime.failpoint)
        try:
            runtime.failpoint("save.before_fetch")
            if part.whole:
                await asyncio.to_thread(incoming.whole)
            else:
                await self._fetch(task.video_url, incoming, account)
            runtime.failpoint("save.synced")
            if not await runtime.store.still_leased(lease):
                raise LeaseLostError(task.id)
            path = await asyncio.to_thread(named, part, folder, task, incoming.suffix)
            runtime.failpoint("save.named")
        except OSError as error:
            raise in_words(error, folder, task.id) from error
        return Artifact(
            path=str(path),
            sha256=part.sha256.hexdigest(),
            bytes=part.size,
            media_type=incoming.media_type,
            saved_at=runtime.clock.now(),
        )

    async def tidy(self, task: Task) -> None:
        """Remove what only mattered while the file had no name; a crash from here on fetches it once more."""
        await asyncio.to_thread(remove_parts, Path(task.output_dir), task.id)

    async def _fetch(self, url: str, incoming: _Incoming, account: Account) -> None:
        transport, part = self.runtime.transport, incoming.part
        for _ in range(REDIRECTS + 1):
            place = await check(url, account, resolve=self.resolve, proxied=transport.proxied)
            incoming.passed_on = ""
            await transport.download(place.url, incoming, start=part.size, etag=part.tag, addresses=place.addresses)
            if not incoming.passed_on:
                return
            url = urljoin(url, incoming.passed_on)
        raise LinkExpiredError(f"The link was passed on more than {REDIRECTS} times")


class _Incoming:
    """Takes a clip in, in the worker thread that fetches it."""

    def __init__(self, part: Part, whole: Path, size_limit: int, failpoint: Callable[[str], None]) -> None:
        self.part = part
        self.passed_on = ""
        """Where the host sent us instead."""
        self.suffix = self.media_type = ""
        self._place = whole
        self._limit = size_limit
        self._failpoint = failpoint
        self._expected: int | None = None
        self._writer: Writer | None = None

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        part = self.part
        if status in {301, 302, 303, 307, 308} and (to := headers.get("location")):
            self.passed_on = to
            return False
        if status in _GONE:
            raise LinkExpiredError(f"The host answered HTTP {status} for the clip's link")
        if status == 416 or (status == 206 and not _continues(headers, part)):
            part.restart()
            raise LostAnswerError("The clip on the host is another one now; it is fetched anew")
        if status not in {200, 206}:
            raise LostAnswerError(f"The host answered HTTP {status} for the clip's link")
        if status == 200:
            part.restart()
        part.tag = headers.get("etag", "")
        part.path = tagged(part)
        length = _length(headers)
        self._expected = None if length is None else part.size + length
        if self._expected is not None and self._expected > self._limit:
            raise NotAVideoError(f"The clip has {self._expected:,} bytes; at most {self._limit:,} are fetched")
        self._writer = Writer(part, self._limit)
        return True

    def take(self, piece: bytes) -> None:
        if self._writer is not None and self._writer.take(piece):
            self._failpoint("save.some_bytes")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def whole(self) -> None:
        part = self.part
        if self._expected is not None and part.size != self._expected:
            raise LostAnswerError(f"The download ended after {part.size:,} of {self._expected:,} bytes")
        self._failpoint("save.fetched")
        self.suffix, self.media_type = finished(part, self._place)


def _continues(headers: Mapping[str, str], part: Part) -> bool:
    found = re.match(r"bytes (\d+)-", headers.get("content-range", ""))
    # Some hosts send the range of whatever stands there now, although they were asked for it of this version only.
    same = headers.get("etag", part.tag) == part.tag or not part.size
    return found is not None and int(found[1]) == part.size and same


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if value.isdigit() else None
