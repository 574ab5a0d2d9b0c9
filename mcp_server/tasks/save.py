"""A finished clip from its link to a file: whole, hashed, on the disk, under a name that was free."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import io
import os
import re
import unicodedata
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urljoin

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.transport import Download, LostAnswerError, Transport
from mcp_server.tasks.links import Resolve, check, look_up
from mcp_server.tasks.marks import Marks

SIZE_LIMIT = 2 * 1024**3
REDIRECTS = 5
_BATCH = 1024 * 1024
_GONE = frozenset({401, 403, 404, 410})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class LinkExpiredError(KlingError):
    """The host does not give the clip out under this link (any more)."""

    code = "link_expired"
    exit_code = 69


class NotAVideoError(KlingError):
    """What came is no clip, or not the whole one."""

    code = "not_a_video"
    exit_code = 69


class NotOursError(Exception):
    """Another process took the task over; nothing was named."""


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...
    def hexdigest(self) -> str: ...


@dataclass
class _Part:
    """The unfinished file: its own per claim, so that two writers never share one."""

    path: Path
    size: int = 0
    hash: _Hash = field(default_factory=hashlib.sha256)
    tag: str = ""
    whole: bool = False
    """Fetched to its end and on the disk, by an earlier try."""


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
        folder = await asyncio.to_thread(_folder, task.output_dir)
        try:
            part = await asyncio.to_thread(_resumable, folder, task.id, claim)
            self.marks("save.before_fetch")
            if not part.whole:
                await self._fetch(task.video_url, part, account)
                self.marks("save.fetched")
            suffix, media_type = await asyncio.to_thread(_finished, part, _whole(folder, task.id))
            self.marks("save.synced")
            if not await mine():
                raise NotOursError(task.id)
            path = await asyncio.to_thread(_named, part, folder, task, suffix)
            self.marks("save.named")
        except OSError as error:
            raise _disk(error, folder, task.id) from error
        return Artifact(
            path=str(path), sha256=part.hash.hexdigest(), bytes=part.size, media_type=media_type, saved_at=self.now()
        )

    async def tidy(self, task: Task) -> None:
        """Remove what only mattered while the file had no name; a crash from here on fetches once more, and finds it."""
        await asyncio.to_thread(_remove_parts, Path(task.output_dir), task.id)

    async def _fetch(self, url: str, part: _Part, account: Account) -> None:
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

    async def _take(self, download: Download, part: _Part) -> None:
        headers = download.headers
        tag = headers.get("etag", "")
        if download.status in _GONE:
            raise LinkExpiredError(f"The host answered HTTP {download.status} for the clip's link")
        if download.status == 416 or (
            download.status == 206 and not _continues(headers.get("content-range", ""), part)
        ):
            await asyncio.to_thread(_restart, part)
            raise LostAnswerError("The clip on the host is another one now; it is fetched anew")
        if download.status not in {200, 206}:
            raise LostAnswerError(f"The host answered HTTP {download.status} for the clip's link")
        if download.status == 200:
            await asyncio.to_thread(_restart, part)
        part.tag = tag
        part.path = await asyncio.to_thread(_tagged, part)
        expected = _length(headers)
        whole = None if expected is None else part.size + expected
        if whole is not None and whole > self.size_limit:
            raise NotAVideoError(f"The clip has {whole:,} bytes; at most {self.size_limit:,} are fetched")
        await self._write(download, part)
        if whole is not None and part.size != whole:
            raise LostAnswerError(f"The download ended after {part.size:,} of {whole:,} bytes")

    async def _write(self, download: Download, part: _Part) -> None:
        # Unbuffered: what is counted as written has been handed to the system.
        with _own_file(part.path) as file:
            batch = bytearray()
            try:
                async for chunk in download.chunks():
                    batch += chunk
                    if part.size + len(batch) > self.size_limit:
                        raise NotAVideoError(f"The clip has more than {self.size_limit:,} bytes")
                    if len(batch) >= _BATCH or not part.size:
                        full, batch = batch, bytearray()
                        await asyncio.to_thread(_append, file.fileno(), part, full)
                        self.marks("save.some_bytes")
            finally:
                # A cut keeps what came: the next try goes on from here.
                _append(file.fileno(), part, batch)


def _own_file(path: Path) -> io.FileIO:
    """The part, opened to go on writing; a link somebody laid under its name is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    return io.FileIO(os.open(path, flags, 0o644), "wb")


def _append(target: int, part: _Part, data: bytearray) -> None:
    view = memoryview(data)
    while view:
        written = os.write(target, view)
        part.hash.update(view[:written])
        part.size += written
        view = view[written:]


def _folder(output_dir: str) -> Path:
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return folder.resolve(strict=True)
    except OSError as error:
        raise _disk(error, folder, "") from error


