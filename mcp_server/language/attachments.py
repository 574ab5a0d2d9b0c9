"""Words about what is attached to them: "animate this photo" asks, "… this video to my audio file" is no scene."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import clause_start, is_clause
from mcp_server.language.item import BREAK, ORDER, WORD, Item, any_has, make_fillers, neighbour
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.tokens import Token

_FROM_MEDIA: Final = frozenset(
    ("image-to-video", "reference-to-video", "video-edit", "motion-control", "avatar", "lip-sync", "extend")
)
_REACH: Final = 16
"""How far from the wish things are looked for: it keeps the reading linear."""
_PAIR_REACH: Final = 4
_WORD_REACH: Final = 3
_QUOTES: Final = "\"'`“”‘’„«»「」『』"
_CLIP_REACH: Final = 6
_LEADS: Final = role.FILLER | role.LINK | role.PARTICLE
_STARTS: Final = role.ARTICLE | role.OWNED
_THINGS: Final = role.MEDIUM | role.NOUN | role.PICTURE


def named_file(token: Token, before: Sequence[Item], lexicon: Lexicon) -> Item:
    """An address or a file: a thing that is there already, where its ending or the word before it says what it is."""
    medium = token.key or _said_before(before, lexicon)
    item = Item(token.start, token.end, WORD)
    if medium:
        item = Item(token.start, token.end, role.FILLER | role.MEDIUM | role.OWNED, entry=lexicon.media[medium])
    item.address, item.medium = True, medium
    return item


def _said_before(before: Sequence[Item], lexicon: Lexicon) -> str:
    """“this photo: https://…”, “the clip https://…”."""
    for item in before[: -_WORD_REACH - 1 : -1]:
        if set(item.entry.objects) & set(lexicon.media["image"].objects):
            return "image"
        if item.has(role.NOUN):
            return "video"
        if not item.has(role.FILLER | role.LINK) and item.sign != tok.COLON:
            break
    return ""


def media_named(items: Sequence[Item], text: str, lexicon: Lexicon, *, references: bool) -> dict[str, Any]:
    """The addresses and files in the words, by the argument each is for; what has no place is silenced."""
    found: dict[str, Any] = {}
    for at, item in enumerate(items):
        if not item.medium:
            continue
        place = _place(items, at, found, lexicon, references=references)
        if place in found and place != "references":
            item.medium = ""
            item.roles = WORD
            continue
        said = text[item.start : item.end].strip(_QUOTES)
        found[place] = (*found.get(place, ()), said) if place == "references" else said
    return found


def _place(items: Sequence[Item], at: int, found: Mapping[str, Any], lexicon: Lexicon, *, references: bool) -> str:
    medium = items[at].medium
    if medium != "image":
        return medium
    ends = any(item.first in lexicon.firsts["end_frame"] for item in items[max(0, at - _WORD_REACH) : at])
    return "references" if references else "end_image" if "image" in found and ends else medium


def bind_objects(items: list[Item], lexicon: Lexicon) -> None:
    """“animate this old photo”, “この写真を動かして”: a verb and its object, in either order."""
    asked: set[str] = set()
    for at, item in enumerate(items):
        if not item.entry.verbs or item.has(role.WISH):
            continue
        if is_clause(items, at, at) and any(
            lexicon.pairs[index]["sets"]["mode"] in asked for index in item.entry.verbs
        ):
            # "make the kling clip longer, continue: …": the same once more.
            item.roles = role.PLEASE
            continue
        for index in item.entry.verbs:
            pair, thing = lexicon.pairs[index], _object(items, at, index, lexicon)
            if thing is not None:
                _bind_object(items, at, thing)
                item.wish(tuple(pair["sets"].items()), role.EDGE, "", pair["weight"])
                item.partner = thing
                asked.add(pair["sets"]["mode"])
                break


def _object(items: Sequence[Item], at: int, index: int, lexicon: Lexicon) -> int | None:
    """The first object of this pair in reach, if what the pair asks of its object holds for it."""
    pair = lexicon.pairs[index]
    for thing in _in_reach(items, at, lexicon):
        if index in items[thing].entry.objects or ("of_clips" in pair and is_own_clip(items, thing, lexicon)):
            clip = "into_clip" not in pair or _becomes_clip(items, thing, lexicon)
            return thing if clip and ("of_owned" not in pair or _is_attached(items, at, thing)) else None
    return None


def _in_reach(items: Sequence[Item], at: int, lexicon: Lexicon) -> Iterable[int]:
    """Where a verb's object may stand: after it or before it in its clause, beyond one strange word at most."""
    for step in (1, -1):
        place, words = at + step, 0
        while abs(place - at) <= _PAIR_REACH and words <= 1 and not neighbour(items, place).has(BREAK):
            yield place
            # "grandma's old photo": whose it is counts for nothing.
            words += -1 if items[place].first in lexicon.firsts["possessive"] else items[place].has(WORD)
            place += step


def _bind_object(items: Sequence[Item], at: int, thing: int) -> None:
    """Leaves the verb alone to ask: “animate this portrait” is no wish for an upright picture."""
    low, high = min(at, thing), max(at, thing)
    kept = items[thing].roles & role.NOUN
    make_fillers(items[low : high + 1])
    items[thing].roles, items[thing].sets = kept or role.FILLER, ()
    while low and (items[low - 1].has(role.OWNED) or items[low - 1].roles == role.NAME):
        low -= 1
        items[low].roles = items[low].roles & role.NAME or role.FILLER


def _becomes_clip(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“… photo into a 5s kling video”: a noun for a clip, before the clause is over."""
    if items[at].asks_for("mode"):
        return True
    for place in range(at + 1, min(at + 2 + _CLIP_REACH, len(items))):
        if items[place].has(role.NOUN | BREAK):
            return items[place].has(role.NOUN) and not is_own_clip(items, place, lexicon)
    return False


def _is_attached(items: Sequence[Item], at: int, thing: int) -> bool:
    """“with my old photo”; not “with the photo of her mother”."""
    following = neighbour(items, thing + 1)
    owned = any_has(items[at + 1 : thing + 1], role.OWNED)
    return at < thing and owned and following.has(ORDER | BREAK) and not following.has(role.LINK)


def is_own_clip(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“my last kling video”: a clip that is there already."""
    owner = neighbour(items, at - 1 - (neighbour(items, at - 1).roles == role.NAME))
    return items[at].has(role.NOUN) and owner.has(role.OWNED) and owner.first not in lexicon.firsts["indefinite"]


def take_attachments(items: list[Item], _: Lexicon) -> None:
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
