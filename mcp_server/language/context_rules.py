"""What words mean beside others: labels and values, negations, and neighbours that end a wish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import is_clause
from mcp_server.language.item import BREAK, ORDER, WORD, Item, make_fillers, merge, neighbour, number_of, replace_runs
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.measures import set_seconds

_LABEL_REACH: Final = 3
"""How far a value may stand from its label: "duration = about 10"."""
_SHORT_LABEL: Final = 8
"""Letters of a label that may be a word of the scene, “sound”; a longer one, “generate audio”, is surely a label."""
_OWN_LABEL: Final = frozenset(("duration", "audio", "off_peak"))
"""Fields whose labels take values that are no wish alone; the others' are one list, and each value knows its field."""
_ORDER_REACH: Final = 4
"""How far the order may be from a "no" that corrects it."""
_SAID_REACH: Final = 8
"""How far before a word of correction the length may stand that it corrects: "10 seconds... well, actually 8"."""
NEGATION: Final = role.NEGATION_BEFORE | role.NEGATION_AFTER | role.NEGATION_WITHIN


def silence_compounds(items: list[Item], _: Lexicon) -> None:
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


def bind_labels(items: list[Item], _: Lexicon) -> None:
    """“duration: 10”, “Format 9:16”, “audio = off”: a label and its value become one item; a flag needs no value."""

    def run(at: int) -> tuple[Item, int]:
        if items[at].has(role.WISH) and neighbour(items, at - 1).first == "--":
            items[at].scope = role.ANYWHERE
        elif items[at].has(role.LABEL):
            return _labelled(items, at)
        return items[at], at + 1

    replace_runs(items, role.LABEL | role.WISH, run)


def _labelled(items: Sequence[Item], at: int) -> tuple[Item, int]:
    """The label here, as one item with its value where it has one; and where that ends."""
    label = items[at]
    place, named = _value_of(items, at)
    named = named or neighbour(items, at - 1).first == "--"
    if named and _takes_the_rest(label):
        item = merge(items, at, place - 1)
        item.roles, item.sign = BREAK, label.entry.label[0]
        return item, place
    sure = named or is_clause(items, at, place)
    if place < len(items) and _bind(label, items[place], named=named, sure=sure, near=place == at + 1):
        value = items[place]
        value.start, value.first = label.start, label.first
        return value, place + 1
    return label, at + 1


def _value_of(items: Sequence[Item], at: int) -> tuple[int, bool]:
    """Where the value of this label stands, and whether a colon or an equals sign says so."""
    value, named = at + 1, False
    while value < len(items) and value <= at + _LABEL_REACH:
        here = items[value]
        if here.sign == tok.COLON and not named:
            named = True
        elif not here.has(role.FILLER) or here.has(role.WISH | role.SWITCH) or (named and _takes_the_rest(items[at])):
            break
        value += 1
    return value, named


def _takes_the_rest(label: Item) -> bool:
    return any(field in ("prompt", "negative_prompt") for field in label.entry.label)


def _bind(label: Item, value: Item, *, named: bool, sure: bool, near: bool) -> bool:
    """Whether the value now asks for what the label names.

    `named`: a colon or an equals sign says so; `sure`: so it does, or nothing else is said in the clause; `near`:
    nothing stands between the two.
    """
    # "quality: 4k" and "mode: pro" speak of the tier, "size: vertical" of the ratio; the value knows best.
    kinds = {field if field in _OWN_LABEL else "choice" for field, _ in value.sets}
    if (
        kinds
        and value.has(role.WISH)
        and (named or ((near or sure or kinds != {"choice"}) and kinds & {*label.entry.label}))
    ):
        value.scope = max(value.scope, role.ANYWHERE if named else role.STANDALONE)
        return True
    if named and "choice" in label.entry.label and value.roles == role.NAME:
        return True
    sure = sure or label.end - label.start > _SHORT_LABEL
    return _bind_length(label, value, named=named) or (sure and _bind_switch(label, value))


def _bind_length(label: Item, value: Item, *, named: bool) -> bool:
    number = number_of(value)
    if "duration" not in label.entry.label or number is None or (label.has(role.UNIT) and not named):
        return False
    set_seconds(value, number)
    value.scope = role.ANYWHERE
    return True


def _bind_switch(label: Item, value: Item) -> bool:
    field = next((field for field in ("audio", "off_peak") if field in label.entry.label), None)
    if field is None or not value.has(role.SWITCH):
        return False
    value.wish(((field, bool(value.entry.values[role.SWITCH])),), role.ANYWHERE, "bare")
    return True


