"""Text that was damaged on its way: half a character, or the sign that stands where bytes could not be read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

_HALF = re.compile("[\ud800-\udfff]")
_DAMAGED = re.compile("[\ud800-\udfff\ufffd]")
_ESCAPED = re.compile(r"\\u[dD][89a-fA-F]")
_BEFORE = 20


def may_hold_halves(text: str) -> bool:
    """Whether JSON as it is written may hold half a character: only an escape can, and most stand beside their other
    half.
    """
    return _ESCAPED.search(text) is not None


def mended(value: Any) -> Any:
    """The same JSON with U+FFFD for every half of a character: neither a file nor an answer can hold one."""
    if isinstance(value, str):
        if value.isascii() or not _HALF.search(value):
            return value
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [mended(part) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {mended(name): mended(part) for name, part in cast("dict[str, Any]", value).items()}
    return value


def damaged(value: Any, name: str = "") -> str:
    """Where the first damaged text stands, and after what; empty when all of it is whole."""
    if isinstance(value, str):
        return _damaged_text(value, name)
    return next((where for path, part in _parts(value, name) if (where := damaged(part, path))), "")


def _damaged_text(text: str, name: str) -> str:
    found = None if text.isascii() else _DAMAGED.search(text)
    if found is None:
        return ""
    before = text[max(0, found.start() - _BEFORE) : found.start()]
    return f"{mended(name) or 'the text'} (after {before!r})" if before else f"{mended(name) or 'the text'}"


def _parts(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Everything inside, names included, with where it stands."""
    if isinstance(value, Mapping):
        for key, part in cast("Mapping[str, Any]", value).items():
            yield name, key
            yield f"{name}.{key}" if name else key, part
    elif isinstance(value, list):
        for index, part in enumerate(cast("list[Any]", value)):
            yield f"{name}[{index}]", part
