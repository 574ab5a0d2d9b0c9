"""Slips of the finger: words one edit away from "kling", or from a tier beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language.item import BREAK, WORD, Item
from mcp_server.language.lexicon import Lexicon


def units(items: list[Item], lexicon: Lexicon) -> None:
    """“10 secnds”: after a number, a word one edit away from a unit is that unit."""
    for at in range(1, len(items)):
        item = items[at]
        if (
            len(item.first) < _LONG
            or item.entry is not None
            or not item.has(WORD)
            or not items[at - 1].has(role.NUMBER)
        ):
            continue
        meant = next((unit for unit in lexicon.unit_words if _is_slip(item.first, unit, lexicon)), None)
        if meant is not None:
            item.entry, item.roles = lexicon.entry(meant), role.UNIT | WORD


def forgive(items: list[Item], lexicon: Lexicon) -> None:
    """Words one edit away from "kling", or from a tier beside the name."""
    named = any(item.has(role.NAME) for item in items)
    for at, item in enumerate(items):
        lonely = item.end - item.start == len("pro") and item.first in _PRO_SLIPS_ALONE
        if lonely and at and items[at - 1].has(role.NAME) and not item.has(role.WISH):
            _tier_slip(items, at, lexicon)
        if not item.has(WORD) or item.entry is not None or item.glued or (at + 1 < len(items) and items[at + 1].glued):
            continue
        if (
            not named
            and (_is_slip(item.first, "kling", lexicon) or _is_heard(items, at, lexicon))
            and _stands_for_name(items, at)
        ):
            item.roles = role.NAME
            named = True
        elif at and items[at - 1].has(role.NAME | role.WISH | role.NOUN):
            _tier_slip(items, at, lexicon)
        if item.has(WORD) and len(item.first) >= _LONG:
            _shape_slip(items, at, lexicon)


def _is_heard(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“cling pro”, as dictation writes it."""
    following = items[at + 1] if at + 1 < len(items) else None
    return items[at].first in lexicon.heard_as and following is not None and any(f == "tier" for f, _ in following.sets)


def _stands_for_name(items: Sequence[Item], at: int) -> bool:
    before = [item for item in items[:at] if not item.has(BREAK)][-1:] if at < 8 else [items[at - 1]]
    if not before or before[0].has(role.VERB | role.SOFT | role.PLEASE | role.LEAD | role.WISH | role.ARTICLE):
        return True
    return at + 1 < len(items) and items[at + 1].has(role.WISH)


def _tier_slip(items: list[Item], at: int, lexicon: Lexicon) -> None:
    item = items[at]
    word = item.first
    following = items[at + 1] if at + 1 < len(items) else None
    closed = following is None or following.has(BREAK)
    for meant, tier in lexicon.tier_words.items():
        if len(meant) >= 5:
            near = _is_slip(word, meant, lexicon) and not word.startswith(meant)
        else:
            near = meant == "pro" and (word in _PRO_SLIPS or (closed and word in _PRO_SLIPS_ALONE))
        if near:
            item.wish((("tier", tier),), role.EDGE, "")
            return


def _shape_slip(items: list[Item], at: int, lexicon: Lexicon) -> None:
    """“potrait”, where it can be nothing but an order: between signs, or among other wishes."""
    around = (items[at - 1] if at else None, items[at + 1] if at + 1 < len(items) else None)
    if not all(one is None or one.has(BREAK | role.WISH | role.NAME) for one in around):
        return
    word = items[at].first
    for meant, sets in lexicon.shape_words.items():
        if not word.startswith(meant) and _is_slip(word, meant, lexicon):
            items[at].wish(sets, role.EDGE, "")
            return


_LONG: Final = 5
"""Shorter words are one edit away from too many others."""
_PRO_SLIPS: Final = frozenset({"prro", "ppro", "proo", "rpo"})
_PRO_SLIPS_ALONE: Final = frozenset({"por", "prp", "pto", "pr0", "lro", "pri", "prk", "prl"})
"""Words in some language, or half-words: a slip only where nothing else can be meant."""


def _is_slip(word: str, meant: str, lexicon: Lexicon) -> bool:
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
