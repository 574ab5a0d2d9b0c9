"""One phrase of the text, and what it could mean here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mcp_server.language import roles as role

Set = tuple[str, Any]
"""A field of Wishes and the value it gets."""
_SCOPES: Final = {"beside_name": role.BESIDE_NAME, "edge": role.EDGE, "clause": role.STANDALONE}

WORD, BREAK = role.WORD, role.BREAK
ORDER: Final = (
    role.NAME | role.WISH | role.ARTICLE | role.VERB | role.CREATE_VERB | role.NOUN | role.LINK | role.FILLER
    | role.PLEASE | role.PARTICLE | role.LABEL | role.KEPT
)  # fmt: skip
"""Roles of words that can belong to an order."""
MEASURE_WEIGHT: Final = 3


@dataclass(slots=True, eq=False)
class Entry:
    """What one phrase of the manifests can mean, in all the languages that have it."""

    roles: int = 0
    sets: tuple[Set, ...] = ()
    weight: int = 0
    scope: int = role.BESIDE_NAME
    closes: str = ""
    """Whether it may end the last sentence without a comma: `bare`, `after_preposition`, or not at all."""
    not_before: frozenset[str] = frozenset()
    no_opposite: bool = False
    note: str = ""
    """What to say about words that can mean several things, of which none was chosen."""
    about: str = ""
    """The field those words leave open: where others settle it, nothing is said of it."""
    label: tuple[str, ...] = ()
    values: dict[int, int] = field(default_factory=dict[int, int])
    """What it is worth as what it can be: a number, a unit's seconds, a coin's US cents, whether a switch is on."""
    verbs: tuple[int, ...] = ()
    objects: tuple[int, ...] = ()
    first_word: int = 0
    """Tokens of its first word as it is written: in between there is no room for a space."""

    def wish(self, group: Mapping[str, Any], not_before: frozenset[str] = frozenset()) -> None:
        """Makes the phrase ask for what the group sets."""
        self.roles |= role.WISH
        self.sets = tuple(group.get("sets", {}).items())
        self.weight = group.get("weight", 1)
        self.no_opposite = group.get("no_opposite", False) or self.weight == 1
        self.note = group.get("note", "")
        self.about = group.get("about", "")
        self.scope = _SCOPES[group["scope"]]
        self.closes = group.get("closes", "")
        self.not_before = not_before


NOTHING: Final = Entry()
"""What a phrase means that stands in no manifest."""


class Item:
    """One phrase of the text, or a sign that ends a clause."""

    __slots__ = (
        "about", "address", "closes", "complaint", "end", "entry", "first", "glued", "medium", "negated", "note",
        "partner", "roles", "scope", "sets", "sign", "start", "weight",
    )  # fmt: skip

    def __init__(self, start: int, end: int, roles: int, *, entry: Entry = NOTHING, first: str = "") -> None:
        self.start = start
        self.end = end
        self.roles = roles
        self.entry = entry
        self.first = first
        """The first key: what the word before or after it looks at."""
        self.sign = ""
        """Which kind of break this is; empty for words."""
        self.address = False
        """Whether this is an address or a file."""
        self.medium = ""
        """For an address or a file: the argument it is for."""
        self.glued = False
        self.negated = False
        self.sets = entry.sets
        self.weight = entry.weight
        self.scope = entry.scope
        self.closes = entry.closes
        self.note = entry.note
        self.complaint = ""
        """Why what is asked for here cannot be ordered."""
        self.about = entry.about or "duration"
        """The field the complaint or the note is about."""
        self.partner = -1
        """For a verb that asks together with its object: the object's place."""

    def has(self, roles: int) -> bool:
        return bool(self.roles & roles)

    def asks_for(self, wanted: str) -> bool:
        return any(name == wanted for name, _ in self.sets)

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
        for name, value in item.sets:
            values.setdefault(name, set()).add(value)
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


def replace_runs(items: list[Item], roles: int, run: Callable[[int], tuple[Item, int]]) -> None:
    """Puts one item in place of each run that begins with one of these roles; `run` says which, and where it ends."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, end = items[at], at + 1
        if item.roles & roles:
            item, end = run(at)
        made.append(item)
        at = end
    items[:] = made


def number_of(item: Item) -> float | None:
    """The number an item says, in digits or in words."""
    if item.has(role.NUMBER):
        return item.entry.values[role.NUMBER] if item.entry.roles & role.NUMBER else float(item.first)
    return None