def keep_choices(items: list[Item], _: Lexicon) -> None:
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
        if item.has(role.NAME) and _is_other_name(items, at, lexicon):
            item.silence()
        following = neighbour(items, at + 1)
        if item.has(role.WISH) and following.first in item.entry.not_before and not following.has(role.WISH):
            item.silence()


def _is_other_name(items: Sequence[Item], at: int, lexicon: Lexicon) -> bool:
    """“Dr. Kling”, “kling klang”: somebody or something else."""
    if _follows(items, at, lexicon.firsts["name_not_after"]):
        return True
    following = neighbour(items, at + 1)
    after = neighbour(items, at + 2) if following.has(BREAK) else following
    return not items[at].sets and after.first in lexicon.firsts["name_not_before"]


def _follows(items: Sequence[Item], at: int, titles: frozenset[str]) -> bool:
    """Whether a title before it makes the name a person: "Dr. Kling"."""
    before = at - 1
    if before > 0 and items[before].first == ".":
        before -= 1
    return before >= 0 and items[before].first in titles


def join_corrections(items: list[Item], _: Lexicon) -> None:
    """“nee doch lieber pro”, “算了还是专业版”: a no or an "or" beside a word of correction corrects, too; after one, a
    number alone is the length that is said anew.
    """
    for at, item in enumerate(items):
        if (item.has(NEGATION) and _corrects(items, at)) or (
            item.has(role.CHOICE) and neighbour(items, at - 1).has(role.CORRECTION)
        ):
            item.roles = role.FILLER | role.CORRECTION
        elif item.has(role.NUMBER) and not item.has(role.WISH) and neighbour(items, at + 1).has(BREAK):
            _length_anew(items, at)


def _corrects(items: Sequence[Item], at: int) -> bool:
    """“nein doch …”; “10s, no, 5” and “4k, nein, lieber pro”, where it is a clause of its own."""
    if neighbour(items, at + 1).has(role.CORRECTION):
        return True
    alone = at > 1 and is_clause(items, at, at)
    return alone and neighbour(items, at + 2).has(role.CORRECTION | role.NUMBER | role.WISH)


def _length_anew(items: Sequence[Item], at: int) -> None:
    """“10 seconds, actually make that 5”."""
    first = at - 1
    while at - first < _ORDER_REACH and first >= 0 and items[first].has(role.FILLER | role.VERB | BREAK):
        if items[first].has(role.CORRECTION):
            break
        first -= 1
    said = any(item.asks_for("duration") for item in items[max(0, first - _SAID_REACH) : max(0, first)])
    if said and neighbour(items, first).has(role.CORRECTION):
        set_seconds(items[at], number_of(items[at]) or 0)


def apply_negations(items: list[Item], _: Lexicon) -> None:
    """Turns what follows "not", and what stands before "じゃなくて", into its opposite."""
    last_name = max((at for at, item in enumerate(items) if item.has(role.NAME)), default=-1)
    for at, item in enumerate(items):
        if item.has(role.NEGATION_AFTER) and (before := _ruled_out_before(items, at)) is not None:
            _negate(items[before])
            item.roles = role.FILLER
        elif item.has(role.NEGATION_WITHIN) and _leads_to_name(items, at):
            item.roles = role.FILLER
        elif item.has(role.NEGATION_BEFORE) and not item.has(role.WISH):
            _negate_following(items, at, last_name)


def _leads_to_name(items: Sequence[Item], at: int) -> bool:
    """“vídeo no kling”: in the, not no."""
    before = neighbour(items, at - 1)
    thing = before.has(role.NOUN | role.WISH) or bool(before.entry.objects)
    return thing and neighbour(items, at + 1).has(role.NAME)


def _ruled_out_before(items: Sequence[Item], at: int) -> int | None:
    """“kling 4k no, pro” rules out what came before; “kling 4k no people” does not."""
    if items[at].has(role.NEGATION_BEFORE) and not neighbour(items, at + 1).has(BREAK):
        return None
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
            if not _negate(items[index]):
                break
            make_fillers(items[at + 1 : index])
            hit = True
            if not neighbour(items, index + 1).has(role.CHOICE):
                break
        elif not item.has(role.FILLER | role.ARTICLE | role.LABEL | role.CHOICE | role.VERB | role.LINK):
            break
        index += 1
    items[at].roles = role.FILLER if hit else WORD | (items[at].roles & role.STATE)


def _negate(item: Item) -> bool:
    """Marks what is not wanted; a hint such as "dialogue" has no opposite that could be ordered."""
    if item.has(role.WISH) and item.entry.no_opposite:
        return False
    item.negated = True
    if not item.has(role.WISH | role.NAME):
        item.roles = role.FILLER
    return True
