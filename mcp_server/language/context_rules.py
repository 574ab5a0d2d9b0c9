"""What words mean beside others: labels and values, verbs and objects, negations, and neighbours that end a wish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, ORDER, WORD, Item, Set, merge, number_of
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.measures import set_seconds

_LABEL_REACH: Final = 3
"""How far a value may stand from its label: "duration = about 10"."""
_SHORT_LABEL: Final = 8
"""Letters of a label that may be a word of the scene, “sound”; a longer one, “generate audio”, is surely a label."""
_PAIR_REACH: Final = 4
_CLIP_REACH: Final = 6


def silence_compounds(items: list[Item]) -> None:
    """What is written together is one word: one strange part makes the whole strange ("non-standard", "프로그램")."""
    at = 0
    while at < len(items):
        end = at + 1
        while end < len(items) and items[end].glued:
            end += 1
        if end - at > 1 and any(not item.has(ORDER) for item in items[at:end]):
            for item in items[at:end]:
                item.silence()
        at = end


def bind_labels(items: list[Item]) -> list[Item]:
    """“duration: 10”, “Format 9:16”, “audio = off”: a label and its value become one item; a flag needs no value."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, step = items[at], 1
        if item.has(role.WISH) and at and items[at - 1].first == "--":
            item.scope = role.ANYWHERE
        elif item.has(role.LABEL):
            value, named = _value_of(items, at)
            named = named or (at > 0 and items[at - 1].first == "--")
            if named and _takes_the_rest(item):
                item = merge(items, at, value - 1)
                item.roles, item.sign = BREAK, _label_of(items[at])[0]
                step = value - at
            elif value < len(items) and _bind(item, items[value], named=named, alone=_alone(items, at, value)):
                bound = items[value]
                bound.start, bound.first = item.start, item.first
                item, step = bound, value + 1 - at
        made.append(item)
        at += step
    return made


def _value_of(items: Sequence[Item], at: int) -> tuple[int, bool]:
    """Where the value of this label stands, and whether a colon or an equals sign says so."""
    value, named = at + 1, False
    while value < len(items) and value <= at + _LABEL_REACH:
        here = items[value]
        if here.sign == tok.COLON and not named:
            named = True
        elif (
            not here.has(role.FILLER)
            or here.has(role.WISH | role.ON | role.OFF)
            or (named and _takes_the_rest(items[at]))
        ):
            break
        value += 1
    return value, named


def _alone(items: Sequence[Item], start: int, last: int) -> bool:
    opens = start == 0 or items[start - 1].has(BREAK)
    return opens and (last + 1 == len(items) or items[last + 1].has(BREAK))


def _label_of(item: Item) -> tuple[str, ...]:
    return item.entry.label if item.entry is not None else ()


def _takes_the_rest(label: Item) -> bool:
    return any(field in ("prompt", "negative_prompt") for field in _label_of(label))


def _bind(label: Item, value: Item, *, named: bool, alone: bool) -> bool:
    """`alone`: nothing else is said in the clause."""
    fields = _label_of(label)
    bound: tuple[Set, ...] = tuple(pair for pair in value.sets if pair[0] in fields)
    # "quality: 4k" and "mode: pro" speak of the tier, "size: vertical" of the ratio; the value knows best.
    if value.has(role.WISH) and (bound or (named and value.sets)):
        value.scope = max(value.scope, role.ANYWHERE if named else role.STANDALONE)
        return True
    if named and "model" in fields and value.roles == role.NAME:
        return True
    number = number_of(value)
    if "duration" in fields and number is not None and (named or not label.has(role.UNIT)):
        set_seconds(value, number)
        value.scope = role.ANYWHERE
        return True
    for field in ("audio", "off_peak"):
        sure = named or alone or label.end - label.start > _SHORT_LABEL
        if sure and field in fields and value.has(role.ON | role.OFF):
            value.wish(((field, value.has(role.ON)),), role.ANYWHERE, "bare")
            return True
    return False


