"""Clauses that say only what is wanted: how one is told, and those that stand within the scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, ORDER, Item
from mcp_server.language.lexicon import Lexicon

_LIST_REACH: Final = 4
"""How long, in items, the clause may be that opens such a list."""
_CHAINED: Final = 4
"""How many clauses may follow one that can be nothing but an order, each an order only beside it."""


def clause_start(items: Sequence[Item], end: int, reach: int | None = None) -> int:
    """Where the clause begins that ends here, looking back no further than `reach`."""
    start, least = end, 0 if reach is None else end - reach
    while start > max(least, 0) and not items[start - 1].has(BREAK):
        start -= 1
    return start


def is_order(items: Sequence[Item], start: int, end: int, scope: int, lexicon: Lexicon) -> bool:
    """Whether these items ask for something, in words that may ask for it here, and say nothing else.

    `scope`: what a wish must at least be able to do without a verb such as "make it".
    """
    clause = items[start:end]
    if any(not item.has(ORDER) for item in clause):
        return False
    asked = any(item.has(role.VERB | role.CREATE) for item in clause)
    wishes = [at for at in range(start, end) if items[at].has(role.WISH)]
    if not wishes:
        return all(item.has(role.PLEASE | role.CORRECTION) for item in clause)
    needed = role.EDGE if asked else scope
    return all(items[at].scope >= needed and (asked or not is_thing(items, at, end, lexicon)) for at in wishes)


def is_thing(items: Sequence[Item], at: int, end: int, lexicon: Lexicon) -> bool:
    """“a square”, “the master”: with an article and nothing after it to describe, it is a thing in the scene."""
    if items[at].scope != role.EDGE or at == 0 or not items[at - 1].has(role.ARTICLE):
        return False
    if at > 1 and items[at - 2].first in lexicon.closing_words("purpose"):
        return False
    return at + 1 >= end or not items[at + 1].has(role.LABEL | role.NOUN | role.WISH | role.NAME)


def inner_orders(
    items: Sequence[Item], taken: Sequence[bool], said: set[str], lexicon: Lexicon
) -> Iterable[tuple[int, int]]:
    """The stretches to take; two clauses that disagree, or with what was `said` already, are part of the scene."""
    found: list[tuple[int, int]] = []
    values: dict[str, set[object]] = {}
    start = 0
    for end in range(len(items) + 1):
        if end < len(items) and not items[end].has(BREAK):
            continue
        if start < end and not any(taken[start:end]):
            wishes = [item for item in items[start:end] if item.has(role.WISH)]
            if wishes and is_order(items, start, end, role.STANDALONE, lexicon):
                found.append((start, end))
                for field, value in (pair for item in wishes for pair in item.sets):
                    values.setdefault(field, set()).add(value)
        start = end + 1
    known = said | set(values)
    for start, end in found:
        fields = _fields(items, start, end)
        asked = any(item.has(role.VERB | role.CREATE) for item in items[start:end])
        if asked or (not fields & said and all(len(values[field]) == 1 for field in fields)):
            first = _opening(items, start, known, lexicon)
            yield first, _closing(items, end, known | _fields(items, first, start), lexicon)


def _fields(items: Sequence[Item], start: int, end: int) -> set[str]:
    return {field for item in items[start:end] for field, _ in item.sets}


def _opening(items: Sequence[Item], begun: int, said: set[str], lexicon: Lexicon) -> int:
    """“… for the intro. Pro, 8 s, …”: where the list begins whose first clause may only stand at an end."""
    start = clause_start(items, begun - 1, _LIST_REACH) if begun else 0
    if not 0 < start < begun - 1:
        return begun
    fields = _fields(items, start, begun - 1)
    opens = items[start - 1].sign == tok.SENTENCE or (begun - start == 2 and "tier" in fields)
    fits = opens and fields and not fields & said and is_order(items, start, begun - 1, role.EDGE, lexicon)
    return start if fits else begun


def _closing(items: Sequence[Item], end: int, said: set[str], lexicon: Lexicon) -> int:
    """“…, 8 s, square, silent: …”: where the list ends, if a colon or a full stop closes it."""
    reach = end
    for _ in range(_CHAINED):
        start = reach + 1
        stop = next((at for at in range(start, len(items)) if items[at].has(BREAK)), len(items))
        fields = _fields(items, start, stop)
        fits = fields and not fields & said and is_order(items, start, stop, role.EDGE, lexicon)
        if stop == len(items) or not fits:
            break
        reach, said = stop, said | fields
        if items[stop].sign in (tok.COLON, tok.SENTENCE):
            return stop
    return end
