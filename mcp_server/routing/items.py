"""Tokens to items: phrases of the manifest, measures, labels, pairs, negations, slips of the finger."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from mcp_server.routing import lexicon as lex
from mcp_server.routing import tokens as tok
from mcp_server.routing.lexicon import Entry, Lexicon, Set
from mcp_server.routing.tokens import Token

WORD: Final = 1 << 29
"""Means nothing here: part of the scene."""
BREAK: Final = 1 << 30
"""Ends a clause."""

RATIOS: Final = frozenset(
    {(16, 9), (9, 16), (1, 1), (4, 3), (3, 4), (21, 9), (9, 21), (3, 2), (2, 3), (4, 5), (5, 4), (2, 1), (1, 2)}
)
_MEASURE_WEIGHT: Final = 3
_LABEL_REACH: Final = 3
"""How far a value may stand from its label: "duration = about 10"."""
_PAIR_REACH: Final = 4
_ORDER: Final = (
    lex.NAME | lex.WISH | lex.ARTICLE | lex.VERB | lex.LEAD | lex.NOUN | lex.LINK | lex.SOFT | lex.PLEASE
    | lex.PARTICLE | lex.LABEL
)  # fmt: skip
"""Roles of words that can belong to an order."""


class Item:
    """One phrase of the text, or a sign that ends a clause."""

    __slots__ = (
        "closes", "complaint", "end", "entry", "first", "glued", "negated", "not_before", "roles", "scope", "sets",
        "sign", "start", "weight",
    )  # fmt: skip

    def __init__(self, start: int, end: int, roles: int, *, entry: Entry | None = None, first: str = "") -> None:
        self.start = start
        self.end = end
        self.roles = roles
        self.entry = entry
        self.first = first
        """The first key: what `not_before` and `blocked_before` look at."""
        self.sign = ""
        """For a break: which kind."""
        self.glued = False
        self.negated = False
        self.sets: tuple[Set, ...] = entry.sets if entry else ()
        self.weight = entry.weight if entry else 0
        self.scope = entry.scope if entry else lex.ZONE
        self.closes = entry.closes if entry else ""
        self.not_before = entry.not_before if entry else frozenset[str]()
        self.complaint = ""

    def has(self, roles: int) -> bool:
        return bool(self.roles & roles)

    def wish(self, sets: tuple[Set, ...], scope: int, closes: str, weight: int = _MEASURE_WEIGHT) -> None:
        """Makes this item ask for something."""
        self.roles = lex.WISH
        self.sets, self.scope, self.closes, self.weight = sets, scope, closes, weight

    def silence(self) -> None:
        """Makes this item part of the scene."""
        self.roles = (self.roles & (lex.NEAR_MISS | lex.RIVAL)) | WORD
        self.sets = ()


def itemise(found: Sequence[Token], lexicon: Lexicon) -> list[Item]:
    """Everything the text says, in order, with what it could mean."""
    items = _strange_versions(_match(found, lexicon))
    items = _measures(items)
    items = _shots(items)
    _compounds(items)
    items = _labels(items)
    _pairs(items, lexicon)
    _slips(items, lexicon)
    _guards(items, lexicon)
    _negations(items)
    return items


def _match(found: Sequence[Token], lexicon: Lexicon) -> list[Item]:
    items: list[Item] = []
    at = 0
    while at < len(found):
        token = found[at]
        step = at + 1
        if token.kind in _BREAKS:
            item = Item(token.start, token.end, BREAK, first=token.key)
            item.sign = token.kind
        elif token.kind == tok.ID:
            item = _named(token, lexicon)
        elif (longest := lexicon.longest(found, at, _word_end(found, at, items))) is not None:
            entry, step = _uncounted(found, at, longest, lexicon)
            roles = entry.roles if entry.roles & _ORDER else entry.roles | WORD
            item = Item(token.start, found[step - 1].end, roles, entry=entry, first=token.key)
            if token.kind == tok.NUMBER and step == at + 1:
                item.roles |= lex.NUMBER
        elif token.kind == tok.NUMBER:
            item = Item(token.start, token.end, lex.NUMBER | WORD, first=token.key)
        elif token.kind in (tok.RATIO, tok.SIZE):
            item = _shape(token)
        else:
            roles = (
                lex.SOFT if token.kind == tok.MARK and not token.key.isalnum() and token.key not in "%$€£¥" else WORD
            )
            item = Item(token.start, token.end, roles, first=token.key)
        item.glued = token.glued
        items.append(item)
        at = step
    return items


def _word_end(found: Sequence[Token], at: int, before: Sequence[Item]) -> int | None:
    """What starts within a strange word ends with it: "사무라이 영상" has no "이 영상" in it."""
    if not found[at].glued or not before or not before[-1].has(WORD):
        return None
    end = at + 1
    while end < len(found) and found[end].glued:
        end += 1
    return end


def _uncounted(found: Sequence[Token], at: int, longest: tuple[Entry, int], lexicon: Lexicon) -> tuple[Entry, int]:
    """ "kling 3 cats", "kling 3 seconds": a bare number is a version only where nothing is being counted."""
    _, end = longest
    last = found[end - 1]
    if end - at < 2 or end >= len(found) or last.kind != tok.NUMBER or last.glued or "." in last.key:
        return longest
    counted = lexicon.longest(found, end)
    plural = found[end].key.isascii() and len(found[end].key) > 3 and found[end].key.endswith("s")
    if plural or (counted is not None and counted[0].roles & (lex.UNIT | lex.RATIO_JOIN | lex.RANGE_JOIN)):
        return lexicon.longest(found, at, end - 1) or longest
    return longest


_BREAKS: Final = frozenset((tok.CLAUSE, tok.COLON, tok.SENTENCE, tok.OPENING, tok.CLOSING))


def _named(token: Token, lexicon: Lexicon) -> Item:
    named = lexicon.names.named(token.key)
    item = Item(token.start, token.end, lex.NAME | lex.WISH, first=token.key)
    assert named is not None  # the scan asked the same table
    item.sets = named.sets
    item.weight, item.scope = _MEASURE_WEIGHT, lex.STANDALONE
    item.closes = "after_preposition"
    return item


def _shape(token: Token) -> Item:
    """`9:16`, `1080x1920`."""
    item = Item(token.start, token.end, WORD, first=token.key)
    digits = "".join(sign if sign.isdigit() else " " for sign in token.key).split()
    wide, high = int(digits[0]), int(digits[1])
    if token.kind == tok.RATIO and (wide, high) in RATIOS:
        item.wish((("aspect_ratio", f"{wide}:{high}"),), lex.STANDALONE, "bare")
    elif token.kind == tok.SIZE and min(wide, high) >= 360:
        unit = math.gcd(wide, high)
        ratio = f"{wide // unit}:{high // unit}"
        short = min(wide, high)
        quality: Set = ("tier", "4k") if short == 2160 else ("resolution", f"{short}p")
        item.wish((("aspect_ratio", ratio), quality), lex.STANDALONE, "bare")
    return item


def _strange_versions(items: list[Item]) -> list[Item]:
    """ "kling 1.6", "kling v4.0": a version that is not in the catalog is still a wish, which nobody can meet."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, step = items[at], 1
        if item.has(lex.NAME) and not item.sets:
            number = at + 2 if at + 1 < len(items) and items[at + 1].first == "v" else at + 1
            following = items[number + 1] if number + 1 < len(items) else None
            if (
                number < len(items)
                and items[number].roles == lex.NUMBER | WORD
                and "." in items[number].first
                and (following is None or not following.has(lex.UNIT | lex.RATIO_JOIN | lex.RANGE_JOIN))
            ):
                version = items[number].first
                item, step = _merge(items, at, number), number + 1 - at
                item.wish((("model", f"kling-{version}"),), lex.EDGE, "")
                item.roles |= lex.NAME
        made.append(item)
        at += step
    return made