def bind_objects(items: list[Item], lexicon: Lexicon) -> None:
    """“animate this old photo”, “この写真を動かして”: a verb and its object, in either order."""
    asked: set[tuple[Set, ...]] = set()
    for at, item in enumerate(items):
        if item.entry is None or not item.entry.verbs or item.has(role.WISH):
            continue
        if _alone(items, at, at) and any(lexicon.pairs[index].sets in asked for index in item.entry.verbs):
            # "make the kling clip longer, continue: …": the same once more.
            item.roles = role.PLEASE
            continue
        for index in item.entry.verbs:
            pair = lexicon.pairs[index]
            other = _object(items, at, index, lexicon)
            if other is None or (pair.into_clip and not _becomes_clip(items, other)):
                continue
            if pair.of_owned and not _is_attached(items, at, other):
                continue
            low, high = min(at, other), max(at, other)
            kept = items[other].roles & role.NOUN
            for between in items[low : high + 1]:
                if not between.has(role.NAME | role.WISH):
                    between.roles = role.FILLER
            # "animate this portrait": the object asks for nothing by itself.
            items[other].roles, items[other].sets = kept or role.FILLER, ()
            while low and (items[low - 1].has(role.OWNED) or items[low - 1].roles == role.NAME):
                low -= 1
                items[low].roles = items[low].roles & role.NAME or role.FILLER
            item.wish(pair.sets, role.EDGE, "", pair.weight)
            item.partner = other
            asked.add(pair.sets)
            break


def _object(items: Sequence[Item], at: int, index: int, lexicon: Lexicon) -> int | None:
    of_clips, possessives = lexicon.pairs[index].of_clips, lexicon.possessives
    for step in (1, -1):
        other, words = at + step, 0
        while 0 <= other < len(items) and abs(other - at) <= _PAIR_REACH and not items[other].has(BREAK):
            entry = items[other].entry
            if entry is not None and (index in entry.objects or (of_clips and _is_own_clip(items, other))):
                return other
            # "grandma's old photo": whose it is counts for nothing.
            words += -1 if items[other].first in possessives else items[other].has(WORD)
            if words > 1:
                break
            other += step
    return None


def _becomes_clip(items: Sequence[Item], at: int) -> bool:
    """“… photo into a 5s kling video”: a noun for a clip, before the clause is over."""
    if any(field == "mode" for field, _ in items[at].sets):
        return True
    for item in items[at + 1 : at + 2 + _CLIP_REACH]:
        if item.has(role.NOUN) or item.has(BREAK):
            return item.has(role.NOUN)
    return False


def _is_attached(items: Sequence[Item], at: int, thing: int) -> bool:
    """“with my old photo”; not “with the photo of her mother”."""
    following = items[thing + 1] if thing + 1 < len(items) else None
    owned = any(item.has(role.OWNED) for item in items[at + 1 : thing])
    return (
        at < thing and owned and (following is None or (following.has(ORDER | BREAK) and not following.has(role.LINK)))
    )


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


def keep_choices(items: list[Item]) -> None:
    """“5s or 10s”, “vertical or square”: both are asked for, so that the answer can say they disagree."""
    for at in range(1, len(items) - 1):
        one, join, other = items[at - 1 : at + 2]
        if not join.has(role.CHOICE) or one.negated or other.negated:
            continue
        first, second = dict(one.sets), dict(other.sets)
        if one.has(role.WISH) and any(first.get(field, value) != value for field, value in second.items()):
            join.roles = role.FILLER | role.CHOICE


def silence_by_neighbours(items: list[Item], lexicon: Lexicon) -> None:
    """Makes an order word part of the scene where its neighbour says so: "portrait of", "kling klang"."""
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(role.NAME) and _follows(items, at, lexicon.name_not_after):
            item.silence()
        elif item.has(role.NAME) and not item.sets and following is not None:
            after = items[at + 2] if following.has(BREAK) and at + 2 < len(items) else following
            if after.first in lexicon.name_not_before:
                item.silence()
        if following is None or following.has(role.WISH) or not item.has(role.WISH):
            continue
        if following.first in item.not_before:
            item.silence()


