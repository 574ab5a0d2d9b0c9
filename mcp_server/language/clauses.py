"""Whether a clause says only what is wanted."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.language import roles as role
from mcp_server.language.item import BREAK, ORDER, Item
from mcp_server.language.lexicon import Lexicon


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
    asked = any(item.has(role.VERB | role.LEAD) for item in clause)
    wishes = [at for at in range(start, end) if items[at].has(role.WISH)]
    if not wishes:
        return all(item.has(role.PLEASE | role.CORRECTION) for item in clause)
    needed = role.EDGE if asked else scope
    return all(items[at].scope >= needed and (asked or not is_thing(items, at, end, lexicon)) for at in wishes)


def is_thing(items: Sequence[Item], at: int, end: int, lexicon: Lexicon) -> bool:
    """“a square”, “the master”: with an article and nothing after it to describe, it is a thing in the scene."""
    if items[at].scope != role.EDGE or at == 0 or not items[at - 1].has(role.ARTICLE):
        return False
    if at > 1 and items[at - 2].first in lexicon.closing["purpose"]:
        return False
    return at + 1 >= end or not items[at + 1].has(role.LABEL | role.NOUN | role.WISH | role.NAME)
