"""A finished clip from its link to a file: whole, hashed, on the disk, under a name that was free."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urljoin

from mcp_server.domain.file_format import CLIPS, ENOUGH, sniff
from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.object_store import ObjectStore
from mcp_server.providers.accounts import Account
from mcp_server.providers.destinations import Resolve, look_up
from mcp_server.providers.transport import LostAnswerError
from mcp_server.settings import is_object
from mcp_server.tasks.download.container import unfinished
from mcp_server.tasks.download.files import (
    NotAVideoError,
    Part,
    Writer,
    begun,
    finished,
    in_words,
    named,
    no_clip,
    remove_parts,
    tagged,
    whole_of,
)
from mcp_server.tasks.download.links import check
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Lease, LeaseLostError

SIZE_LIMIT = 2 * 1024**3
REDIRECTS = 5
_GONE = frozenset({401, 403, 404, 410})


class LinkExpiredError(KlingError):
    """The host does not give the clip out under this link (any more)."""

    code = "link_expired"
    exit_code = 69


class IncompleteClipError(KlingError):
    """All came that the host announced, and what came breaks off."""

    code = "incomplete"
    exit_code = 69

    def __init__(self, why: str, sha256: str) -> None:
        super().__init__("The clip's file is not whole", why=why, money="charged")
        self.sha256 = sha256


@dataclass
class Saver:
    """Saves a clip under a final name only when it is whole, on the disk, and the lease still ours."""

    runtime: TaskRuntime
    resolve: Resolve = look_up
    size_limit: int = SIZE_LIMIT
    objects: ObjectStore | None = None
    """Where clips go that were ordered into an object store."""

    async def save(
        self, lease: Lease, account: Account, *, as_it_is: bool = False, instead_of: Artifact | None = None
    ) -> Artifact:
        """The file, named and on the disk; what stood in the way is an error, and nothing half stays under a name.

        `as_it_is`: also one that breaks off, with its difference, because the host has no other. `instead_of`: a file
        saved before, which stays if these are its bytes again.
        """
        runtime, task = self.runtime, lease.task
        if task.video_url is None:
            raise LinkExpiredError("There is no link")
        if not await runtime.store.still_leased(lease):
            # This process slept, and whoever went on may be done: nothing is begun that nobody would tidy up.
            raise LeaseLostError(task.id)
        in_store = is_object(task.output_dir)
        folder, part = await asyncio.to_thread(begun, str(self._folder(task)), task.id, lease.number)
        incoming = _Incoming(part, whole_of(folder, task.id), self.size_limit, runtime.failpoint, as_it_is=as_it_is)
        try:
            runtime.failpoint("save.before_fetch")
            if part.whole:
                await asyncio.to_thread(incoming.whole)
            else:
                await self._fetch(task.video_url, incoming, account)
            runtime.failpoint("save.synced")
            if not await runtime.store.still_leased(lease):
                await self._left(task)
                raise LeaseLostError(task.id)
            if instead_of is not None:
                if part.sha256.hexdigest() == instead_of.sha256:
                    return instead_of
                await asyncio.to_thread(_taken_back, instead_of)
            place = _named_in(folder, task) if in_store else folder
            path = await asyncio.to_thread(named, part, place, task, incoming.suffix)
            if not in_store:
                runtime.failpoint("save.named")
        except OSError as error:
            raise in_words(error, folder, task.id) from error
        return Artifact(
            path=str(path),
            sha256=part.sha256.hexdigest(),
            bytes=part.size,
            media_type=incoming.media_type,
            saved_at=runtime.clock.now(),
            differences=(f"the file is not whole: {incoming.broken}",) if incoming.broken else (),
        )

    async def stored(self, lease: Lease, artifact: Artifact) -> Artifact:
        """The saved file where it was ordered to: in its folder it is already; else in the object store, from now on.

        Dying between that and the row is harmless: whoever saves it again writes the same bytes to the same name.
        """
        task = lease.task
        if not is_object(task.output_dir) or is_object(artifact.path):
            return artifact
        file = Path(artifact.path)
        objects, root = self._objects(task), f"{task.output_dir}/clips"
        try:
            address = await objects.put(
                file, root, sha256=artifact.sha256, name=file.name, media_type=artifact.media_type
            )
        except LocalError as error:
            error.money = "charged"
            raise
        self.runtime.failpoint("save.named")
        await objects.keep(file, address)
        return replace(artifact, path=address)

    async def tidy(self, task: Task) -> None:
        """Remove what only mattered while the file had no name; a crash from here on fetches it once more."""
        await asyncio.to_thread(remove_parts, self._folder(task), task.id)

    def _folder(self, task: Task) -> Path:
        """Where its file is whole first."""
        return self._objects(task).work if is_object(task.output_dir) else Path(task.output_dir)

    def _objects(self, task: Task) -> ObjectStore:
        if self.objects is None:
            raise LocalError(f"Its clip goes to {task.output_dir}, and this process saves to folders", money="charged")
        return self.objects

    async def _left(self, task: Task) -> None:
        """What was fetched for another process's task: it goes on with that, unless it is done and has tidied up."""
        now = await self.runtime.store.get(task.id)
        if now.finished:
            await self.tidy(now)

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

    def __init__(
        self, part: Part, whole: Path, size_limit: int, failpoint: Callable[[str], None], *, as_it_is: bool
    ) -> None:
        self.part = part
        self.broken = ""
        """Why the file is not whole, where it is taken as it is."""
        self.passed_on = ""
        """Where the host sent us instead."""
        self.suffix = self.media_type = ""
        self._place = whole
        self._limit = size_limit
        self._failpoint = failpoint
        self._as_it_is = as_it_is
        self._begins: bytes | None = None
        self._expected: int | None = None
        self._writer: Writer | None = None

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        part = self.part
        if status in {301, 302, 303, 307, 308} and (to := headers.get("location")):
            self.passed_on = to
            return False
        if status in _GONE:
            raise LinkExpiredError(f"The host answered HTTP {status} for the clip's link")
        span = _span(headers) if status == 206 else None
        if status == 416 or (status == 206 and (span is None or not span.continues(part, headers))):
            part.restart()
            raise LostAnswerError("The clip on the host is another one now; it is fetched anew")
        if status not in {200, 206}:
            raise LostAnswerError(f"The host answered HTTP {status} for the clip's link")
        if status == 200:
            part.restart()
        part.tag = headers.get("etag", "")
        part.path = tagged(part)
        self._begins = None if part.size else b""
        self._expected = _length(headers) if span is None else span.total
        if self._expected is not None and self._expected > self._limit:
            raise NotAVideoError(f"The clip has {self._expected:,} bytes; at most {self._limit:,} are fetched")
        self._writer = Writer(part, self._limit)
        return True

    def take(self, piece: bytes) -> None:
        if self._begins is not None:
            # A page without an end is known by its beginning.
            piece = self._begins + piece
            self._begins = piece if len(piece) < ENOUGH else None
            if self._begins is not None:
                return
            if (found := sniff(piece[:ENOUGH])) not in CLIPS:
                raise NotAVideoError(no_clip(found))
        if self._writer is not None and self._writer.take(piece):
            self._failpoint("save.some_bytes")

    def close(self) -> None:
        if self._writer is not None:
            try:
                self._writer.take(self._begins or b"")
            finally:
                self._writer.close()

    def whole(self) -> None:
        part = self.part
        if self._expected is not None and part.size != self._expected:
            raise LostAnswerError(f"The download ended after {part.size:,} of {self._expected:,} bytes")
        self._failpoint("save.fetched")
        if why := unfinished(part.path):
            if not self._as_it_is:
                sha256 = part.sha256.hexdigest()
                part.restart()
                raise IncompleteClipError(why, sha256)
            self.broken = why
        self.suffix, self.media_type = finished(part, self._place)


