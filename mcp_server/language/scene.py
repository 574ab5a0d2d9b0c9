"""What is left when the order is taken out: the scene, or several shots, in the user's own words and signs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mcp_server.domain.request import Shot
from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import clauses_of
from mcp_server.language.item import BREAK, WORD, Item
from mcp_server.language.measures import SHOT_HEAD
from mcp_server.language.segmentation import Segmentation

_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "「": "」", "『": "』", "'": "'", "‘": "’"}
_ENDINGS = frozenset(".!?。…")
_MARKUP = re.compile(r"^(?:[>=|~ ]+|[*_]+\s+)+")
"""What is left of signs that led from the order to the scene: "|", "**"."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What shall be seen, and what shall not."""

    prompt: str
    negative_prompt: str
    shots: tuple[Shot, ...]


def scene_of(order: Segmentation, text: str) -> Scene:
    """The scene in `text`, which the order was read from."""
    items = order.items
    heads = [at for at, item in enumerate(items) if item.sign == SHOT_HEAD]
    if heads:
        _own_lengths(order, heads)
    negative = _negative(order, text)
    start = next((at + 1 for at, item in enumerate(items) if item.sign == "prompt"), 0)
    end = heads[0] if heads else len(items)
    prompt = _text(order, text, start, end) or _text(order, text, 0, end)
    shots = tuple(_shot(order, text, first, last) for first, last in _bounds(heads, len(items)))
    return Scene(prompt, negative, shots)


def _shot(order: Segmentation, text: str, first: int, last: int) -> Shot:
    sets = dict(order.items[first].sets)
    return Shot(prompt=_text(order, text, first + 1, last), duration=sets.get("duration"))


def _own_lengths(order: Segmentation, heads: Sequence[int]) -> None:
    """A length said within a shot is that shot's own; in the last one only if the others have theirs, too."""
    items = order.items
    bounds = _bounds(heads, len(items))
    for number, (first, last) in enumerate(bounds):
        is_last = number == len(bounds) - 1
        others_have = all(items[head].sets for head in heads[:-1])
        if items[first].sets or (is_last and not others_have):
            continue
        for start, end in clauses_of(items, first + 1, last):
            clause = items[start:end]
            lengths = [item for item in clause if item.has(role.WISH) and dict(item.sets).keys() == {"duration"}]
            if len(lengths) == 1 and all(item is lengths[0] or item.roles == role.FILLER for item in clause):
                items[first].sets = lengths[0].sets
                lengths[0].roles = role.FILLER
                for at in range(start, end):
                    order.taken[at] = True
                break


def _bounds(heads: Sequence[int], end: int) -> list[tuple[int, int]]:
    return list(pairwise([*heads, end])) if heads else []


def _negative(order: Segmentation, text: str) -> str:
    """What stands after "negative prompt:", to the end of its line; of its sentence, if nothing else is the scene."""
    items = order.items
    start = next((at + 1 for at, item in enumerate(items) if item.sign == "negative_prompt"), None)
    if start is None:
        return ""
    end = start
    while end < len(items) and items[end].first != "\n" and items[end].sign not in ("prompt", SHOT_HEAD):
        end += 1
    scene = (*range(start), *range(end, len(items)))
    if not any(items[at].has(WORD) and not order.taken[at] for at in scene):
        end = next((at for at in range(start, end) if items[at].sign == tok.SENTENCE), end)
    said = _text(order, text, start, end)
    for at in range(start, end):
        order.taken[at] = True
    return said


def _text(order: Segmentation, text: str, start: int, end: int) -> str:
    """The items that nobody took, with the signs between them."""
    runs = _without_join(order, _runs(order, start, end))
    if len(runs) == 1 and runs[0][1] - runs[0][0] == 1:
        item = order.items[runs[0][0]]
        words = text[item.start : item.end]
        if len(words) > 2 and _QUOTES.get(words[0]) == words[-1]:
            return words[1:-1].strip()
    said = ""
    for number, (first, last) in enumerate(runs):
        piece, mark = _piece(order, text, first, last, end)
        if number + 1 < len(runs):
            kept = all(item.has(role.KEPT) for item in order.items[first:last])
            listed = mark == " " and order.items[runs[number + 1][0] - 1].sign == tok.CLAUSE
            piece += ", " if (kept or listed) and mark == " " else mark
        said += piece
    said = _MARKUP.sub("", said.strip())
    if said.endswith(("?", "？")) and _is_asked(order):
        said = said[:-1].rstrip()
    return said if any(sign.isalnum() for sign in said) else ""


def _is_asked(order: Segmentation) -> bool:
    return any(
        taken and item.has(role.PLEASE | role.NAME) and item.first in order.lexicon.asking
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
    """Without the word that only joined the scene to an order before it: "… with sound but without music"."""
    if not runs or runs[0][0] == 0:
        return runs
    first, last = runs[0]
    beside = order.taken[first - 1] and not order.items[first - 1].has(BREAK)
    joins = beside and last - first > 1 and order.items[first].first in order.lexicon.joins
    return [(first + 1, last), *runs[1:]] if joins else runs


def _piece(order: Segmentation, text: str, first: int, last: int, end: int) -> tuple[str, str]:
    """The text of one stretch with the signs that belong to it, and the sign that parts it from the next."""
    items = order.items
    begin, stop = items[first].start, items[last - 1].end
    while first and items[first - 1].sign == tok.OPENING and _closes_later(items, first, end):
        first -= 1
        begin = items[first].start
    at, mark = last, " "
    opened = sum(item.sign == tok.OPENING for item in items[first:last]) - sum(
        item.sign == tok.CLOSING for item in items[first:last]
    )
    while at < end and items[at].has(BREAK):
        sign = items[at]
        if sign.sign == tok.CLOSING and opened > 0 and sign.start == stop:
            opened -= 1
            stop = sign.end
        elif sign.first in _ENDINGS and sign.start == stop:
            stop = sign.end
        elif sign.first == "\n":
            mark = "\n"
        elif mark == " " and sign.sign == tok.CLAUSE and sign.first not in _ENDINGS:
            mark = text[sign.start : sign.end]
            mark = mark if mark in "，、；" else f" {mark} " if mark in "|-–—·" else f"{mark} "
        at += 1
    if opened > 0 and items[first].sign == tok.OPENING:
        begin = items[first].end
    return text[begin:stop], mark


def _closes_later(items: Sequence[Item], at: int, end: int) -> bool:
    while at < end and items[at].sign not in (tok.CLOSING, tok.SENTENCE):
        at += 1
    return 0 < at < end and items[at].sign == tok.CLOSING and not items[at - 1].has(BREAK)
