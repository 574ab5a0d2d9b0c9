"""A call written into `request` as JSON, as agents do: its names are the arguments, and no clip is made of its text."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final, cast

from mcp_server.domain.vocabulary import UNSOLD
from mcp_server.errors import ArgumentError

WORDS_MAX: Final = 10_000
"""An order in words is four times the longest prompt a vendor takes (2,500), and no longer: each word is looked at."""
_FENCE: Final = "```"
_FENCE_NAME: Final = re.compile(r"\w*")
_OBJECT: Final = re.compile(r"""\{\s*(["'])[^"'{}]{0,100}\1\s*:""")
"""How an object begins, also one that cannot be read; words in braces are no object."""
_AS_WORDS: Final = "Give each as an argument of its own, or the scene in plain words as `prompt`"
_OWN_WORD: Final = "accept_unknown_price"


def unpacked(given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any] | None:
    """The arguments with those inside `request` beside them, which go before; None where it holds words."""
    text = given.get("request")
    # What is too long is refused for its length, and not read before.
    if not isinstance(text, str) or len(text) > WORDS_MAX or not (found := _object(text)):
        return None
    _refuse_strange(found, known)
    beside = {name: value for name, value in given.items() if name != "request" and value is not None}
    both = {**found, **beside}
    return unpacked(both, known) or both


def _refuse_strange(found: Mapping[str, Any], known: Collection[str]) -> None:
    """Nothing, or the refusal of names that are no arguments and of a consent that was not given by itself."""
    if strange := [name for name in found if name not in known]:
        named = ", ".join(f"{name} ({UNSOLD[name]})" if name in UNSOLD else name for name in strange[:8])
        raise ArgumentError(
            f"`request` is a JSON object with names that are no arguments: {named}"[:400], next_step=_AS_WORDS
        )
    if found.get(_OWN_WORD):
        raise ArgumentError(
            f"`{_OWN_WORD}` stands inside `request`",
            why="a yes to a price nobody knows is said by itself",
            next_step=f"Ask the user, then give `{_OWN_WORD}` beside `request`",
        )


def told(given: Mapping[str, Any], taken: Mapping[str, Any]) -> str:
    """The sentence for whoever pasted it."""
    names = ", ".join(name for name in taken if given.get(name) is None) or "nothing"
    return f"`request` held a JSON object: {names} taken from it as arguments; next time give them as arguments"


def _object(text: str) -> dict[str, Any]:
    """The object that is the whole text; empty when there is none in it at all."""
    text = _unfenced(text.strip())
    found: Any = None
    if text.startswith(("{", "[")):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            found = None
    if isinstance(found, dict):
        return cast("dict[str, Any]", found)
    if _OBJECT.search(text):
        raise ArgumentError(
            "There is JSON in `request` that is not one object of arguments",
            why="it would be filmed as if it were the scene",
            next_step=f"{_AS_WORDS}; one call makes one order",
        )
    return {}


def _unfenced(text: str) -> str:
    """What stands between the fences of a code block that is the whole text."""
    if len(text) < 2 * len(_FENCE) or not (text.startswith(_FENCE) and text.endswith(_FENCE)):
        return text
    inside = text[len(_FENCE) : -len(_FENCE)]
    return _FENCE_NAME.sub("", inside, count=1).strip()
