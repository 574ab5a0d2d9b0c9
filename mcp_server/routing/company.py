"""What words mean in company: labels and values, verbs and objects, negations, and words that spoil others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.routing import lexicon as lex
from mcp_server.routing import tokens as tok
from mcp_server.routing.item import BREAK, ORDER, WORD, Item, merge, number_of
from mcp_server.routing.lexicon import Lexicon, Set
from mcp_server.routing.measures import set_seconds

_LABEL_REACH: Final = 3
"""How far a value may stand from its label: "duration = about 10"."""
_PAIR_REACH: Final = 4


def compounds(items: list[Item]) -> None:
    """What is written together is one word: one strange part makes the whole strange ("non-standard", "프로그램")."""
    at = 0
    while at < len(items):
        end = at + 1
        while end < len(items) and items[end].glued:
            end += 1
        if end - at > 1 and any(not item.has(ORDER) for item in items[at:end]):
            for item in items[at:end]:
                item.silence()
        at = end


def labels(items: list[Item]) -> list[Item]:
    """“duration: 10”, “Format 9:16”, “audio = off”: a label and its value become one item."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, step = items[at], 1
        if item.has(lex.LABEL):
            value, named = _value_of(items, at)
            if named and _takes_the_rest(item):
                item = merge(items, at, value - 1)
                item.roles, item.sign = BREAK, _label_of(items[at])[0]
                step = value - at
            elif value < len(items) and _bind(item, items[value], named=named):
                bound = items[value]
                bound.start, bound.first = item.start, item.first
                item, step = bound, value + 1 - at
        made.append(item)
        at += step
    return made


def _value_of(items: Sequence[Item], at: int) -> tuple[int, bool]:
    """Where the value of this label stands, and whether a colon or an equals sign says so."""
    value, named = at + 1, False
    while value < len(items) and value <= at + _LABEL_REACH:
        here = items[value]
        if here.sign == tok.COLON and not named:
            named = True
        elif not here.has(lex.SOFT) or here.has(lex.WISH | lex.ON | lex.OFF) or (named and _takes_the_rest(items[at])):
            break
        value += 1
    return value, named


def _label_of(item: Item) -> tuple[str, ...]:
    return item.entry.label if item.entry is not None else ()


def _takes_the_rest(label: Item) -> bool:
    return any(field in ("prompt", "negative_prompt") for field in _label_of(label))


def _bind(label: Item, value: Item, *, named: bool) -> bool:
    fields = _label_of(label)
    bound: tuple[Set, ...] = tuple(pair for pair in value.sets if pair[0] in fields)
    # "quality: 4k" and "mode: pro" speak of the tier, "size: vertical" of the ratio; the value knows best.
    if value.has(lex.WISH) and (bound or (named and value.sets)):
        value.scope = max(value.scope, lex.ANYWHERE if named else lex.STANDALONE)
        return True
    number = number_of(value)
    if "duration" in fields and number is not None and (named or label.first != "seconds"):
        set_seconds(value, number)
        value.scope = lex.ANYWHERE
        return True
    for field in ("audio", "off_peak"):
        sure = named or label.end - label.start > len("off peak")
        if sure and field in fields and value.has(lex.ON | lex.OFF):
            value.wish(((field, value.has(lex.ON)),), lex.ANYWHERE, "bare")
            return True
    return False


def pairs(items: list[Item], lexicon: Lexicon) -> None:
    """“animate this old photo”, “この写真を動かして”: a verb and its object, in either order."""
    for at, item in enumerate(items):
        if item.entry is None or not item.entry.verbs or item.has(lex.WISH):
            continue
        for index in item.entry.verbs:
            other = _object(items, at, index)
            if other is None:
                continue
            low, high = min(at, other), max(at, other)
            for between in items[low : high + 1]:
                if not between.has(lex.NAME | lex.WISH):
                    between.roles = lex.SOFT
            pair = lexicon.pairs[index]
            item.wish(pair.sets, lex.EDGE, "", pair.weight)
            break


def _object(items: Sequence[Item], at: int, index: int) -> int | None:
    for step in (1, -1):
        other, words = at + step, 0
        while 0 <= other < len(items) and abs(other - at) <= _PAIR_REACH and not items[other].has(BREAK):
            entry = items[other].entry
            if entry is not None and index in entry.objects:
                return other
            words += items[other].has(WORD)
            if words > 1:
                break
            other += step
    return None


def guards(items: list[Item], lexicon: Lexicon) -> None:
    """Company that turns an order word into a scene word: "portrait of", "waits 10 seconds", "kling klang"."""
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(lex.NAME) and _follows(items, at, lexicon.name_not_after):
            item.silence()
        elif item.has(lex.NAME) and not item.sets and following is not None:
            after = items[at + 2] if following.has(BREAK) and at + 2 < len(items) else following
            if after.first in lexicon.name_not_before:
                item.silence()
        if item.not_before and following is not None and following.first in item.not_before and item.has(lex.WISH):
            item.silence()


def _follows(items: Sequence[Item], at: int, titles: frozenset[str]) -> bool:
    """Dr. Kling is no model."""
    before = at - 1
    if before > 0 and items[before].first == ".":
        before -= 1
    return before >= 0 and items[before].first in titles


def negations(items: list[Item]) -> None:
    """Turns what follows "not", and what stands before "じゃなくて", into its opposite."""
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(lex.NOT_AFTER) and not (
            item.has(lex.NOT_BEFORE) and following is not None and following.has(lex.WISH | lex.NAME)
        ):
            before = _wish_before(items, at)
            if before is not None:
                _negate(items[before])
                item.roles = lex.SOFT
                continue
        if item.has(lex.NOT_BEFORE) and not item.has(lex.WISH):
            _negate_following(items, at)


def _wish_before(items: Sequence[Item], at: int) -> int | None:
    index = at - 1
    while index >= 0 and at - index <= 3:
        if items[index].has(lex.WISH | lex.NAME | lex.RIVAL) and not items[index].negated:
            return index
        if not items[index].has(lex.SOFT | lex.LABEL | lex.PARTICLE | lex.NOUN):
            return None
        index -= 1
    return None


def _negate_following(items: list[Item], at: int) -> None:
    index, hit = at + 1, False
    while index < len(items) and index - at <= 6:
        item = items[index]
        if item.has(lex.WISH | lex.NAME | lex.RIVAL):
            if not _negate(item):
                break
            for between in items[at + 1 : index]:
                if not between.has(lex.WISH | lex.NAME):
                    between.roles = lex.SOFT
            hit = True
            more = items[index + 1] if index + 1 < len(items) else None
            if more is None or not more.has(lex.NOT_JOIN):
                break
        elif not item.has(lex.SOFT | lex.ARTICLE | lex.LABEL | lex.NOT_JOIN | lex.VERB | lex.LINK):
            break
        index += 1
    items[at].roles = lex.SOFT if hit else WORD | (items[at].roles & lex.STATE)


def _negate(item: Item) -> bool:
    """Marks what is not wanted; a hint such as "dialogue" has no opposite that could be ordered."""
    if item.has(lex.WISH) and item.weight == 1:
        return False
    item.negated = True
    if not item.has(lex.WISH | lex.NAME):
        item.roles = lex.SOFT
    return True