def _follows(items: Sequence[Item], at: int, titles: frozenset[str]) -> bool:
    """Whether a title before it makes the name a person: "Dr. Kling"."""
    before = at - 1
    if before > 0 and items[before].first == ".":
        before -= 1
    return before >= 0 and items[before].first in titles


def apply_negations(items: list[Item]) -> None:
    """Turns what follows "not", and what stands before "じゃなくて", into its opposite."""
    last_name = max((at for at, item in enumerate(items) if item.has(role.NAME)), default=-1)
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(role.NOT_BEFORE) and _stands_alone(items, at):
            # "kling 4k – no, pro": the later word holds.
            item.roles = role.FILLER | role.CORRECTION
            continue
        # "kling 4k no, pro" rules out what came before; "kling 4k no people" does not.
        if item.has(role.NOT_AFTER) and not (
            item.has(role.NOT_BEFORE) and following is not None and not following.has(BREAK)
        ):
            before = _wish_before(items, at)
            if before is not None:
                _negate(items[before])
                item.roles = role.FILLER
                continue
        if item.has(role.WITHIN) and _leads_to_name(items, at):
            item.roles = role.FILLER
            continue
        if item.has(role.NOT_BEFORE) and not item.has(role.WISH):
            _negate_following(items, at, last_name)


def _stands_alone(items: Sequence[Item], at: int) -> bool:
    """A clause of its own, between an order and another."""
    if not 1 < at < len(items) - 2 or not (items[at - 1].has(BREAK) and items[at + 1].has(BREAK)):
        return False
    before = at - 2
    while before > 0 and items[before].has(BREAK | role.PLEASE) and at - before < _PAIR_REACH:
        before -= 1
    return items[before].has(role.WISH) and items[at + 2].has(role.WISH | role.FILLER)


def _leads_to_name(items: Sequence[Item], at: int) -> bool:
    """“vídeo no kling”: in the, not no."""
    if at == 0 or at + 1 >= len(items):
        return False
    before = items[at - 1]
    thing = before.has(role.NOUN | role.WISH) or (before.entry is not None and bool(before.entry.objects))
    return thing and items[at + 1].has(role.NAME)


def _wish_before(items: Sequence[Item], at: int) -> int | None:
    index = at - 1
    while index >= 0 and at - index <= 3:
        if items[index].has(role.WISH | role.NAME | role.RIVAL) and not items[index].negated:
            return index
        if not items[index].has(role.FILLER | role.LABEL | role.PARTICLE | role.NOUN):
            return None
        index -= 1
    return None


def _negate_following(items: list[Item], at: int, last_name: int) -> None:
    index, hit = at + 1, False
    while index < len(items) and index - at <= 6:
        item = items[index]
        if item.has(role.WISH | role.NAME | role.RIVAL):
            if index + 1 < last_name and item.roles == role.NAME and items[index + 1].has(role.WISH):
                # "not kling 4k, just kling pro": not this tier of it.
                index += 1
                item = items[index]
            if not _negate(item):
                break
            for between in items[at + 1 : index]:
                if not between.has(role.WISH | role.NAME):
                    between.roles = role.FILLER
            hit = True
            more = items[index + 1] if index + 1 < len(items) else None
            if more is None or not more.has(role.NOT_JOIN):
                break
        elif not item.has(role.FILLER | role.ARTICLE | role.LABEL | role.NOT_JOIN | role.VERB | role.LINK):
            break
        index += 1
    items[at].roles = role.FILLER if hit else WORD | (items[at].roles & role.STATE)


def _negate(item: Item) -> bool:
    """Marks what is not wanted; a hint such as "dialogue" has no opposite that could be ordered."""
    if item.has(role.WISH) and item.entry is not None and item.entry.no_opposite:
        return False
    item.negated = True
    if not item.has(role.WISH | role.NAME):
        item.roles = role.FILLER
    return True
