"""Typos: words one edit away from the name, from a unit, or from a tier or a shape beside the name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language.item import BREAK, NOTHING, WORD, Item, Set, any_has, neighbour
from mcp_server.language.lexicon import LONG, Lexicon

_NEAR_START: Final = 8
"""Up to here breaks are looked across for the word before the name."""
_LEADS: Final = role.VERB | role.FILLER | role.PLEASE | role.CREATE_VERB | role.WISH | role.ARTICLE
_AROUND: Final = BREAK | role.WISH | role.NAME


def correct_units(items: list[Item], lexicon: Lexicon) -> None:
    """“10 secnds”: after a number, a word one edit away from a unit is that unit."""
    for at in range(1, len(items)):
        item = items[at]
        if (
            len(item.first) < LONG
            or item.entry is not NOTHING
            or not (item.has(WORD) and items[at - 1].has(role.NUMBER))
        ):
            continue
        meant = next((unit for unit in lexicon.unit_words if _is_typo(item.first, unit, lexicon)), None)
        if meant is not None:
            item.entry, item.roles = lexicon.entry(meant) or NOTHING, role.UNIT | WORD


def correct_words(items: list[Item], lexicon: Lexicon) -> None:
    """Takes a word for the name, or beside it for a tier or a shape, where it can be nothing but a typo of it."""
    named = any_has(items, role.NAME)
    for at, item in enumerate(items):
        before, after = neighbour(items, at - 1), neighbour(items, at + 1)
        lone = item.first in lexicon.lone_typos and item.end - item.start == len(item.first)
        if lone and before.has(role.NAME) and after.has(BREAK) and not item.has(role.WISH):
            # "kling por": a word of its own in some language, right after the name.
            item.wish(lexicon.lone_typos[item.first], role.EDGE, "")
        if not item.has(WORD) or item.entry is not NOTHING or item.glued or after.glued:
            continue
        if not named and _is_name(items, at, lexicon):
            item.roles = role.NAME
            named = True
        elif before.has(role.NAME | role.WISH | role.NOUN):
            listed = {**lexicon.lone_typos, **lexicon.tier_typos} if after.has(BREAK) else lexicon.tier_typos
            _correct(item, lexicon.tier_words, lexicon, listed.get(item.first, ()))
        if item.has(WORD) and len(item.first) >= LONG and all(one.has(_AROUND) for one in (before, after)):
            # "potrait", where it can be nothing but an order: between signs, or among other wishes.
            _correct(item, lexicon.shape_words, lexicon)


def _is_name(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“klng”; and “cling pro”, as dictation writes it."""
    word, after = items[at].first, neighbour(items, at + 1)
    heard = word in lexicon.firsts["heard_as"] and after.asks_for("tier")
    if not heard and not any(_is_typo(word, name, lexicon) for name in lexicon.name_words):
        return False
    before = [item for item in items[:at] if not item.has(BREAK)][-1:] if at < _NEAR_START else [items[at - 1]]
    return not before or before[0].has(_LEADS) or after.has(role.WISH)


def _correct(item: Item, words: Mapping[str, tuple[Set, ...]], lexicon: Lexicon, known: tuple[Set, ...] = ()) -> None:
    """Makes the item the wish whose word it is one edit away from, or the one it is `known` for."""
    word = item.first
    near = (sets for meant, sets in words.items() if not word.startswith(meant) and _is_typo(word, meant, lexicon))
    if sets := known or next(near, ()):
        item.wish(sets, role.EDGE, "")


def _is_typo(word: str, meant: str, lexicon: Lexicon) -> bool:
    return abs(len(word) - len(meant)) <= 1 and word not in lexicon.firsts["not_typo"] and one_edit(word, meant)


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
