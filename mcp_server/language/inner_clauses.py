"""Clauses within the scene that can be nothing but an order, and the lists they stand in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import clause_start, is_order
from mcp_server.language.item import BREAK, Item
from mcp_server.language.lexicon import Lexicon

_LIST_REACH: Final = 4
"""How long, in items, the clause may be that opens such a list."""
_CHAINED: Final = 4
"""How many clauses may follow one that can be nothing but an order, each an order only beside it."""


def middle(items: Sequence[Item], taken: Sequence[bool], said: set[str], lexicon: Lexicon) -> Iterable[tuple[int, int]]:
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
        asked = any(item.has(role.VERB | role.LEAD) for item in items[start:end])
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