@dataclass(frozen=True)
class _Span:
    """What a partial answer says it is (RFC 9110, 14.4)."""

    first: int
    last: int
    total: int | None

    def continues(self, part: Part, headers: Mapping[str, str]) -> bool:
        """Whether it goes on where the part ends, to the end of the very version the part is of."""
        length = _length(headers)
        # Some hosts send the range of whatever stands there now, although they were asked for it of this version only.
        same = not part.size or (part.tag != "" and headers.get("etag") == part.tag)
        whole = self.total is None or self.first <= self.last < self.total
        return self.first == part.size and same and whole and length in (None, self.last - self.first + 1)


def _span(headers: Mapping[str, str]) -> _Span | None:
    found = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15}|\*)", headers.get("content-range", ""), re.ASCII)
    if found is None:
        return None
    return _Span(int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3]))


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if re.fullmatch(r"\d{1,15}", value, re.ASCII) else None


def _named_in(work: Path, task: Task) -> Path:
    """A hidden folder beside the task's parts: there the file has the name it will have in the store."""
    place = work / f".{task.id}.named"
    place.mkdir(exist_ok=True)
    return place


def _taken_back(artifact: Artifact) -> None:
    """The file nobody was told of yet is removed, if it is still the one that was saved."""
    path = Path(artifact.path)
    with contextlib.suppress(OSError):
        if path.stat().st_size == artifact.bytes:
            path.unlink()
