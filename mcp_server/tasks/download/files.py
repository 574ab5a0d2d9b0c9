"""The files around a clip: the unfinished part, the whole one without a name, the final name."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import sys
import tempfile
import unicodedata
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.domain.file_format import CLIPS, ENOUGH, Format, sniff
from mcp_server.domain.task import Task
from mcp_server.errors import KlingError, LocalError

_BATCH = 1024 * 1024
_WRITE_AT_LEAST = 256 * 1024
_UNHASHED = 2
"""Pieces that may wait for the hash: enough that reading does not wait, few enough that memory stays flat."""
_LONG = 4 * _BATCH
_WRITE_BACK = 16 * _BATCH
_BLOCK = 4096
"""As much as a file system gives out at least: a full one shows."""
_WORD = re.compile(r"[^\W_]+")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class NotAVideoError(KlingError):
    """What came is no clip, or not the whole one."""

    code = "not_a_video"
    exit_code = 69


@dataclass
class Part:
    """The unfinished file: its own per lease, so that two writers never share one."""

    path: Path
    size: int = 0
    sha256: hashlib._Hash = field(default_factory=hashlib.sha256)  # type: ignore[reportPrivateUsage]
    tag: str = ""
    whole: bool = False
    """Fetched to its end and on the disk, by an earlier try."""

    def restart(self) -> None:
        """Empty, as if nothing had come."""
        self.path.unlink(missing_ok=True)
        self.size = 0
        self.sha256 = hashlib.sha256()
        self.tag = ""


class Writer:
    """Writes a part in large pieces; a long one is hashed in a thread of its own while the next piece is on its way.

    Everything here is called in one worker thread.
    """

    def __init__(self, part: Part, limit: int) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        # A link somebody laid under the name is not followed; unbuffered: what counts as written the system has.
        self._file = io.FileIO(os.open(part.path, flags, 0o644), "wb")
        self._part = part
        self._limit = limit
        self._pieces: list[bytes] = []
        self._waiting = 0
        self._hasher: ThreadPoolExecutor | None = None
        self._hashed: deque[Future[None]] = deque()
        self._written_back = part.size

    def take(self, piece: bytes) -> bool:
        """The next bytes; whether some were handed to the system."""
        self._pieces.append(piece)
        self._waiting += len(piece)
        if self._part.size + self._waiting > self._limit:
            raise NotAVideoError(f"The clip has more than {self._limit:,} bytes")
        if self._waiting < _WRITE_AT_LEAST and self._part.size:
            return False
        self._flush()
        return True

    def close(self) -> None:
        """Write what is left: a cut keeps what came, and the next try goes on from there."""
        try:
            self._flush()
        finally:
            if self._hasher is not None:
                self._hasher.shutdown()
            self._file.close()

    def _flush(self) -> None:
        data, self._pieces, self._waiting = b"".join(self._pieces), [], 0
        while data:
            written = os.write(self._file.fileno(), data)
            self._part.size += written
            self._hash(data[:written])
            data = data[written:]

    def _hash(self, data: bytes) -> None:
        if self._hasher is None:
            if self._part.size < _LONG:
                self._part.sha256.update(data)
                return
            self._hasher = ThreadPoolExecutor(1)
        if len(self._hashed) == _UNHASHED:
            self._hashed.popleft().result()
        self._hashed.append(self._hasher.submit(self._digest, data, self._part.size))

    def _digest(self, data: bytes, end: int) -> None:
        self._part.sha256.update(data)
        if end - self._written_back >= _WRITE_BACK and hasattr(os, "posix_fadvise"):
            # Of what it is told will not be needed, Linux begins to write the new and lets go of the written: the fsync
            # at the end finds little to do, and a long clip passes through few pages instead of filling the memory.
            with contextlib.suppress(OSError):
                os.posix_fadvise(self._file.fileno(), 0, end, os.POSIX_FADV_DONTNEED)
            self._written_back = end


def begun(output_dir: str, task_id: str, lease_number: int) -> tuple[Path, Part]:
    """The output directory, and what there is of the clip."""
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder = folder.resolve(strict=True)
        return folder, _resumable(folder, task_id, lease_number)
    except OSError as error:
        raise in_words(error, folder, "") from error


def _resumable(folder: Path, task_id: str, lease_number: int) -> Part:
    """What an earlier try left, as this lease's own copy; else an empty part."""
    place = _parts_of(folder, task_id)
    if place.is_symlink():
        # Somebody laid a link under the name; it is not followed.
        place.unlink()
    part = Part(place / f"{lease_number}.part")
    with contextlib.suppress(FileExistsError):
        place.mkdir()
        return part
    whole = whole_of(folder, task_id)
    if whole.is_file() and not whole.is_symlink():
        part.path, part.whole, part.size = whole, True, whole.stat().st_size
        with whole.open("rb") as file:
            while chunk := file.read(_BATCH):
                part.sha256.update(chunk)
        return part
    for left in sorted(place.glob("*.part")):
        tag = left.name.removesuffix(".part").split(".")[-1]
        if tag.isdigit() or part.size or left.is_symlink():
            left.unlink(missing_ok=True)
            continue
        with contextlib.suppress(OSError):
            part.path = place / f"{lease_number}.{tag}.part"
            part.tag = bytes.fromhex(tag[1:]).decode()
            if left != part.path:
                part.path.write_bytes(b"")
            with left.open("rb") as old, part.path.open("ab") as copy:
                while chunk := old.read(_BATCH):
                    part.sha256.update(chunk)
                    part.size += len(chunk)
                    if left != part.path:
                        copy.write(chunk)
            if left != part.path:
                left.unlink(missing_ok=True)
    return part


