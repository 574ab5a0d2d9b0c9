"""An answer's body on its way in: unpacked, counted and cut; then without our key, however that was written."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, Final, cast
from urllib.parse import unquote

from mcp_server.providers.json_bodies import decode

BODY_LIMIT: Final = 1024 * 1024
"""Of an answer as it comes and as it unpacks. The longest that is documented, a whole price list, is a tenth of it;
a megabyte of brackets is fifty in memory."""
_PACKED: Final = frozenset({"gzip", "x-gzip", "deflate"})
"""What is unpacked although `identity` was asked for: machines between us and a vendor do as they like."""
_PIECES_AT_ONCE: Final = 64
HIDDEN: Final = "[the key]"
_KEY_LEAST: Final = 8
"""A shorter key is a test's; looking for it in an answer would find ordinary words."""


class Body:
    """Takes a body in, piece by piece, up to the limit: an answer without an end is cut, not swallowed."""

    def __init__(self, coding: str) -> None:
        self._codings = [name for part in coding.split(",") if (name := part.strip().lower()) not in ("", "identity")]
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if self._packed_once() else None
        self._parts: list[bytes] = []
        self._came = 0
        self._size = 0
        self.full = bool(self._codings) and self._unpack is None

    def take(self, piece: bytes) -> None:
        """The next bytes as they came; `full` says that no more are wanted."""
        self._came += len(piece)
        try:
            plain = piece if self._unpack is None else self._unpack.decompress(piece, BODY_LIMIT - self._size + 1)
        except zlib.error:
            self.full = True
            return
        self._size += len(plain)
        if max(self._came, self._size) > BODY_LIMIT:
            self.full = True
        else:
            self._parts.append(plain)

    @property
    def text(self) -> str:
        """All of it that was taken."""
        if self._codings and self._unpack is None:
            return f"(packed as {', '.join(self._codings)[:80]}, which was not asked for)"
        return b"".join(self._parts).decode("utf-8", "replace")

    def _packed_once(self) -> bool:
        return len(self._codings) == 1 and self._codings[0] in _PACKED


async def taken(pieces: AsyncIterator[bytes], coding: str, pause: Callable[[], Awaitable[None]]) -> str:
    """The body's text; after some pieces, which may be of one byte each, `pause` lets others work."""
    body, count = Body(coding), 0
    if not body.full:
        async for piece in pieces:
            body.take(piece)
            count += 1
            if body.full:
                break
            if count % _PIECES_AT_ONCE == 0:
                await pause()
    return body.text


_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_READ: Final[tuple[Callable[[str], str], ...]] = (
    lambda said: _ESCAPED.sub(lambda found: chr(int(found[1], 16)) if found[1] else found[2], said),
    html.unescape,
    unquote,
)
"""Ways to write a text that hide a key from a search and from nobody who reads it."""
_TWICE: Final = 2
"""A text may stand in JSON that stands in JSON."""


def without_keys(said: str, keys: Iterable[str]) -> str:
    """The text without our keys: some quote one when they refuse it, and words go into answers and files."""
    for key in keys:
        if len(key) < _KEY_LEAST:
            continue
        said = said.replace(key, HIDDEN)
        said = next((read.replace(key, HIDDEN) for read in _readings(said, _TWICE) if key in read), said)
    return said


def believed(said: str, keys: Sequence[str]) -> tuple[Any, str]:
    """An answer's JSON, None when it is none, and its text; none of our keys in either."""
    body, text = decode(said), without_keys(said, keys)
    if text == said or body is None:
        return body, text
    try:
        body = _all_without_keys(body, keys)
        return body, json.dumps(body, ensure_ascii=False, default=str)
    except RecursionError:
        return None, text


def _all_without_keys(value: Any, keys: Sequence[str]) -> Any:
    if isinstance(value, str):
        return without_keys(value, keys)
    if isinstance(value, list):
        return [_all_without_keys(part, keys) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        rows = cast("dict[str, Any]", value).items()
        return {without_keys(name, keys): _all_without_keys(part, keys) for name, part in rows}
    return value


def _readings(said: str, depth: int) -> Iterator[str]:
    for way in _READ:
        if (read := way(said)) != said:
            yield read
            if depth > 1:
                yield from _readings(read, depth - 1)
