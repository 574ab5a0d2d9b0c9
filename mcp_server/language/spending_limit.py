"""The most that may be spent, as people say it: "under $2", "max 2 dollars", "2美元以内"."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import Item, merge, neighbour, number_of
from mcp_server.language.lexicon import Lexicon

_LEADING: Final = 4
"""How far the words of the limit may stand before the amount: "budget is around $2"."""


def merge_limits(items: list[Item], lexicon: Lexicon) -> None:
    """An amount with a word that makes it a limit becomes one item; an amount alone stays part of the scene."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        made.append(items[at])
        at += 1
        if (amount := _amount(items, at - 1, lexicon)) is not None:
            end, number, currency = amount
            before = _said_before(made[:-1][-_LEADING:])
            after = end + neighbour(items, end).has(role.LIMIT)
            if before or after > end:
                first = made[-1 - before]
                made[-1 - before :] = [_limit(first, items[after - 1], items[number], currency)]
                at = after
    items[:] = made


def _amount(items: Sequence[Item], at: int, lexicon: Lexicon) -> tuple[int, int, Item] | None:
    """“$2”, “2 dollars”: where it ends, the place of its number, and its currency."""
    here, following = items[at], neighbour(items, at + 1)
    if following.has(role.MONEY):
        counted = here.has(role.NUMBER) or here.first in lexicon.firsts["indefinite"]
        return (at + 2, at, following) if counted else None
    if here.has(role.MONEY) and following.has(role.NUMBER):
        return at + 2 + neighbour(items, at + 2).has(role.MONEY), at + 1, here
    return None


def _said_before(said: Sequence[Item]) -> int:
    """How many of the items before the amount belong to the limit; 0 when none of them says that it is one."""
    for back, item in enumerate(reversed(said), 1):
        if item.has(role.LIMIT):
            return back
        if not (item.has(role.FILLER | role.ARTICLE) or item.sign == tok.COLON):
            break
    return 0


def _limit(first: Item, last: Item, number: Item, currency: Item) -> Item:
    item = merge((first, last), 0, 1)
    item.wish((), role.STANDALONE, "")
    if cents := currency.entry.values[role.MONEY]:
        # "less than a dollar" has no number in it.
        said = number.first if number.first[:1].isdigit() else str(number_of(number) or 1)
        item.sets = (("max_cost_usd", Decimal(said) * cents / 100),)
    else:
        item.about = "max_cost_usd"
        item.complaint = "prices here are in US dollars: the limit has to be said in dollars, too"
    return item
