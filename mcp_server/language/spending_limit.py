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
_CURRENCY: Final = role.DOLLAR | role.CENT | role.MONEY


def merge_limits(items: list[Item], lexicon: Lexicon) -> list[Item]:
    """An amount with a word that makes it a limit becomes one item; an amount alone stays part of the scene."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        amount = _amount(items, at, lexicon)
        if amount is not None:
            end, number, currency = amount
            before, after = _said_before(made), _said_after(items, end)
            if before or after > end:
                first = made[-before] if before else items[at]
                del made[len(made) - before :]
                made.append(_limit(first, items[after - 1], items[number], currency))
                at = after
                continue
        made.append(items[at])
        at += 1
    return made


def _amount(items: Sequence[Item], at: int, lexicon: Lexicon) -> tuple[int, int, Item] | None:
    """“$2”, “2 dollars”: where it ends, the place of its number, and its currency."""
    here, following = items[at], neighbour(items, at + 1)
    if following.has(_CURRENCY):
        one = here.first in lexicon.indefinite and not following.has(role.CENT)
        return (at + 2, at, following) if one or here.has(role.NUMBER) else None
    if here.has(_CURRENCY) and following.has(role.NUMBER):
        return at + 2 + neighbour(items, at + 2).has(_CURRENCY), at + 1, here
    return None


def _said_before(made: Sequence[Item]) -> int:
    """How many items before the amount belong to the limit; 0 when none of them says that it is one."""
    for back in range(1, min(_LEADING, len(made)) + 1):
        item = made[-back]
        if item.has(role.LIMIT):
            return back
        if not (item.has(role.FILLER | role.ARTICLE) or item.sign == tok.COLON):
            break
    return 0


def _said_after(items: Sequence[Item], end: int) -> int:
    return end + 1 if end < len(items) and items[end].has(role.LIMIT) else end


def _limit(first: Item, last: Item, number: Item, currency: Item) -> Item:
    item = merge((first, last), 0, 1)
    item.wish((), role.STANDALONE, "")
    if currency.has(role.DOLLAR | role.CENT):
        digits = number.first[:1].isdigit()
        # "less than a dollar"
        amount = Decimal(number.first if digits else str(number_of(number) or 1))
        item.sets = (("max_cost_usd", amount if currency.has(role.DOLLAR) else amount / 100),)
    else:
        item.about = "max_cost_usd"
        item.complaint = "prices here are in US dollars: the limit has to be said in dollars, too"
    return item
