"""What is left when the order is taken out: the scene, or several shots, in the user's own words and signs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

from mcp_server.domain.request import Shot
from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import clauses_of
from mcp_server.language.item import BREAK, WORD, Item
from mcp_server.language.measures import SHOT_HEAD
from mcp_server.language.segmentation import Segmentation

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "‘": "’"}
_ENDINGS = frozenset(".!?。…")
_SCENE_HEADS = ("prompt", SHOT_HEAD)
_MARKUP = re.compile(r"^(?:[>=|~ ]+|[*_]+\s+)+")
"""What is left of signs that led from the order to the scene: "|", "**"."""


def scene_of(order: Segmentation, text: str) -> dict[str, Any]:
    """What shall be seen in the clip that `text` orders, and what shall not, by field of `Wishes`."""
    items = order.items
    heads = [at for at, item in enumerate(items) if item.sign == SHOT_HEAD]
    if heads:
        _own_lengths(order, heads)
    negative = _negative(order, text)
    start = next((at + 1 for at, item in enumerate(items) if item.sign == "prompt"), 0)
    end = heads[0] if heads else len(items)
    prompt = _text(order, text, start, end) or _text(order, text, 0, end)
    shots = tuple(
        Shot(prompt=_text(order, text, first + 1, last), duration=dict(items[first].sets).get("duration"))
        for first, last in pairwise([*heads, len(items)])
    )
    return {"prompt": prompt, "negative_prompt": negative or None, "shots": shots}


def _own_lengths(order: Segmentation, heads: Sequence[int]) -> None:
    """A length said within a shot is that shot's own; in the last one only if the others have theirs, too."""
    items = order.items
    for first, last in pairwise([*heads, len(items)]):
        if first == heads[-1] and not all(items[head].sets for head in heads[:-1]):
            return
        if not items[first].sets:
            _own_length(order, first, last)


def _own_length(order: Segmentation, first: int, last: int) -> None:
    for start, end in clauses_of(order.items, first + 1, last):
        said = [item for item in order.items[start:end] if item.roles != role.FILLER]
        if len(said) == 1 and said[0].has(role.WISH) and dict(said[0].sets).keys() == {"duration"}:
            order.items[first].sets = said[0].sets
            said[0].roles = role.FILLER
            order.taken[start:end] = [True] * (end - start)
            return


def _negative(order: Segmentation, text: str) -> str:
    """What stands after "negative prompt:", to the end of its line; of its sentence, if nothing else is the scene."""
    items = order.items
    start = next((at + 1 for at, item in enumerate(items) if item.sign == "negative_prompt"), 0)
    if not start:
        return ""
    after = range(start, len(items))
    end = next((at for at in after if items[at].first == "\n" or items[at].sign in _SCENE_HEADS), len(items))
    scene = (*range(start), *range(end, len(items)))
    if not any(items[at].has(WORD) and not order.taken[at] for at in scene):
        end = next((at for at in range(start, end) if items[at].sign == tok.SENTENCE), end)
    said = _text(order, text, start, end)
    order.taken[start:end] = [True] * (end - start)
    return said


def _text(order: Segmentation, text: str, start: int, end: int) -> str:
    """The items that nobody took, with the signs between them."""
    runs = _without_join(order, _runs(order, start, end))
    if len(runs) == 1 and runs[0][1] - runs[0][0] == 1:
        item = order.items[runs[0][0]]
        words = text[item.start : item.end]
        if len(words) > 2 and _QUOTES.get(words[0]) == words[-1]:
            return words[1:-1].strip()
    said = _MARKUP.sub("", "".join(_pieces(order, text, runs, end)).strip())
    if said.endswith(("?", "？")) and _is_asked(order):
        said = said[:-1].rstrip()
    return said if any(sign.isalnum() for sign in said) else ""


def _pieces(order: Segmentation, text: str, runs: Sequence[tuple[int, int]], end: int) -> Iterable[str]:
    """The text of each stretch, and between two of them the sign that parts them: a comma after what is kept."""
    items = order.items
    for number, (first, last) in enumerate(runs, 1):
        breaks = items[last : next((at for at in range(last, end) if not items[at].has(BREAK)), end)]
        yield _piece(text, items[_opened_at(items, first, end) : last], breaks)
        if number < len(runs):
            mark = _mark(text, breaks)
            kept = all(item.has(role.KEPT) for item in items[first:last])
            listed = items[runs[number][0] - 1].sign == tok.CLAUSE
            yield ", " if mark == " " and (kept or listed) else mark


def _is_asked(order: Segmentation) -> bool:
    return any(
        taken and item.has(role.PLEASE | role.NAME) and item.first in order.lexicon.firsts["asking"]
        for item, taken in zip(order.items, order.taken, strict=True)
    )


def _runs(order: Segmentation, start: int, end: int) -> list[tuple[int, int]]:
    """Stretches of the scene between words of the order: first item, and the one after the last."""
    runs: list[tuple[int, int]] = []
    first = last = -1
    for at in range(start, end):
        if order.items[at].has(BREAK):
            continue
        if order.taken[at]:
            if first >= 0:
                runs.append((first, last + 1))
            first = -1
        else:
            first = at if first < 0 else first
            last = at
    if first >= 0:
        runs.append((first, last + 1))
    return runs


def _without_join(order: Segmentation, runs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Without the word that only joined the scene to an order before it: "… 4k and a fox"."""
    if not runs or runs[0][0] == 0:
        return runs
    first, last = runs[0]
    beside = order.taken[first - 1] and not order.items[first - 1].has(BREAK)
    joins = beside and last - first > 1 and order.items[first].first in order.lexicon.firsts["join"]
    return [(first + 1, last), *runs[1:]] if joins else runs


def _piece(text: str, said: Sequence[Item], breaks: Sequence[Item]) -> str:
    """The text of one stretch with those of the signs after it that belong to it."""
    signs = [item.sign for item in said]
    opened, stop = signs.count(tok.OPENING) - signs.count(tok.CLOSING), said[-1].end
    for sign in breaks:
        closes = sign.sign == tok.CLOSING and opened > 0
        if sign.start == stop and (closes or sign.first in _ENDINGS):
            opened -= closes
            stop = sign.end
    unclosed = opened > 0 and said[0].sign == tok.OPENING
    return text[said[0].end if unclosed else said[0].start : stop]


def _mark(text: str, breaks: Sequence[Item]) -> str:
    """What parts a stretch from the next: its line's end, else its first sign such as a comma, else a space."""
    if any(sign.first == "\n" for sign in breaks):
        return "\n"
    mark = next((text[sign.start : sign.end] for sign in breaks if sign.sign == tok.CLAUSE), " ")
    if mark in " ，、；":
        return mark
    return f" {mark} " if mark in "|-–—·" else f"{mark} "


def _opened_at(items: Sequence[Item], first: int, end: int) -> int:
    """Where a stretch begins, with the brackets that open right before it and close later."""
    while first and items[first - 1].sign == tok.OPENING and _closes_later(items, first, end):
        first -= 1
    return first


def _closes_later(items: Sequence[Item], at: int, end: int) -> bool:
    while at < end and items[at].sign not in (tok.CLOSING, tok.SENTENCE):
        at += 1
    return 0 < at < end and items[at].sign == tok.CLOSING and not items[at - 1].has(BREAK)
