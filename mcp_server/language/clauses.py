"""Clauses that say only what is wanted: how one is told, and those that stand within the scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, ORDER, Item, any_has, neighbour, values_by_field
from mcp_server.language.lexicon import Lexicon

MEASURES: Final = frozenset(("duration", "aspect_ratio", "audio"))
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


def sentence_of(items: Sequence[Item], at: int) -> tuple[int, int]:
    """The sentence this place is in: its first item, and the one after its last."""
    start = end = at
    while start and items[start - 1].sign != tok.SENTENCE:
        start -= 1
    while end < len(items) and items[end].sign != tok.SENTENCE:
        end += 1
    return start, end


def is_told(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“after 10 seconds”, “the sign says 9:16”: the words before a measure make it part of the scene."""
    measures = any(field in MEASURES for field, _ in items[at].sets)
    return measures and lexicon.blocks([item.first for item in items[max(0, at - 2) : at]])


def is_clause(items: Sequence[Item], first: int, last: int) -> bool:
    """Whether a clause begins and ends with these items."""
    return neighbour(items, first - 1).has(BREAK) and neighbour(items, last + 1).has(BREAK)


def clauses_of(items: Sequence[Item], start: int, end: int) -> list[tuple[int, int]]:
    """The clauses of a stretch, without those that say nothing: first item, and the one after the last."""
    found: list[tuple[int, int]] = []
    begun = start
    for at in range(start, end + 1):
        if at == end or items[at].has(BREAK):
            if begun < at:
                found.append((begun, at))
            begun = at + 1
    return found


def is_order(items: Sequence[Item], start: int, end: int, scope: int, lexicon: Lexicon) -> bool:
    """Whether these items ask for something, in words that may ask for it here, and say nothing else.

    `scope`: what a wish must at least be able to do without a verb such as "make it".
    """
    clause = items[start:end]
    if not all(item.has(ORDER) for item in clause):
        return False
    wishes = [at for at in range(start, end) if items[at].has(role.WISH)]
    if not wishes:
        return all(item.has(role.PLEASE | role.CORRECTION) for item in clause)
    if any_has(clause, role.VERB | role.CREATE_VERB):
        return all(items[at].scope >= role.EDGE for at in wishes)
    return all(items[at].scope >= scope and not is_thing(items, at, end, lexicon) for at in wishes)


def is_article(item: Item) -> bool:
    """“the”; not “as”, which is an article in one language and says nothing in another."""
    return item.has(role.ARTICLE) and not item.has(role.FILLER)


def is_thing(items: Sequence[Item], at: int, end: int, lexicon: Lexicon) -> bool:
    """“a square”, “the master”: with an article and nothing after it to describe, it is a thing in the scene."""
    if items[at].scope != role.EDGE or at == 0 or not items[at - 1].has(role.ARTICLE):
        return False
    if at > 1 and items[at - 2].first in lexicon.firsts["purpose"]:
        return False
    return at + 1 >= end or not items[at + 1].has(role.LABEL | role.NOUN | role.WISH | role.NAME)


def inner_orders(
    items: Sequence[Item], taken: Sequence[bool], said: set[str], lexicon: Lexicon
) -> Iterable[tuple[int, int]]:
    """The stretches to take; two clauses that disagree, or with what was `said` already, are part of the scene."""
    found = _lone_orders(items, taken, lexicon)
    values = values_by_field(item for start, end in found for item in items[start:end] if item.has(role.WISH))
    known = said | set(values)
    for start, end in found:
        fields = {*values_by_field(items[start:end])}
        asked = any_has(items[start:end], role.VERB | role.CREATE_VERB)
        if asked or (not fields & said and all(len(values[field]) == 1 for field in fields)):
            first = _opening(items, start, known, lexicon)
            yield first, _closing(items, end, known | {*values_by_field(items[first:start])}, lexicon)


def _lone_orders(items: Sequence[Item], taken: Sequence[bool], lexicon: Lexicon) -> list[tuple[int, int]]:
    """The clauses nobody took that ask for something, and could do so anywhere."""
    return [
        (start, end)
        for start, end in clauses_of(items, 0, len(items))
        if not any(taken[start:end])
        and any_has(items[start:end], role.WISH)
        and is_order(items, start, end, role.STANDALONE, lexicon)
    ]


def _opening(items: Sequence[Item], begun: int, said: set[str], lexicon: Lexicon) -> int:
    """“… for the intro. Pro, 8 s, …”: where the list begins whose first clause may only stand at an end."""
    start = clause_start(items, begun - 1, _LIST_REACH) if begun else 0
    if not 0 < start < begun - 1:
        return begun
    fields = {*values_by_field(items[start : begun - 1])}
    opens = items[start - 1].sign == tok.SENTENCE or (begun - start == 2 and "tier" in fields)
    fits = opens and fields and not fields & said and is_order(items, start, begun - 1, role.EDGE, lexicon)
    return start if fits else begun


def _closing(items: Sequence[Item], end: int, said: set[str], lexicon: Lexicon) -> int:
    """“…, 8 s, square, silent: …”: where the list ends, if a colon or a full stop closes it."""
    reach = end
    for _ in range(_CHAINED):
        start = reach + 1
        stop = next((at for at in range(start, len(items)) if items[at].has(BREAK)), len(items))
        fields = {*values_by_field(items[start:stop])}
        fits = fields and not fields & said and is_order(items, start, stop, role.EDGE, lexicon)
        if stop == len(items) or not fits:
            break
        reach, said = stop, said | fields
        if items[stop].sign in (tok.COLON, tok.SENTENCE):
            return stop
    return end