def _merge(items: Sequence[Item], first: int, last: int) -> Item:
    """One item over several."""
    item = Item(items[first].start, items[last].end, WORD, first=items[first].first)
    item.glued = items[first].glued
    return item


def number_of(item: Item) -> float | None:
    """The number an item says, in digits or in words."""
    if item.has(lex.NUMBER):
        return item.entry.number if item.entry and item.entry.roles & lex.NUMBER else float(item.first)
    return None


def _measures(items: list[Item]) -> list[Item]:
    """Numbers with their units; sides of a picture; ranges, which nobody can buy."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, step = items[at], 1
        if item.has(lex.NUMBER):
            if (measure := _range(items, at) or _ratio(items, at)) is not None:
                item, step = measure, 3 if measure.complaint == "" else 4
            elif at + 1 < len(items) and items[at + 1].has(lex.UNIT):
                item, step = _length(items, at), 2
        made.append(item)
        at += step
    return made


def _length(items: Sequence[Item], at: int) -> Item:
    item = _merge(items, at, at + 1)
    unit = items[at + 1]
    assert unit.entry is not None
    seconds = (number_of(items[at]) or 0) * unit.entry.seconds
    _set_seconds(item, seconds)
    if unit.first == "s" and unit.glued and 50 <= seconds <= 99 and seconds % 10 == 0:
        # "80s" is a decade before it is a length; only right beside the name it is a length.
        item.scope, item.closes = lex.ZONE, ""
    return item


def _set_seconds(item: Item, seconds: float) -> None:
    whole = int(seconds)
    item.wish((("duration", whole),), lex.STANDALONE, "bare")
    if whole != seconds or whole < 1:
        item.sets = ()
        item.complaint = f"{seconds:g} seconds is not a whole number of seconds"


def _range(items: Sequence[Item], at: int) -> Item | None:
    """ "5 to 10 seconds"."""
    if at + 3 >= len(items):
        return None
    low, join, high, unit = items[at : at + 4]
    is_join = join.has(lex.RANGE_JOIN) or (join.has(BREAK) and join.first in ("-", "–", "—", "~", "〜"))
    if not (is_join and high.has(lex.NUMBER) and unit.has(lex.UNIT)):
        return None
    item = _merge(items, at, at + 3)
    item.wish((), lex.STANDALONE, "bare")
    first, second = number_of(low) or 0, number_of(high) or 0
    item.complaint = f"{first:g} to {second:g} seconds is a range: say one length"
    return item


def _ratio(items: Sequence[Item], at: int) -> Item | None:
    """ "sixteen by nine", "16 x 9", "16比9"."""
    if at + 2 >= len(items) or not items[at + 1].has(lex.RATIO_JOIN) or not items[at + 2].has(lex.NUMBER):
        return None
    sides = (number_of(items[at]), number_of(items[at + 2]))
    if sides not in RATIOS:
        return None
    item = _merge(items, at, at + 2)
    item.wish((("aspect_ratio", f"{int(sides[0] or 0)}:{int(sides[1] or 0)}"),), lex.STANDALONE, "bare")
    return item


def _compounds(items: list[Item]) -> None:
    """What is written together is one word: one strange part makes the whole strange ("non-standard", "프로그램")."""
    at = 0
    while at < len(items):
        end = at + 1
        while end < len(items) and items[end].glued:
            end += 1
        if end - at > 1 and any(not item.has(_ORDER) for item in items[at:end]):
            for item in items[at:end]:
                item.silence()
        at = end


def _shots(items: list[Item]) -> list[Item]:
    """ "Shot 1: … Shot 2 (3s): …": numbered from one, each with a colon, and at least two of them."""
    marks: list[tuple[int, int, int | None]] = []
    for at in range(len(items) - 2):
        if items[at].has(lex.SHOT) and number_of(items[at + 1]) == len(marks) + 1:
            end, seconds = _shot_head(items, at + 2)
            if end:
                marks.append((at, end, seconds))
    if len(marks) < 2:
        return items
    made: list[Item] = []
    done = 0
    for at, end, seconds in marks:
        made += items[done:at]
        mark = _merge(items, at, end - 1)
        mark.roles, mark.sign = BREAK, SHOT_HEAD
        mark.sets = () if seconds is None else (("duration", seconds),)
        made.append(mark)
        done = end
    return made + items[done:]


SHOT_HEAD: Final = "shot"
_SHOT_CLOSERS: Final = frozenset((":", "-", "–", "—", ".", "\n", "|"))


def _shot_head(items: Sequence[Item], at: int) -> tuple[int, int | None]:
    """Where a shot's own words begin, and its length when that is said there; 0 when this is no shot."""
    seconds: int | None = None
    closed = 0
    while at < len(items) and closed < 4:
        item = items[at]
        if item.has(lex.WISH) and len(item.sets) == 1 and item.sets[0][0] == "duration":
            seconds = item.sets[0][1]
        elif item.sign == tok.COLON or (
            item.has(BREAK) and item.first in _SHOT_CLOSERS and seconds is None and not closed
        ):
            return at + 1, seconds
        elif not item.has(BREAK):
            break
        closed += 1
        at += 1
    done = seconds is not None and items[at - 1].has(BREAK)
    return (at, seconds) if done else (0, None)


