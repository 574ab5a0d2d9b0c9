"""Words about what is attached to them: "… this video to my audio file" is no scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language.clauses import clause_start
from mcp_server.language.item import BREAK, ORDER, WORD, Item

_FROM_MEDIA: Final = frozenset(
    ("image-to-video", "reference-to-video", "video-edit", "motion-control", "avatar", "lip-sync", "extend")
)
_REACH: Final = 16
"""How far from the wish things are looked for: it keeps the reading linear."""
_LEADS: Final = role.FILLER | role.LINK | role.PARTICLE
_STARTS: Final = role.ARTICLE | role.OWNED
_THINGS: Final = role.MEDIUM | role.PERSON | role.NOUN | role.PICTURE


def take_attachments(items: list[Item]) -> None:
    """Beside a wish for a mode that is made from media, what is there already is part of the order.

    Only where nothing else stands between it and the wish, or follows it up to the end of the clause.
    """
    for at, item in enumerate(items):
        if item.has(role.WISH) and any(field == "mode" and value in _FROM_MEDIA for field, value in item.sets):
            start = clause_start(items, at, _REACH)
            if _things_end(items, start, at) == at:
                _take(items, start, at)
            begun, reach = at + 1, min(len(items), at + 1 + _REACH)
            end = _things_end(items, begun, reach)
            _take(items, begun, end)
            # "lip sync with kling, pro, my clip and this recording": clauses that name nothing but things.
            while begun < reach:
                stop = next((place for place in range(begun, reach) if items[place].has(BREAK)), reach)
                if _things_end(items, begun, stop) == stop and (stop == len(items) or stop < reach):
                    _take(items, begun, stop)
                elif begun > at + 1 and any(not item.has(ORDER) for item in items[begun:stop]):
                    break
                begun = stop + 1


def _take(items: Sequence[Item], start: int, end: int) -> None:
    for at in reversed(range(start, end)):
        item = items[at]
        if item.has(_THINGS) and at > start and items[at - 1].has(_STARTS):
            # "to the attached audio" asks for no sound.
            item.roles, item.sets = role.FILLER, ()
        elif item.has(WORD | _STARTS) and not item.has(role.NAME | role.WISH):
            item.roles = role.FILLER


def _things_end(items: Sequence[Item], start: int, end: int) -> int:
    """Where the things that follow end; `start` when something else is said before `end` or the end of the clause."""
    at = start
    while at < end and not items[at].has(BREAK):
        after = _thing(items, at)
        if at < after <= end:
            at = after
        elif items[at].has(ORDER):
            at += 1
        else:
            return start
    return at


def _thing(items: Sequence[Item], at: int) -> int:
    """“to my audio file”, “of this dance video”, “onto the girl”: where it ends; `at` when there is none."""
    place = at
    while place < len(items) and items[place].has(_LEADS) and not items[place].has(_STARTS | _THINGS):
        place += 1
    begun = place
    while place < len(items) and items[place].has(_STARTS) and not items[place].has(_THINGS):
        place += 1
    # "from this portrait and voice recording": the second of a list needs no article.
    listed = at > 0 and items[at - 1].has(_THINGS)
    if place == begun and not listed:
        return at
    for end in (place, place + 1):
        if end < len(items) and items[end].has(_THINGS) and not items[end].has(BREAK):
            return end + 1
        if end >= len(items) or not items[end].has(WORD):
            break
    return at
