"""What one phrase of the manifest means, and the keys it is found by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcp_server.language import roles as role
from mcp_server.language import tokens

_SCOPES: Final = {"zone": role.ZONE, "edge": role.EDGE, "clause": role.STANDALONE, "any": role.ANYWHERE}
_NO_KEYS: Final[frozenset[str]] = frozenset()

Set = tuple[str, Any]
"""A field of Wishes and the value it gets."""


class Entry:
    """Everything one phrase means."""

    __slots__ = (
        "closes",
        "first_word",
        "label",
        "no_opposite",
        "not_before",
        "note",
        "number",
        "objects",
        "roles",
        "scope",
        "seconds",
        "sets",
        "verbs",
        "weight",
    )

    def __init__(self) -> None:
        self.roles = 0
        self.sets: tuple[Set, ...] = ()
        self.weight = 0
        self.scope = role.ZONE
        self.closes = ""
        """Whether it may end the last sentence without a comma: `bare`, `after_preposition`, or not at all."""
        self.not_before = _NO_KEYS
        self.no_opposite = False
        self.note = ""
        """What to say about words that can mean several things, of which none was chosen."""
        self.label: tuple[str, ...] = ()
        self.number = 0
        self.seconds = 0
        self.verbs: tuple[int, ...] = ()
        self.objects: tuple[int, ...] = ()
        self.first_word = 0
        """Tokens of its first word as it is written: in between there is no room for a space."""

    def wish(self, group: Mapping[str, Any]) -> None:
        """Makes the phrase ask for what the group sets."""
        self.roles |= role.WISH
        self.sets = tuple(group.get("sets", {}).items())
        self.weight = group.get("weight", 1)
        self.no_opposite = group.get("no_opposite", False) or self.weight == 1
        self.note = group.get("note", "")
        self.scope = _SCOPES[group["scope"]]
        self.closes = group.get("closes", "")
        self.not_before = keys_of(group.get("not_before", ()))


class Pair:
    """A verb and its object that mean something together: "animate" … "photo"."""

    __slots__ = ("into_clip", "of_clips", "of_owned", "sets", "weight")

    def __init__(self, group: Mapping[str, Any]) -> None:
        self.sets: tuple[Set, ...] = tuple(group["sets"].items())
        self.weight: int = group["weight"]
        self.into_clip = "into_clip" in group
        """Whether the object has to become a clip: "turn … into a video"."""
        self.of_owned = "of_owned" in group
        """Whether something has to say that the object is there already: "with this photo"."""
        self.of_clips = "of_clips" in group
        """Whether any clip that is there already can be the object: "my last video"."""


def phrase_keys(phrase: str) -> list[str]:
    """The keys a phrase is found by, made by the same scan as those of the text."""
    plain = tokens.plain(tokens.composed(phrase))
    # "d'" is a word of its own only before another, "'s" only after one.
    if plain.endswith("'"):
        return [token.key for token in tokens.tokenise(f"{plain}x", quotes=False)[:-1]]
    if plain.startswith("'"):
        return [token.key for token in tokens.tokenise(f"x{plain}", quotes=False)[1:]]
    return [token.key for token in tokens.tokenise(plain, quotes=False)]


def first_word(phrase: str) -> int:
    """How many of its keys are written in one piece with the first."""
    found = tokens.tokenise(tokens.plain(tokens.composed(phrase)), quotes=False)
    return next((at for at in range(1, len(found)) if not found[at].glued), len(found))


def every(phrases: Mapping[str, Sequence[str]] | Sequence[str]) -> Iterable[str]:
    """Phrases of every language, or of none in particular."""
    if not isinstance(phrases, Mapping):
        yield from phrases
        return
    for found in phrases.values():
        yield from found


def keys_of(words: Iterable[str]) -> frozenset[str]:
    """Words as they are compared; of several words, the first decides."""
    return frozenset(keys[0] for word in words if (keys := phrase_keys(word)))


def endings(words: Iterable[str]) -> frozenset[tuple[str, ...]]:
    return frozenset(tuple(phrase_keys(word)) for word in words)