def _labels(items: list[Item]) -> list[Item]:
    """ "duration: 10", "Format 9:16", "audio = off": a label and its value become one item."""
    made: list[Item] = []
    at = 0
    while at < len(items):
        item, step = items[at], 1
        if item.has(lex.LABEL):
            value, named = _value_of(items, at)
            if named and _takes_the_rest(item):
                item = _merge(items, at, value - 1)
                item.roles, item.sign = BREAK, items[at].entry.label[0] if items[at].entry else ""
                step = value - at
            elif value < len(items) and _bind(item, items[value], named=named):
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
        elif not here.has(lex.SOFT) or here.has(lex.WISH | lex.ON | lex.OFF):
            break
        elif named and _takes_the_rest(items[at]):
            break
        value += 1
    return value, named


def _takes_the_rest(label: Item) -> bool:
    return label.entry is not None and any(field in ("prompt", "negative_prompt") for field in label.entry.label)


def _bind(label: Item, value: Item, *, named: bool) -> bool:
    fields = label.entry.label if label.entry else ()
    bound: tuple[Set, ...] = tuple(pair for pair in value.sets if pair[0] in fields)
    # "quality: 4k" and "mode: pro" speak of the tier, "size: vertical" of the ratio; the value knows best.
    if value.has(lex.WISH) and (bound or (named and value.sets)):
        value.scope = max(value.scope, lex.ANYWHERE if named else lex.STANDALONE)
        return True
    number = number_of(value)
    if "duration" in fields and number is not None and (named or label.first != "seconds"):
        _set_seconds(value, number)
        value.scope = lex.ANYWHERE
        return True
    for field in ("audio", "off_peak"):
        if named and field in fields and value.has(lex.ON | lex.OFF):
            value.wish(((field, value.has(lex.ON)),), lex.ANYWHERE, "bare")
            return True
    return False


