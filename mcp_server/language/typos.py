"""Typos: words one edit away from the name, from a unit, or from a tier or a shape beside the name."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.language import roles as role
from mcp_server.language.item import BREAK, WORD, Item, any_has, neighbour
from mcp_server.language.lexicon import LONG, Lexicon

_NEAR_START = 8
"""Up to here breaks are looked across for the word before the name."""


def correct_units(items: list[Item], lexicon: Lexicon) -> None:
    """“10 secnds”: after a number, a word one edit away from a unit is that unit."""
    for at in range(1, len(items)):
        item = items[at]
        if len(item.first) < LONG or item.entry is not None or not item.has(WORD):
            continue
        if not items[at - 1].has(role.NUMBER):
            continue
        meant = next((unit for unit in lexicon.unit_words if _is_typo(item.first, unit, lexicon)), None)
        if meant is not None:
            item.entry, item.roles = lexicon.entry(meant), role.UNIT | WORD


def correct_words(items: list[Item], lexicon: Lexicon) -> None:
    """Takes a word for the name, or beside it for a tier or a shape, where it can be nothing but a typo of it."""
    named = any_has(items, role.NAME)
    for at, item in enumerate(items):
        if _is_lone_typo(items, at, lexicon):
            _correct_tier(items, at, lexicon)
        if not item.has(WORD) or item.entry is not None or item.glued or neighbour(items, at + 1).glued:
            continue
        if not named and _is_name(items, at, lexicon):
            item.roles = role.NAME
            named = True
        elif neighbour(items, at - 1).has(role.NAME | role.WISH | role.NOUN):
            _correct_tier(items, at, lexicon)
        if item.has(WORD):
            _correct_shape(items, at, lexicon)


def _is_lone_typo(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“kling por”: a word of its own in some language, right after the name."""
    item = items[at]
    alone = item.first in lexicon.lone_typos and item.end - item.start == len(item.first)
    return alone and at > 0 and items[at - 1].has(role.NAME) and not item.has(role.WISH)


def _is_name(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    word = items[at].first
    near = any(_is_typo(word, name, lexicon) for name in lexicon.name_words) or _is_heard(items, at, lexicon)
    return near and _stands_for_name(items, at)


def _is_heard(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“cling pro”, as dictation writes it."""
    return items[at].first in lexicon.heard_as and neighbour(items, at + 1).asks_for("tier")


def _stands_for_name(items: Sequence[Item], at: int) -> bool:
    before = [item for item in items[:at] if not item.has(BREAK)][-1:] if at < _NEAR_START else [items[at - 1]]
    if not before or before[0].has(role.VERB | role.FILLER | role.PLEASE | role.CREATE | role.WISH | role.ARTICLE):
        return True
    return neighbour(items, at + 1).has(role.WISH)


def _correct_tier(items: list[Item], at: int, lexicon: Lexicon) -> None:
    word = items[at].first
    closed = neighbour(items, at + 1).has(BREAK)
    tier = lexicon.tier_typos.get(word) or (closed and lexicon.lone_typos.get(word))
    for meant, known in lexicon.tier_words.items():
        if not tier and _is_typo(word, meant, lexicon) and not word.startswith(meant):
            tier = known
    if tier:
        items[at].wish((("tier", tier),), role.EDGE, "")


def _correct_shape(items: list[Item], at: int, lexicon: Lexicon) -> None:
    """“potrait”, where it can be nothing but an order: between signs, or among other wishes."""
    word, around = items[at].first, (neighbour(items, at - 1), neighbour(items, at + 1))
    if len(word) < LONG or not all(one.has(BREAK | role.WISH | role.NAME) for one in around):
        return
    for meant, sets in lexicon.shape_words.items():
        if not word.startswith(meant) and _is_typo(word, meant, lexicon):
            items[at].wish(sets, role.EDGE, "")
            return


def _is_typo(word: str, meant: str, lexicon: Lexicon) -> bool:
    return abs(len(word) - len(meant)) <= 1 and word not in lexicon.not_typos and one_edit(word, meant)


def one_edit(word: str, meant: str) -> bool:
    """Whether one letter was dropped, added, changed, or changed places with its neighbour."""
    if word == meant:
        return False
    short, long = sorted((word, meant), key=len)
    at = 0
    while at < len(short) and short[at] == long[at]:
        at += 1
    if len(short) != len(long):
        return short[at:] == long[at + 1 :]
    return short[at + 1 :] == long[at + 1 :] or (
        short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    )
