"""One phrase of the text, and what it could mean here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcp_server.language import roles as role

Set = tuple[str, Any]
"""A field of Wishes and the value it gets."""
_SCOPES: Final = {"beside_name": role.BESIDE_NAME, "edge": role.EDGE, "clause": role.STANDALONE}
_NO_KEYS: Final[frozenset[str]] = frozenset()

WORD: Final = 1 << 29
"""Means nothing here: part of the scene."""
BREAK: Final = 1 << 30
"""A sign that ends a clause."""
ORDER: Final = (
    role.NAME | role.WISH | role.ARTICLE | role.VERB | role.CREATE | role.NOUN | role.LINK | role.FILLER | role.PLEASE
    | role.PARTICLE | role.LABEL | role.KEPT
)  # fmt: skip
"""Roles of words that can belong to an order."""
MEASURE_WEIGHT: Final = 3


class Entry:
    """What one phrase of the manifests can mean, in all the languages that have it."""

    __slots__ = (
        "closes", "first_word", "label", "no_opposite", "not_before", "note", "number", "objects", "roles", "scope",
        "seconds", "sets", "verbs", "weight",
    )  # fmt: skip

    def __init__(self) -> None:
        self.roles = 0
        self.sets: tuple[Set, ...] = ()
        self.weight = 0
        self.scope = role.BESIDE_NAME
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

    def wish(self, group: Mapping[str, Any], not_before: frozenset[str] = _NO_KEYS) -> None:
        """Makes the phrase ask for what the group sets."""
        self.roles |= role.WISH
        self.sets = tuple(group.get("sets", {}).items())
        self.weight = group.get("weight", 1)
        self.no_opposite = group.get("no_opposite", False) or self.weight == 1
        self.note = group.get("note", "")
        self.scope = _SCOPES[group["scope"]]
        self.closes = group.get("closes", "")
        self.not_before = not_before


_NOTHING: Final = Entry()
"""What a phrase means that stands in no manifest."""


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


class Item:
    """One phrase of the text, or a sign that ends a clause."""

    __slots__ = (
        "about", "closes", "complaint", "end", "entry", "first", "glued", "negated", "not_before", "note", "partner",
        "roles", "scope", "sets", "sign", "start", "weight",
    )  # fmt: skip

    def __init__(self, start: int, end: int, roles: int, *, entry: Entry | None = None, first: str = "") -> None:
        self.start = start
        self.end = end
        self.roles = roles
        self.entry = entry
        self.first = first
        """The first key: what the word before or after it looks at."""
        self.sign = ""
        """Which kind of break this is; empty for words."""
        self.glued = False
        self.negated = False
        meant = entry or _NOTHING
        self.sets = meant.sets
        self.weight = meant.weight
        self.scope = meant.scope
        self.closes = meant.closes
        self.not_before = meant.not_before
        self.note = meant.note
        self.complaint = ""
        """Why what is asked for here cannot be ordered."""
        self.about = "duration"
        """The field the complaint is about."""
        self.partner = -1
        """For a verb that asks together with its object: the object's place."""

    def has(self, roles: int) -> bool:
        return bool(self.roles & roles)

    def asks_for(self, field: str) -> bool:
        return any(name == field for name, _ in self.sets)

    def wish(self, sets: tuple[Set, ...], scope: int, closes: str, weight: int = MEASURE_WEIGHT) -> None:
        """Makes this item ask for something."""
        self.roles = role.WISH
        self.sets, self.scope, self.closes, self.weight = sets, scope, closes, weight

    def silence(self) -> None:
        """Makes this item part of the scene."""
        self.roles = (self.roles & (role.NEAR_MISS | role.RIVAL)) | WORD
        self.sets = ()
        self.note = ""


EDGE_OF_TEXT: Final = Item(0, 0, BREAK)
"""What stands before the first item and after the last: there a clause ends, too."""


def neighbour(items: Sequence[Item], at: int) -> Item:
    """The item at this place; beyond either end of the text, its edge."""
    return items[at] if 0 <= at < len(items) else EDGE_OF_TEXT


def any_has(items: Iterable[Item], roles: int) -> bool:
    """Whether one of these items has one of these roles."""
    return any(item.roles & roles for item in items)


def values_by_field(items: Iterable[Item]) -> dict[str, set[object]]:
    """All that these items ask for."""
    values: dict[str, set[object]] = {}
    for item in items:
        for field, value in item.sets:
            values.setdefault(field, set()).add(value)
    return values


def make_fillers(items: Iterable[Item]) -> None:
    """What only leads from one word of an order to another says nothing itself."""
    for item in items:
        if not item.has(role.NAME | role.WISH):
            item.roles = role.FILLER


def merge(items: Sequence[Item], first: int, last: int) -> Item:
    """One item in place of several, with no meaning of its own yet."""
    item = Item(items[first].start, items[last].end, WORD, first=items[first].first)
    item.glued = items[first].glued
    return item


def number_of(item: Item) -> float | None:
    """The number an item says, in digits or in words."""
    if item.has(role.NUMBER):
        return item.entry.number if item.entry and item.entry.roles & role.NUMBER else float(item.first)
    return None