def _pairs(items: list[Item], lexicon: Lexicon) -> None:
    """ "animate this old photo", "この写真を動かして": a verb and its object, in either order."""
    for at, item in enumerate(items):
        if item.entry is None or not item.entry.verbs or item.has(lex.WISH):
            continue
        for index in item.entry.verbs:
            other = _object(items, at, index)
            if other is None:
                continue
            low, high = min(at, other), max(at, other)
            for between in items[low : high + 1]:
                if not between.has(lex.NAME | lex.WISH):
                    between.roles = lex.SOFT
            pair = lexicon.pairs[index]
            item.wish(pair.sets, lex.EDGE, "", pair.weight)
            break


def _object(items: Sequence[Item], at: int, index: int) -> int | None:
    for step in (1, -1):
        other, words = at + step, 0
        while 0 <= other < len(items) and abs(other - at) <= _PAIR_REACH and not items[other].has(BREAK):
            entry = items[other].entry
            if entry is not None and index in entry.objects:
                return other
            words += items[other].has(WORD)
            if words > 1:
                break
            other += step
    return None


def _slips(items: list[Item], lexicon: Lexicon) -> None:
    """Words one edit away from "kling", or from a tier beside the name."""
    named = any(item.has(lex.NAME) for item in items)
    for at, item in enumerate(items):
        if at and item.first in _PRO_SLIPS_ALONE and items[at - 1].has(lex.NAME) and not item.has(lex.WISH):
            _tier_slip(items, at, lexicon)
        if not item.has(WORD) or item.entry is not None or item.glued or (at + 1 < len(items) and items[at + 1].glued):
            continue
        if not named and _is_slip(item.first, "kling", lexicon) and _stands_for_name(items, at):
            item.roles = lex.NAME
            named = True
        elif at and items[at - 1].has(lex.NAME | lex.WISH):
            _tier_slip(items, at, lexicon)


def _stands_for_name(items: Sequence[Item], at: int) -> bool:
    before = [item for item in items[:at] if not item.has(BREAK)][-1:] if at < 8 else [items[at - 1]]
    if not before or before[0].has(lex.VERB | lex.SOFT | lex.PLEASE | lex.LEAD | lex.WISH | lex.ARTICLE):
        return True
    return at + 1 < len(items) and items[at + 1].has(lex.WISH)


