"""The object store that many machines reach: clips, and what was ordered with, under names made of their own bytes.

Every name holds the SHA-256 of what it names. So a retry after a crash finds its own object and is done, and two who
saved the same clip meet in one object: whatever is written again is the same. Large files go in parts, which no store
can do only-if-absent; for them, too, the name makes sure that nobody's object becomes another. obstore is imported at
the first use, and reads its keys from the variables its documents name (AWS_…, GOOGLE_…, AZURE_…).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
import shutil
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mcp_server.errors import LocalError, Money
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from obstore.store import ObjectStore as Bucket

LINK_S: Final = 86_400
"""How long a link to a clip works; whoever asks for the task again gets a fresh one."""
PART: Final = 8 * 1024**2
"""What is larger goes in parts of this size, a few at a time: no file is in memory as a whole."""
PARTS_AT_ONCE: Final = 4
FETCHED_AT_ONCE: Final = 4
CACHE_BYTES: Final = 4 * 1024**3
CACHE_AT_LEAST_S: Final = 3_600.0
"""What was used so lately is not removed from the cache: somebody may be reading it."""
_KINDS: Final = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
_CLIENT: Final[Any] = {"connect_timeout": timedelta(seconds=5), "timeout": timedelta(minutes=5), "allow_http": True}
"""Only whoever sets an endpoint of their own (AWS_ENDPOINT_URL) can mean one without TLS."""
_RETRIES: Final[Any] = {"max_retries": 4, "retry_timeout": timedelta(seconds=30)}
"""Whoever waits for an answer is told soon; saving a clip is tried again for days."""
_UNFIT: Final = re.compile(r"(?:[^A-Za-z0-9._]|-)+")
_STATUS: Final = re.compile(r"status code: (\d{3}[^:\n]*)(.*)")
_SAID: Final = re.compile(r"<(?:Code|Message)>\s*([^<\n]+)")


@dataclass(frozen=True, slots=True)
class Link:
    """An address under which anybody gets an object, for a while."""

    url: str
    expires_at: float


@dataclass
class ObjectStore:
    """Puts files into the store, hands out links to them, and brings them to this machine where they are worked on."""

    cache: Path
    """A folder of this machine for copies; only ever what can be fetched again."""
    now: Callable[[], float] = time.time
    _buckets: dict[str, Bucket] = field(default_factory=dict[str, "Bucket"], init=False)
    _origins: dict[str, str] = field(default_factory=dict[str, str], init=False)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FETCHED_AT_ONCE), init=False)

    @property
    def work(self) -> Path:
        """Where a clip is until it is whole, looked into and in the store."""
        return self.cache / "saving"

    async def put(self, content: Path | bytes, root: str, *, sha256: str, name: str, media_type: str) -> str:
        """Its address below this root, once it is there; nothing that was there is ever another afterwards."""
        address = f"{root.rstrip('/')}/{sha256}/{_UNFIT.sub('-', name).strip('-')}"
        size = len(content) if isinstance(content, bytes) else (await asyncio.to_thread(content.stat)).st_size
        async with self._asked(address) as (bucket, key):
            await _put(bucket, key, content, size, media_type)
        return address

    async def put_made(self, file: Path, root: str) -> str:
        """The same for a file that was made here, such as a film or a picture of a clip."""
        sha256 = await asyncio.to_thread(_digest, file)
        return await self.put(
            file, root, sha256=sha256, name=file.name, media_type=_KINDS.get(file.suffix, "video/mp4")
        )

    async def keep(self, file: Path, address: str) -> None:
        """The file as this machine's copy of what lies there: it need not be fetched to be worked on."""
        place = self.place(address)
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(file.replace, place)
            file.parent.rmdir()
            await asyncio.to_thread(self._make_room)

    async def link(self, address: str) -> Link:
        """A signed link to what lies there; a key signs without asking, so that it is there is the record's word."""
        async with self._asked(address) as (bucket, key):
            from obstore import sign_async

            signed: Any = bucket
            url = await sign_async(signed, "GET", key, timedelta(seconds=LINK_S))
        return Link(url, self.now() + LINK_S)

    async def origin(self, root: str) -> str:
        """Where links below this root lead, as pages name it in their policy."""
        if root not in self._origins:
            found = urlsplit((await self.link(f"{root.rstrip('/')}/origin")).url)
            self._origins[root] = f"{found.scheme}://{found.netloc}"
        return self._origins[root]

    async def local(self, address: str) -> Path:
        """The file on this machine: a path is itself, an object is fetched once and is the very bytes its name says."""
        if not is_object(address):
            return Path(address)
        place = self.place(address)
        async with self._room:
            try:
                if not await asyncio.to_thread(_used, place):
                    async with self._asked(address) as (bucket, key):
                        await _fetch(bucket, key, place)
                    await asyncio.to_thread(self._make_room)
            except OSError as error:
                raise LocalError(
                    f"{place.name} cannot be brought to this machine: {error.strerror or error}",
                    next_step=f"Make room in {self.cache}, or set KLING_HOME to another folder",
                    money="unknown",
                ) from error
        return place

    async def check(self, root: str) -> None:
        """Nothing, or the LocalError of a store that clips cannot be kept in: each thing it must do, done once."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        said = secrets.token_bytes(64)
        address = f"{root.rstrip('/')}/check/{secrets.token_hex(8)}"
        await self.link(address)
        async with self._asked(address) as (bucket, key):
            await obstore.put_async(bucket, key, said, mode="create")
            try:
                await obstore.put_async(bucket, key, said, mode="create")
            except AlreadyExistsError:
                pass
            else:
                raise _unusable(root, "it overwrites what is there although it was told not to")
            if bytes(await (await obstore.get_async(bucket, key)).bytes_async()) != said:
                raise _unusable(root, "what was written reads back as something else")
            await obstore.delete_async(bucket, key)
            # S3 forbids whoever may not list a bucket to ask for what is not there, as every clip's upload does.
            if await _size(bucket, key) is not None:
                raise _unusable(root, "what was removed is still there")

    @asynccontextmanager
    async def _asked(self, address: str) -> AsyncGenerator[tuple[Bucket, str]]:
        """The bucket of this address and the key in it; what goes wrong with them is said in words."""
        root, key = _parted(address)
        try:
            from obstore.exceptions import BaseError
            from obstore.store import from_url
        except ImportError as error:
            raise LocalError(
                f"{root} is an object store, and what speaks to one is not installed ({error.name})",
                next_step="Install the extra `scale`: pip install 'kling-video[scale]'",
                money="unknown",
            ) from error
        try:
            if root not in self._buckets:
                self._buckets[root] = from_url(root, client_options=_CLIENT, retry_config=_RETRIES)
            yield self._buckets[root], key
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise _unusable(root, _reason(str(error))) from error

    def place(self, address: str) -> Path:
        """Where the copy of this machine is, once there is one."""
        sha256, name = address.rsplit("/", 2)[-2:]
        return self.cache / sha256 / name

    def _make_room(self) -> None:
        """Remove what was not used for longest, until what is left is within the limit."""
        held = sorted(_held(self.cache), key=lambda each: each[0])
        left = sum(size for _, size, _ in held)
        for used, size, place in held:
            if left <= CACHE_BYTES or time.time() - used < CACHE_AT_LEAST_S:
                return
            shutil.rmtree(place, ignore_errors=True)
            left -= size


async def _put(bucket: Bucket, key: str, content: Path | bytes, size: int, media_type: str) -> None:
    import obstore
    from obstore.exceptions import AlreadyExistsError

    there = await _size(bucket, key)
    if there is None:
        large = size > PART
        with contextlib.suppress(AlreadyExistsError):
            await obstore.put_async(
                bucket,
                key,
                content,
                attributes={"Content-Type": media_type},
                # Told to create only, obstore would read the whole file into memory.
                mode="overwrite" if large else "create",
                use_multipart=large,
                chunk_size=PART,
                max_concurrency=PARTS_AT_ONCE,
            )
        there = await _size(bucket, key)
    if there != size:
        raise LocalError(
            f"{key} in the object store has {there} bytes, and the file it names has {size}",
            why="somebody else wrote it, or it did not arrive whole",
            next_step="Look at that object and remove it: saving is tried again",
            money="unknown",
        )


async def _size(bucket: Bucket, key: str) -> int | None:
    import obstore

    try:
        return int((await obstore.head_async(bucket, key))["size"])
    except FileNotFoundError:
        return None


async def _fetch(bucket: Bucket, key: str, place: Path) -> None:
    import obstore

    try:
        found = await obstore.get_async(bucket, key)
    except FileNotFoundError as error:
        raise LocalError(
            f"{key} is not in the object store any more",
            next_step="Put it back if there is a copy; what was bought is in the record",
            money="unknown",
        ) from error
    await asyncio.to_thread(place.parent.mkdir, parents=True, exist_ok=True)
    draft = place.with_name(f".{secrets.token_hex(6)}.part")
    sha256 = hashlib.sha256()
    try:
        with draft.open("wb") as file:
            async for piece in found.stream(min_chunk_size=PART // 2):
                await asyncio.to_thread(_take, file, sha256, piece)
        if sha256.hexdigest() != place.parent.name:
            raise LocalError(
                f"{key} in the object store holds other bytes than were put there",
                next_step="Look at that object and remove it; what was bought is in the record",
                money="unknown",
            )
        draft.replace(place)
    finally:
        draft.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _take(file: Any, sha256: Any, piece: Any) -> None:
    data = memoryview(piece)
    file.write(data)
    sha256.update(data)


def _used(place: Path) -> bool:
    """Whether it is there; it counts as used now."""
    if not place.is_file():
        return False
    with contextlib.suppress(OSError):
        place.parent.touch()
    return True


def _held(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """When each folder of the cache was used last, and how many bytes it holds."""
    with contextlib.suppress(OSError):
        for place in [*cache.iterdir(), *(cache / "saving").glob(".*")]:
            with contextlib.suppress(OSError):
                if place.name != "saving":
                    yield place.stat().st_mtime, sum(each.stat().st_size for each in place.iterdir()), place


def _parted(address: str) -> tuple[str, str]:
    scheme, _, rest = address.partition("://")
    bucket, _, key = rest.partition("/")
    return f"{scheme}://{bucket}", key


def _reason(error: str) -> str:
    """What the store answered, without the address that was asked and the name of the object; else its first line."""
    report = error.partition("\n\nDebug source")[0].strip()
    if (answer := _STATUS.search(report)) is None:
        return report.partition("\n")[0][:300]
    status, rest = answer.groups()
    said = _SAID.findall(report) or [rest]
    return ": ".join(words for each in (status, *said) if (words := each.strip(" :\r")))[:300]


def _unusable(root: str, why: str, money: Money = "unknown") -> LocalError:
    return LocalError(
        f"The object store {root} cannot be used",
        why=why,
        next_step="See that KLING_STORE_URL names a bucket that this machine may write, and that its keys are set",
        money=money,
    )