def tagged(part: Part) -> Path:
    """The part under a name that carries the version it is a part of; only a strong one allows to go on later."""
    lease_number = part.path.name.partition(".")[0]
    tag = part.tag
    usable = tag.startswith('"') and len(tag) < 80
    if not usable:
        part.tag = ""
    path = part.path.with_name(f"{lease_number}.t{tag.encode().hex()}.part" if usable else f"{lease_number}.part")
    if path != part.path and part.path.exists():
        part.path.rename(path)
    return path


def whole_of(folder: Path, task_id: str) -> Path:
    return _parts_of(folder, task_id) / "whole"


def remove_parts(folder: Path, task_id: str) -> None:
    place = _parts_of(folder, task_id)
    with contextlib.suppress(OSError):
        if place.is_symlink():
            place.unlink()
            return
        for left in place.iterdir():
            left.unlink(missing_ok=True)
        place.rmdir()


def _parts_of(folder: Path, task_id: str) -> Path:
    """A hidden folder of the task's own: what is unfinished is found without going through everybody's clips."""
    return folder / f".{task_id}"


def finished(part: Part, whole: Path) -> tuple[str, str]:
    """The file on the disk for good, and what it is by its own bytes."""
    # To write, too: Windows waits for the disk only for who may write.
    with part.path.open("r+b") as file:
        kind = sniff(file.read(ENOUGH))
        if kind not in CLIPS:
            part.path.unlink(missing_ok=True)
            raise NotAVideoError(no_clip(kind))
        os.fsync(file.fileno())
    if not part.whole:
        part.path.replace(whole)
        part.path, part.whole = whole, True
    return kind.suffix, kind.media_type


def no_clip(kind: Format | None) -> str:
    """What is said of a file that came in a clip's place."""
    return f"What the link gave is no mp4, mov or webm file{f' but {kind.name}' if kind else ''}"


def named(part: Part, folder: Path, task: Task, suffix: str) -> Path:
    """The part under its final name, which nothing had before, or which held these very bytes."""
    stem = name_of(task)
    for number in range(1, 1000):
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        try:
            _take_name(part.path, path)
        except FileExistsError:
            if _same(path, part):
                break
            continue
        break
    else:
        raise LocalError(f"There is no free name for {stem}{suffix} in {folder}", money="charged")
    _sync_folder(folder)
    return path


def _take_name(part: Path, path: Path) -> None:
    try:
        # The part is a file of ours, and no link; Windows has no way to say so.
        os.link(part, path, follow_symlinks=os.link not in os.supports_follow_symlinks)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in _FULL or error.errno in {errno.EROFS, errno.EACCES}:
            raise
        # File systems without hard links (exFAT, some shares): the short id in the name keeps this apart.
        if path.exists():
            raise FileExistsError(path) from None
        part.rename(path)


def _same(path: Path, part: Part) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != part.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest() == part.sha256.digest()


def _sync_folder(folder: Path) -> None:
    if sys.platform == "win32":
        # No folder can be opened there.
        return
    target = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(target)
    finally:
        os.close(target)


def name_of(task: Task) -> str:
    """`2026-11-21-neon-city-ab12cd`: when, what, which; a simulation says so."""
    said = task.prompt if _slug(task.prompt) else task.mode
    return stem(task.created_at, said, task.id, simulated=task.simulated)


def stem(created_at: float, said: str, record_id: str, *, simulated: bool) -> str:
    """What a file is called: the day, the first words, the end of its id."""
    day = datetime.fromtimestamp(created_at, UTC).date().isoformat()
    return f"{day}{_slug(said)}{'-simulated' if simulated else ''}-{record_id[-6:]}"


def _slug(said: str) -> str:
    """The first words as a part of a file's name, each with a dash before it; nothing where none is short enough."""
    slug = ""
    for word in _WORD.findall(unicodedata.normalize("NFC", said).lower())[:6]:
        if len(f"{slug}-{word}".encode()) > 60:
            break
        slug = f"{slug}-{word}"
    return slug


def writable(folder: Path) -> None:
    """Nothing, or the refusal of a folder that no clip could be saved in; it is made, and written to once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_BLOCK))
            file.flush()
    except OSError as error:
        raise LocalError(
            f"No clip can be saved in {folder}: {_reason(error)}",
            next_step="Name a folder that can be written to in output_dir, or set KLING_OUTPUT_DIR to one",
        ) from error


def in_words(error: OSError, folder: Path, task_id: str) -> LocalError:
    if error.errno in _FULL and task_id:
        # A full disk needs the room more than we need the first half of a clip.
        remove_parts(folder, task_id)
    return LocalError(
        f"The clip cannot be saved in {folder}: {_reason(error)}",
        next_step="Make room, or `kling-video task ID --output-dir FOLDER` saves it elsewhere; saving is tried again, "
        "and video_url stays usable",
        money="charged",
    )


def _reason(error: OSError) -> str:
    return {
        errno.ENOSPC: "the disk is full",
        errno.EDQUOT: "the disk quota is used up",
        errno.EROFS: "the disk is read-only",
        errno.EACCES: "writing there is not allowed",
        errno.EPERM: "writing there is not allowed",
        errno.ENOTDIR: "it is not a folder",
        errno.EEXIST: "it is not a folder",
    }.get(error.errno or 0, str(error.strerror or error))