def _tier_slip(items: list[Item], at: int, lexicon: Lexicon) -> None:
    item = items[at]
    word = item.first
    following = items[at + 1] if at + 1 < len(items) else None
    closed = following is None or following.has(BREAK | lex.WISH)
    for meant, tier in lexicon.tier_words.items():
        if len(meant) >= 5:
            near = _is_slip(word, meant, lexicon) and not word.startswith(meant)
        else:
            near = meant == "pro" and (word in _PRO_SLIPS or (closed and word in _PRO_SLIPS_ALONE))
        if near:
            item.wish((("tier", tier),), lex.EDGE, "")
            return


_PRO_SLIPS: Final = frozenset({"prro", "ppro", "proo", "rpo"})
_PRO_SLIPS_ALONE: Final = frozenset({"por", "prp", "pto", "pr0", "lro", "pri", "prk", "prl"})
"""Words in some language, or half-words: a slip only where nothing else can be meant."""


def _is_slip(word: str, meant: str, lexicon: Lexicon) -> bool:
    return abs(len(word) - len(meant)) <= 1 and word not in lexicon.not_typos and one_edit(word, meant)


def one_edit(word: str, meant: str) -> bool:
    """Whether one letter was dropped, added, changed, or changed places with its neighbour."""
    if word == meant:
        return False
    short, long = sorted((word, meant), key=len)
    at = 0
    while at < len(short) and short[at] == long[at]:
        at += 1
    if len(short) != len(long):
        return short[at:] == long[at + 1 :]
    return short[at + 1 :] == long[at + 1 :] or (
        short[at : at + 2] == long[at : at + 2][::-1] and short[at + 2 :] == long[at + 2 :]
    )


def _guards(items: list[Item], lexicon: Lexicon) -> None:
    """Company that turns an order word into a scene word: "portrait of", "waits 10 seconds", "kling klang"."""
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(lex.NAME) and not item.sets and following is not None:
            after = items[at + 2] if following.has(BREAK) and at + 2 < len(items) else following
            if after.first in lexicon.name_not_before:
                item.silence()
        if item.not_before and following is not None and following.first in item.not_before and item.has(lex.WISH):
            item.silence()


def _negations(items: list[Item]) -> None:
    """Turns what follows "not", and what stands before "じゃなくて", into its opposite."""
    for at, item in enumerate(items):
        following = items[at + 1] if at + 1 < len(items) else None
        if item.has(lex.NOT_AFTER) and not (
            item.has(lex.NOT_BEFORE) and following is not None and following.has(lex.WISH | lex.NAME)
        ):
            before = _wish_before(items, at)
            if before is not None:
                _negate(items[before])
                item.roles = lex.SOFT
                continue
        if item.has(lex.NOT_BEFORE) and not item.has(lex.WISH):
            _negate_following(items, at)


def _wish_before(items: Sequence[Item], at: int) -> int | None:
    index = at - 1
    while index >= 0 and at - index <= 3:
        if items[index].has(lex.WISH | lex.NAME | lex.RIVAL) and not items[index].negated:
            return index
        if not items[index].has(lex.SOFT | lex.LABEL | lex.PARTICLE | lex.NOUN):
            return None
        index -= 1
    return None


def _negate_following(items: list[Item], at: int) -> None:
    index, hit = at + 1, False
    while index < len(items) and index - at <= 6:
        item = items[index]
        if item.has(lex.WISH | lex.NAME | lex.RIVAL):
            if not _negate(item):
                break
            for between in items[at + 1 : index]:
                if not between.has(lex.WISH | lex.NAME):
                    between.roles = lex.SOFT
            hit = True
            more = items[index + 1] if index + 1 < len(items) else None
            if more is None or not more.has(lex.NOT_JOIN):
                break
        elif not item.has(lex.SOFT | lex.ARTICLE | lex.LABEL | lex.NOT_JOIN | lex.VERB | lex.LINK):
            break
        index += 1
    items[at].roles = lex.SOFT if hit else WORD


def _negate(item: Item) -> bool:
    """Marks what is not wanted; a hint such as "dialogue" has no opposite that could be ordered."""
    if item.has(lex.WISH) and item.weight == 1:
        return False
    item.negated = True
    if not item.has(lex.WISH | lex.NAME):
        item.roles = lex.SOFT
    return True
