"""Words that read like an order wherever they stand: what a route is held against, whatever was understood of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.domain.request import Match
from mcp_server.language import roles as role
from mcp_server.language.clauses import is_told
from mcp_server.language.item import BREAK, WORD, Item, neighbour
from mcp_server.language.lexicon import Lexicon

_FIELDS: Final = frozenset(("tier", "mode", "duration", "aspect_ratio", "resolution", "audio", "model", "provider"))
_LONGEST: Final = 60
"""Seconds; a longer span of time is told in a scene, not ordered."""
_SURE: Final = 3
"""The weight of a phrase that names what it asks for; lighter ones only hint."""
_SHORT: Final = 3
"""Signs of a word that can hardly be another's adjective: "pro", "std", "プロ"; not "professional"."""


def strong_words(items: Sequence[Item], taken: Sequence[bool], text: str, lexicon: Lexicon) -> Iterable[Match]:
    """What a reader would take for an order among the items nobody took; an address or a file has no value."""
    for at, item in enumerate(items):
        if taken[at] or not (item.address or item.has(role.WISH)):
            continue
        words = text[item.start : item.end]
        if item.address:
            yield Match(words=words, start=item.start, field="file", value="")
        elif item.weight >= _SURE and not item.negated and not is_told(items, at, lexicon):
            for field, value in item.sets:
                if field in _FIELDS and _is_strong(items, at, field, value, words):
                    yield Match(words=words, start=item.start, field=field, value=str(value).lower())


def _is_strong(items: Sequence[Item], at: int, field: str, value: object, words: str) -> bool:
    """Whether the words could hardly stand in a scene: with a number in them, beside the name, or in a clause alone."""
    item, before, after = items[at], neighbour(items, at - 1), neighbour(items, at + 1)
    if field == "model":
        return item.has(role.NAME)
    if field == "mode":
        return item.partner >= 0
    if field == "duration" and (not isinstance(value, int) or value > _LONGEST or after.has(role.LINK)):
        return False
    if item.scope >= role.STANDALONE or any(sign.isdigit() for sign in words):
        return True
    opens, closes = before.has(BREAK | role.NAME | role.WISH), after.has(BREAK | role.WISH)
    if len(words) <= _SHORT and (opens or not after.has(WORD)):
        return True
    return (opens and closes) or (after.has(role.LABEL | role.NOUN | role.GENRE) and not after.has(WORD))