def _resumable(folder: Path, task_id: str, claim: int) -> _Part:
    """What an earlier try left, as this claim's own copy; else an empty part."""
    own = f".{task_id}.{claim}."
    part = _Part(folder / f"{own}part")
    whole = _whole(folder, task_id)
    if whole.is_file() and not whole.is_symlink():
        part.path, part.whole, part.size = whole, True, whole.stat().st_size
        with whole.open("rb") as file:
            while chunk := file.read(_BATCH):
                part.hash.update(chunk)
        return part
    for left in sorted(folder.glob(f".{task_id}.*.part")):
        tag = left.name.removesuffix(".part").split(".")[-1]
        if tag.isdigit() or part.size or left.is_symlink():
            left.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError):
            part.path = folder / f"{own}{tag}.part"
            part.tag = bytes.fromhex(tag[1:]).decode()
            if left != part.path:
                part.path.write_bytes(b"")
            with left.open("rb") as old, part.path.open("ab") as copy:
                while chunk := old.read(_BATCH):
                    part.hash.update(chunk)
                    part.size += len(chunk)
                    if left != part.path:
                        copy.write(chunk)
            if left != part.path:
                left.unlink(missing_ok=True)
    return part


def _tagged(part: _Part) -> Path:
    """The part under a name that carries the version it is a part of; only a strong one allows to go on later."""
    stem = ".".join(part.path.name.split(".")[:3])
    tag = part.tag
    usable = tag.startswith('"') and len(tag) < 80
    if not usable:
        part.tag = ""
    path = part.path.with_name(f"{stem}.t{tag.encode().hex()}.part" if usable else f"{stem}.part")
    if path != part.path and part.path.exists():
        part.path.rename(path)
    return path


def _restart(part: _Part) -> None:
    part.path.unlink(missing_ok=True)
    part.size = 0
    part.hash = hashlib.sha256()
    part.tag = ""


def _continues(content_range: str, part: _Part) -> bool:
    found = re.match(r"bytes (\d+)-", content_range)
    return found is not None and int(found[1]) == part.size


def _length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length", "")
    return int(value) if value.isdigit() else None


def _whole(folder: Path, task_id: str) -> Path:
    return folder / f".{task_id}.whole"


def _remove_parts(folder: Path, task_id: str) -> None:
    for left in (*folder.glob(f".{task_id}.*.part"), _whole(folder, task_id)):
        with contextlib.suppress(OSError):
            left.unlink(missing_ok=True)


def _finished(part: _Part, whole: Path) -> tuple[str, str]:
    """The file on the disk for good, and what it is by its own bytes."""
    with part.path.open("rb") as file:
        kind = sniff(file.read(64))
        if kind is None:
            part.path.unlink(missing_ok=True)
            raise NotAVideoError("What the link gave is no mp4, mov or webm file")
        os.fsync(file.fileno())
    if not part.whole:
        part.path.replace(whole)
        part.path, part.whole = whole, True
    return kind


def sniff(head: bytes) -> tuple[str, str] | None:
    """Suffix and media type of a video by its first bytes."""
    if head[4:8] == b"ftyp":
        return (".mov", "video/quicktime") if head[8:10] == b"qt" else (".mp4", "video/mp4")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return (".webm", "video/webm")
    return None


def _named(part: _Part, folder: Path, task: Task, suffix: str) -> Path:
    """The part under its final name, which nothing had before, or which held these very bytes."""
    stem = name_of(task)
    for number in range(1, 1000):
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            _claim_name(part.path, path)
        except FileExistsError:
            if _same(path, part):
                break
            continue
        break
    else:
        raise LocalError(f"There is no free name for {stem}{suffix} in {folder}", money="charged")
    _sync_folder(folder)
    return path


def _claim_name(part: Path, path: Path) -> None:
    try:
        os.link(part, path, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _FULL or error.errno in {errno.EROFS, errno.EACCES}:
            raise
        # File systems without hard links (exFAT, some shares): the short id in the name keeps this apart.
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)


def _same(path: Path, part: _Part) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != part.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == part.hash.digest()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":
        return
    target = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(target)
    finally:
        os.close(target)


def name_of(task: Task) -> str:
    """`2026-11-21-neon-city-ab12cd`: when, what, which; a simulation says so."""
    day = datetime.fromtimestamp(task.created_at, UTC).date().isoformat()
    words = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", task.prompt).lower())
    slug = ""
    for word in words[:6]:
        if len(f"{slug}-{word}".encode()) > 60:
            break
        slug = f"{slug}-{word}"
    simulated = "-simulated" if task.simulated else ""
    return f"{day}{slug or '-' + task.mode}{simulated}-{task.id[-6:]}"


def _disk(error: OSError, folder: Path, task_id: str) -> LocalError:
    if error.errno in _FULL and task_id:
        # A full disk needs the room more than we need the first half of a clip.
        _remove_parts(folder, task_id)
    reason = {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "writing there is not allowed",
        errno.EPERM: "writing there is not allowed",
        errno.ENOTDIR: "it is not a folder",
    }.get(error.errno or 0, str(error.strerror or error))
    return LocalError(
        f"The clip cannot be saved in {folder}: {reason}",
        next_step="Make room or choose another folder; saving is tried again, and video_url stays usable",
        money="charged",
    )
