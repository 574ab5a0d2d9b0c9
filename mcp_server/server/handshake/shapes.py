"""What clients say about themselves, where it is certain that the SDK takes it; anything else is left to the SDK."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

Check = Callable[[Any], bool]

PROTOCOL: Final = "io.modelcontextprotocol/protocolVersion"
CLIENT: Final = "io.modelcontextprotocol/clientInfo"
CAPABILITIES: Final = "io.modelcontextprotocol/clientCapabilities"
TOKEN: Final = "progressToken"  # noqa: S105 - no secret
_WHOLE_MAX: Final = 2**53


def fields(found: object, allowed: Mapping[str, Check], *, needed: tuple[str, ...] = ()) -> bool:
    """Whether it is an object of these fields and no others."""
    if not isinstance(found, dict):
        return False
    given = cast("dict[str, Any]", found)
    return all(name in given for name in needed) and all(
        name in allowed and allowed[name](value) for name, value in given.items()
    )


def is_id(found: object) -> bool:
    """Whether it is written back as it came: a whole number, or plain text that JSON writes in one way only."""
    if isinstance(found, str):
        return len(found) <= 200 and found.isascii() and found.isprintable() and not {'"', "\\"} & set(found)
    return type(found) is int and 0 <= found < _WHOLE_MAX


def client_info(found: object) -> bool:
    return fields(found, _CLIENT, needed=("name", "version"))


def capabilities(found: object) -> bool:
    return fields(found, _CAPABILITIES)


def modern_meta(found: object, version: str) -> bool:
    """Whether it is the envelope of a request of this version."""
    allowed: dict[str, Check] = {
        PROTOCOL: lambda value: value == version,
        CLIENT: client_info,
        CAPABILITIES: capabilities,
        TOKEN: is_id,
    }
    return fields(found, allowed, needed=(PROTOCOL, CAPABILITIES))


def legacy_meta(found: object) -> bool:
    return fields(found, {TOKEN: is_id})


def without_notes(meta: dict[str, Any]) -> dict[str, Any]:
    """What a client says of a call, without texts under names of its own, which nobody reads."""
    return {
        name: said
        for name, said in meta.items()
        if not ("/" in name and not name.startswith("io.modelcontextprotocol/") and text(said))
    }


def text(found: object) -> bool:
    return isinstance(found, str)


def _object(found: object) -> bool:
    return isinstance(found, dict)


def _objects(found: object) -> bool:
    return isinstance(found, dict) and all(map(_object, cast("dict[str, Any]", found).values()))


def _icons(found: object) -> bool:
    return isinstance(found, list) and all(fields(icon, _ICON, needed=("src",)) for icon in cast("list[object]", found))


def _texts(found: object) -> bool:
    return isinstance(found, list) and all(map(text, cast("list[object]", found)))


_ICON: Final[Mapping[str, Check]] = {"src": text, "mimeType": text, "sizes": _texts}
_CLIENT: Final[Mapping[str, Check]] = {
    **dict.fromkeys(("name", "version", "title", "description", "websiteUrl"), text),
    "icons": _icons,
}
_CAPABILITIES: Final[Mapping[str, Check]] = {
    "experimental": _objects,
    "extensions": _objects,
    "roots": lambda value: fields(value, {"listChanged": lambda said: isinstance(said, bool)}),
    "sampling": lambda value: fields(value, {"context": _object, "tools": _object}),
    "elicitation": lambda value: fields(value, {"form": _object, "url": _object}),
}
