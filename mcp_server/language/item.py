"""One phrase of the text, and what it could mean here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language.phrases import Entry, Set

WORD: Final = 1 << 29
"""Means nothing here: part of the scene."""
BREAK: Final = 1 << 30
"""Ends a clause."""
ORDER: Final = (
    role.NAME | role.WISH | role.ARTICLE | role.VERB | role.LEAD | role.NOUN | role.LINK | role.SOFT | role.PLEASE
    | role.PARTICLE | role.LABEL | role.KEPT
)  # fmt: skip
"""Roles of words that can belong to an order."""
MEASURE_WEIGHT: Final = 3


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
        """The first key: what `not_before` and `blocked_before` look at."""
        self.sign = ""
        """For a break: which kind."""
        self.glued = False
        self.negated = False
        self.sets: tuple[Set, ...] = entry.sets if entry else ()
        self.weight = entry.weight if entry else 0
        self.scope = entry.scope if entry else role.ZONE
        self.closes = entry.closes if entry else ""
        self.not_before = entry.not_before if entry else frozenset[str]()
        self.complaint = ""
        """Why what is asked for here cannot be ordered."""
        self.about = "duration"
        """The field the complaint is about."""
        self.note = entry.note if entry else ""
        self.partner = -1
        """For a verb that asks together with its object: the object's place."""

    def has(self, roles: int) -> bool:
        return bool(self.roles & roles)

    def wish(self, sets: tuple[Set, ...], scope: int, closes: str, weight: int = MEASURE_WEIGHT) -> None:
        """Makes this item ask for something."""
        self.roles = role.WISH
        self.sets, self.scope, self.closes, self.weight = sets, scope, closes, weight

    def silence(self) -> None:
        """Makes this item part of the scene."""
        self.roles = (self.roles & (role.NEAR_MISS | role.RIVAL)) | WORD
        self.sets = ()
        self.note = ""


def merge(items: Sequence[Item], first: int, last: int) -> Item:
    """One item over several."""
    item = Item(items[first].start, items[last].end, WORD, first=items[first].first)
    item.glued = items[first].glued
    return item


def number_of(item: Item) -> float | None:
    """The number an item says, in digits or in words."""
    if item.has(role.NUMBER):
        return item.entry.number if item.entry and item.entry.roles & role.NUMBER else float(item.first)
    return None
