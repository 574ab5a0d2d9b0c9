"""Numbers and what they count: lengths, shapes of pictures, versions, shots."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.addresses import UNSPACED
from mcp_server.language.item import BREAK, WORD, Item, Set, merge, neighbour, number_of, replace_runs
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.tokens import Token

RATIOS: Final = frozenset(
    {(16, 9), (9, 16), (1, 1), (4, 3), (3, 4), (21, 9), (9, 21), (3, 2), (2, 3), (4, 5), (5, 4), (2, 1), (1, 2)}
)
SHOT_HEAD: Final = "shot"
_WHOLE_VERSIONS: Final = range(1, 10)
_RANGE_SIGNS: Final = frozenset(("-", "–", "—", "~", "〜"))
_SHOT_CLOSERS: Final = frozenset((":", "-", "–", "—", ".", "\n", "|"))


def shape(token: Token) -> Item:
    """A shape of picture from its sides: `9:16`, or `1080x1920` with the quality it says too."""
    item = Item(token.start, token.end, WORD, first=token.key)
    digits = "".join(sign if sign.isdigit() else " " for sign in token.key).split()
    wide, high = int(digits[0]), int(digits[1])
    if token.kind == tok.RATIO and (wide, high) in RATIOS:
        item.wish((("aspect_ratio", f"{wide}:{high}"),), role.STANDALONE, "bare")
    elif token.kind == tok.SIZE and min(wide, high) >= 360:
        unit = math.gcd(wide, high)
        ratio = f"{wide // unit}:{high // unit}"
        short = min(wide, high)
        quality: Set = ("tier", "4k") if short == 2160 else ("resolution", f"{short}p")
        item.wish((("aspect_ratio", ratio), quality), role.STANDALONE, "bare")
    return item


def merge_measures(items: list[Item], lexicon: Lexicon) -> None:
    """Names with their versions; numbers with their units; sides of a picture; ranges, which nobody can buy."""
    replace_runs(
        items,
        role.NAME | role.NUMBER,
        lambda at: _version(items, at, lexicon) if items[at].has(role.NAME) else _measure(items, at, lexicon),
    )


def _version(items: Sequence[Item], at: int, lexicon: Lexicon) -> tuple[Item, int]:
    """“kling 1.6”, “kling v4: …”, “可灵 4 …”, “kling video 4.0”: one that is not in the catalog is still a wish, which
    nobody can meet.
    """
    number = at + 1 + neighbour(items, at + 1).has(role.NOUN)
    signed = neighbour(items, number).first in lexicon.firsts["version"]
    number += signed
    if items[at].sets or not _is_version(items, number, signed=signed):
        return items[at], at + 1
    item, version = merge(items, at, number), items[number].first
    named = lexicon.names.model(f"kling {version}")
    said = version if "." in version else f"{version}.0"
    item.wish(named.sets if named else (("model", f"kling-{said}"),), role.EDGE, "")
    item.roles |= role.NAME
    return item, number + 1


def _is_version(items: Sequence[Item], at: int, *, signed: bool) -> bool:
    """Whether this number can be nothing but a version: it has a point or a "v", or counts nothing that follows."""
    number, following = neighbour(items, at), neighbour(items, at + 1)
    if not number.has(role.NUMBER) or not number.first[:1].isdigit() or number.has(role.WISH):
        return False
    joins = following.has(role.RATIO_JOIN | role.RANGE_JOIN) or following.first in _RANGE_SIGNS
    if following.has(role.UNIT) or (joins and neighbour(items, at + 2).has(role.NUMBER)) or _is_ratio(items, at):
        return False
    if "." in number.first or signed:
        return True
    apart = following.start > number.end and following.first[:1] >= UNSPACED
    counts_nothing = apart or following.has(BREAK | role.WISH | role.ARTICLE | role.PARTICLE)
    return float(number.first) in _WHOLE_VERSIONS and counts_nothing


def _is_ratio(items: Sequence[Item], at: int) -> bool:
    """“2.35:1”: no version, although it has a point in it."""
    if at + 2 >= len(items):
        return False
    colon, other = items[at + 1 : at + 3]
    digits = other.has(role.NUMBER) and other.first[:1].isdigit()
    return colon.sign == tok.COLON and digits and items[at].end == colon.start == other.start - 1


def _measure(items: Sequence[Item], at: int, lexicon: Lexicon) -> tuple[Item, int]:
    """The number here, as one item with what it measures; and where that ends."""
    following = neighbour(items, at + 1)
    found = _range(items, at) or _ratio(items, at)
    if found is not None:
        return found
    if following.has(role.UNIT):
        return _length(items, at, lexicon), at + 2
    if not following.has(role.FRAME_RATE):
        return items[at], at + 1
    item = merge(items, at, at + 1)
    item.wish((), role.EDGE, "")
    item.note = "no vendor here takes a frame rate; the clip has the vendor's own"
    return item, at + 2


def _length(items: Sequence[Item], at: int, lexicon: Lexicon) -> Item:
    item = merge(items, at, at + 1)
    unit = items[at + 1]
    seconds = (number_of(items[at]) or 0) * unit.entry.values[role.UNIT]
    set_seconds(item, seconds)
    if unit.first in lexicon.firsts["decade"] and unit.glued and 50 <= seconds <= 99 and seconds % 10 == 0:
        # "80s" is a decade before it is a length; only right beside the name it is a length.
        item.scope, item.closes = role.BESIDE_NAME, ""
    return item


def set_seconds(item: Item, seconds: float) -> None:
    whole = int(seconds)
    item.wish((("duration", whole),), role.STANDALONE, "bare")
    if whole != seconds or whole < 1:
        item.sets = ()
        item.complaint = f"{seconds:g} seconds is not a whole number of seconds"


def _range(items: Sequence[Item], at: int) -> tuple[Item, int] | None:
    """A span of lengths, which nobody sells: “5 to 10 seconds”, “5-10s”."""
    end = _high_end(items, at)
    if end == at or not (neighbour(items, end).has(role.NUMBER) and neighbour(items, end + 1).has(role.UNIT)):
        return None
    item = merge(items, at, end + 1)
    item.wish((), role.STANDALONE, "bare")
    first, second = number_of(items[at]) or 0, number_of(items[end]) or 0
    item.complaint = f"{first:g} to {second:g} seconds is a range: say one length"
    return item, end + 2


def _high_end(items: Sequence[Item], at: int) -> int:
    """Where the other end of a range from here would stand; `at` when nothing joins them."""
    following = neighbour(items, at + 1)
    if following.has(role.NUMBER) and following.glued and following.start > items[at].end:
        return at + 1
    joins = following.has(role.RANGE_JOIN) or (following.has(BREAK) and following.first in _RANGE_SIGNS)
    return at + 2 if joins else at


def _ratio(items: Sequence[Item], at: int) -> tuple[Item, int] | None:
    """“sixteen by nine”, “16 x 9”, “16比9”."""
    if not neighbour(items, at + 1).has(role.RATIO_JOIN):
        return None
    sides = (number_of(items[at]), number_of(neighbour(items, at + 2)))
    if sides not in RATIOS:
        return None
    item = merge(items, at, at + 2)
    item.wish((("aspect_ratio", f"{int(sides[0] or 0)}:{int(sides[1] or 0)}"),), role.STANDALONE, "bare")
    return item, at + 3


_COUNT_REACH: Final = 4
"""How far a number may stand from what it counts: "two short kling videos"."""


def note_counts(items: list[Item], _: Lexicon) -> None:
    """“3 variations of”, “two kling videos”: one clip is ordered, and the answer says how to buy them all."""
    named = False
    for at, item in enumerate(items):
        named = named or item.has(role.NAME)
        if named and item.sign == tok.COLON:
            # What comes now is the scene: "kling: three versions of one woman argue".
            break
        number = number_of(item)
        if number is None or not 2 <= number <= _MANY or number != int(number):
            continue
        place = at + 1
        while place - at < _COUNT_REACH and not neighbour(items, place).has(role.COUNTED):
            if not neighbour(items, place).has(role.NAME | role.WISH | role.FILLER):
                break
            place += 1
        counted = neighbour(items, place)
        if counted.has(role.COUNTED):
            item.wish((), role.STANDALONE, "", weight=1)
            item.note = f"one clip is ordered; the words ask for {number:g}: `count` buys up to four as one order"
            counted.roles = counted.roles if counted.has(role.NOUN) else role.NOUN


_MANY: Final = 20
"""Above this nobody orders clips; "100 videos" are on a wall."""


_Heads = dict[int, tuple[int, int | None]]
"""Where each shot's head begins → where it ends, and the length it says."""


