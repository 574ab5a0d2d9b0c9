"""Words about what is attached to them: "animate this photo" asks, "… this video to my audio file" is no scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language.clauses import clause_start, is_clause
from mcp_server.language.item import BREAK, ORDER, WORD, Item, Pair, Set, any_has, make_fillers, neighbour
from mcp_server.language.lexicon import Lexicon

_FROM_MEDIA: Final = frozenset(
    ("image-to-video", "reference-to-video", "video-edit", "motion-control", "avatar", "lip-sync", "extend")
)
_REACH: Final = 16
"""How far from the wish things are looked for: it keeps the reading linear."""
_PAIR_REACH: Final = 4
_CLIP_REACH: Final = 6
_LEADS: Final = role.FILLER | role.LINK | role.PARTICLE
_STARTS: Final = role.ARTICLE | role.OWNED
_THINGS: Final = role.MEDIUM | role.PERSON | role.NOUN | role.PICTURE


def bind_objects(items: list[Item], lexicon: Lexicon) -> None:
    """“animate this old photo”, “この写真を動かして”: a verb and its object, in either order."""
    asked: set[tuple[Set, ...]] = set()
    for at, item in enumerate(items):
        if item.entry is None or not item.entry.verbs or item.has(role.WISH):
            continue
        if is_clause(items, at, at) and any(lexicon.pairs[index].sets in asked for index in item.entry.verbs):
            # "make the kling clip longer, continue: …": the same once more.
            item.roles = role.PLEASE
            continue
        for index in item.entry.verbs:
            pair, thing = lexicon.pairs[index], _object(items, at, index, lexicon)
            if thing is not None and _can_be_object(items, at, thing, pair):
                _bind_object(items, at, thing)
                item.wish(pair.sets, role.EDGE, "", pair.weight)
                item.partner = thing
                asked.add(pair.sets)
                break


def _object(items: Sequence[Item], at: int, index: int, lexicon: Lexicon) -> int | None:
    of_clips = lexicon.pairs[index].of_clips
    for place in _in_reach(items, at, lexicon):
        entry = items[place].entry
        if entry is not None and (index in entry.objects or (of_clips and _is_own_clip(items, place))):
            return place
    return None


def _in_reach(items: Sequence[Item], at: int, lexicon: Lexicon) -> Iterable[int]:
    """Where a verb's object may stand: after it or before it in its clause, beyond one strange word at most."""
    for step in (1, -1):
        place, words = at + step, 0
        while abs(place - at) <= _PAIR_REACH and words <= 1 and not neighbour(items, place).has(BREAK):
            yield place
            # "grandma's old photo": whose it is counts for nothing.
            words += -1 if items[place].first in lexicon.possessives else items[place].has(WORD)
            place += step


def _can_be_object(items: Sequence[Item], at: int, thing: int, pair: Pair) -> bool:
    """Whether what the pair asks of its object holds for this one."""
    if pair.into_clip and not _becomes_clip(items, thing):
        return False
    return not pair.of_owned or _is_attached(items, at, thing)


def _bind_object(items: Sequence[Item], at: int, thing: int) -> None:
    """Leaves the verb alone to ask: “animate this portrait” is no wish for an upright picture."""
    low, high = min(at, thing), max(at, thing)
    kept = items[thing].roles & role.NOUN
    make_fillers(items[low : high + 1])
    items[thing].roles, items[thing].sets = kept or role.FILLER, ()
    while low and (items[low - 1].has(role.OWNED) or items[low - 1].roles == role.NAME):
        low -= 1
        items[low].roles = items[low].roles & role.NAME or role.FILLER


def _becomes_clip(items: Sequence[Item], at: int) -> bool:
    """“… photo into a 5s kling video”: a noun for a clip, before the clause is over."""
    if items[at].asks_for("mode"):
        return True
    for item in items[at + 1 : at + 2 + _CLIP_REACH]:
        if item.has(role.NOUN) or item.has(BREAK):
            return item.has(role.NOUN)
    return False


def _is_attached(items: Sequence[Item], at: int, thing: int) -> bool:
    """“with my old photo”; not “with the photo of her mother”."""
    following = neighbour(items, thing + 1)
    owned = any_has(items[at + 1 : thing], role.OWNED)
    return at < thing and owned and following.has(ORDER | BREAK) and not following.has(role.LINK)


def _is_own_clip(items: Sequence[Item], at: int) -> bool:
    """“my last kling video”: a clip that is there already."""
    if not items[at].has(role.NOUN):
        return False
    before = at - 1
    while (
        before > max(0, at - _PAIR_REACH)
        and items[before].has(role.NAME | role.FILLER)
        and not items[before].has(role.OWNED)
    ):
        before -= 1
    return before >= 0 and items[before].has(role.OWNED)


def take_attachments(items: list[Item]) -> None:
    """Beside a wish for a mode that is made from media, what is there already is part of the order.

    Only where nothing else stands between it and the wish, or follows it up to the end of the clause.
    """
    for at, item in enumerate(items):
        if item.has(role.WISH) and any(field == "mode" and value in _FROM_MEDIA for field, value in item.sets):
            start = clause_start(items, at, _REACH)
            if _things_end(items, start, at) == at:
                _take(items, start, at)
            reach = min(len(items), at + 1 + _REACH)
            _take(items, at + 1, _things_end(items, at + 1, reach))
            _take_listed(items, at + 1, reach)


def _take_listed(items: Sequence[Item], start: int, reach: int) -> None:
    """“lip sync with kling, pro, my clip and this recording”: clauses that name nothing but things."""
    begun = start
    while begun < reach:
        end = next((at for at in range(begun, reach) if items[at].has(BREAK)), reach)
        if _things_end(items, begun, end) == end and (end < reach or reach == len(items)):
            _take(items, begun, end)
        elif begun > start and not all(item.has(ORDER) for item in items[begun:end]):
            break
        begun = end + 1


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
    begun = _past(items, at, _LEADS, but=_STARTS | _THINGS)
    place = _past(items, begun, _STARTS, but=_THINGS)
    # "from this portrait and voice recording": the second of a list needs no article.
    if place == begun and not neighbour(items, at - 1).has(_THINGS):
        return at
    if neighbour(items, place).has(WORD) and not neighbour(items, place).has(_THINGS):
        place += 1
    return place + 1 if neighbour(items, place).has(_THINGS) else at


def _past(items: Sequence[Item], at: int, roles: int, *, but: int) -> int:
    """Past the words that have one of these roles, `but` none of those."""
    while neighbour(items, at).has(roles) and not neighbour(items, at).has(but):
        at += 1
    return at