def mark_shots(items: list[Item], _: Lexicon) -> None:
    """“Shot 1: … Shot 2 (3s): …”: numbered from one, each with a colon, and at least two of them."""
    heads: _Heads = {}
    for at in range(len(items) - 2):
        if items[at].has(role.SHOT) and number_of(items[at + 1]) == len(heads) + 1:
            end, seconds = _shot_head(items, at + 2)
            if end:
                heads[at] = end, seconds
    if len(heads) < 2:
        heads = _numbered(items)
    if len(heads) < 2:
        return

    def head(at: int) -> tuple[Item, int]:
        if at not in heads:
            return items[at], at + 1
        end, seconds = heads[at]
        mark = merge(items, at, end - 1)
        mark.roles, mark.sign = BREAK, SHOT_HEAD
        mark.sets = () if seconds is None else (("duration", seconds),)
        return mark, end

    _announced(items, min(heads))
    replace_runs(items, role.SHOT | role.NUMBER, head)


def _numbered(items: Sequence[Item]) -> _Heads:
    """“multi-shot: 1. … 2. …”: numbered lines after words that announce them."""
    first = next((at for at, item in enumerate(items) if item.has(role.SHOT_LIST)), len(items))
    heads: _Heads = {}
    for at in range(first + 1, len(items) - 2):
        sign = items[at + 1]
        if sign.first in (".", ")") and sign.start == items[at].end and number_of(items[at]) == len(heads) + 1:
            heads[at] = at + 2, None
    return heads


def _announced(items: Sequence[Item], end: int) -> None:
    """“in three scenes:” says nothing beyond the scenes that follow."""
    for at in range(end):
        if items[at].has(role.SHOT_LIST) and items[at + 1].has(BREAK):
            items[at].roles = role.PLEASE
            if at and items[at - 1].has(role.NUMBER):
                items[at - 1].roles = role.PLEASE


def _shot_head(items: Sequence[Item], at: int) -> tuple[int, int | None]:
    """Where a shot's own words begin, and its length when that is said there; 0 when this is no shot."""
    seconds: int | None = None
    closed = 0
    while at < len(items) and closed < 4:
        item = items[at]
        if item.has(role.WISH) and len(item.sets) == 1 and item.sets[0][0] == "duration":
            seconds = item.sets[0][1]
        elif item.sign == tok.COLON or (not closed and item.has(BREAK) and item.first in _SHOT_CLOSERS):
            return at + 1, seconds
        elif not item.has(BREAK):
            break
        closed += 1
        at += 1
    done = seconds is not None and items[at - 1].has(BREAK)
    return (at, seconds) if done else (0, None)
