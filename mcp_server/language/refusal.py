"""Why a text is no order for a Kling video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, WORD, Item
from mcp_server.language.measures import SHOT_HEAD
from mcp_server.language.segmentation import Segmentation


@dataclass(frozen=True, slots=True)
class Refusal:
    """The reason, and whether the text may still be the scene of a call that is surely about Kling."""

    why: str
    bare: bool = False


def refusal(order: Segmentation, text: str) -> Refusal | None:
    """The reason, or None for an order."""
    items = order.items
    anchor = order.named if order.named >= 0 else _provider(order)
    if anchor >= 0:
        why = _why_no_order(order, anchor)
        return Refusal(why) if why else None
    if any(item.has(role.NAME) and item.negated for item in items):
        return Refusal("they want a video, but not from Kling")
    if any(item.has(role.NAME) for item in items):
        return Refusal("they mention Kling, but order nothing")
    return _unnamed(order, text)


_ASK = "they ask about Kling, but order nothing"


def _why_no_order(order: Segmentation, anchor: int) -> str:
    """Why a text with the name in it orders nothing; empty for an order."""
    start, end = _sentence(order.items, anchor)
    if _is_comparison(order.items, anchor, start, end):
        return "they compare Kling with another model"
    if opening := _opening(order.items, anchor, start, end):
        return opening
    if _is_ability(order, anchor) or _is_topic(order, anchor, start, end) or _is_doubt(order, start, end):
        return _ASK
    if _is_statement(order, anchor):
        return "they say something about Kling, but order nothing"
    if _only_rules_out(order):
        return "they rule something out, but order nothing"
    if _is_picture(order, anchor):
        return "they ask for a picture, not for a video"
    return ""


def _opening(items: Sequence[Item], anchor: int, start: int, end: int) -> str:
    """What the first word before the name makes of the sentence, if that is no order."""
    first = _first(items, start)
    if first >= anchor:
        return ""
    joined = not any(item.has(BREAK) for item in items[first:anchor])
    asks = end < len(items) and items[end].first == "?"
    if items[first].has(role.QUESTION) and (joined or asks):
        return _ASK
    return "they ask for something else than a video" if items[first].has(role.CHORE | role.TOPIC) and joined else ""


def _is_ability(order: Segmentation, anchor: int) -> bool:
    """“can kling make 4k videos”: with nothing to film it is a question."""
    left = any(item.has(WORD) and not taken for item, taken in zip(order.items, order.taken, strict=True))
    return not left and order.items[anchor].first in order.lexicon.asking


def _unnamed(order: Segmentation, text: str) -> Refusal | None:
    items = order.items
    rival = next((at for at, item in enumerate(items) if item.has(role.RIVAL) and _is_ordered(items, at)), None)
    if rival is not None:
        return Refusal(f"they name {text[items[rival].start : items[rival].end]}, not Kling")
    miss = next((item for item in items if item.has(role.NEAR_MISS)), None)
    if miss is not None:
        return Refusal(f"“{text[miss.start : miss.end]}” is not Kling")
    first = _first(items, 0)
    if first < len(items) and items[first].has(role.QUESTION | role.CHORE):
        return Refusal("they ask for something else than a video")
    if _opens_with_picture(items):
        return Refusal("they ask for a picture, not for a video")
    certain = [items[at] for at in order.certain]
    if sum(item.sign == SHOT_HEAD for item in items) > 1:
        return None
    if order.clip_asked or len(certain) > 1 or any(item.scope >= role.STANDALONE for item in certain):
        return None
    if any(field == "mode" for item in certain for field, _ in item.sets):
        return None
    return Refusal("they name neither Kling nor a video", bare=any(item.has(WORD) for item in items))


def _provider(order: Segmentation) -> int:
    """A vendor that sells Kling stands for it: "runcomfy 4k: …"."""
    for at, item in enumerate(order.items):
        if order.taken[at] and not item.negated and any(field == "provider" for field, _ in item.sets):
            return at
    return -1


def _sentence(items: Sequence[Item], at: int) -> tuple[int, int]:
    start, end = at, at
    while start and items[start - 1].sign != tok.SENTENCE:
        start -= 1
    while end < len(items) and items[end].sign != tok.SENTENCE:
        end += 1
    return start, end


def _first(items: Sequence[Item], start: int) -> int:
    """The first word that says anything."""
    at = start
    while at < len(items) and not items[at].has(role.QUESTION | role.CHORE):
        if not items[at].has(BREAK | role.PLEASE | role.ARTICLE) and items[at].roles != role.FILLER:
            break
        at += 1
    return at


def _is_comparison(items: Sequence[Item], anchor: int, start: int, end: int) -> bool:
    """“kling or sora”: nothing but joining words between the two."""
    for step in (1, -1):
        at = anchor + step
        while start <= at < end and not items[at].has(BREAK | role.VERB | role.CREATE):
            if items[at].has(role.RIVAL):
                return True
            if items[at].has(WORD) and not items[at].has(role.TOPIC | role.NOT_JOIN):
                break
            at += step
    return False


_ABOUT = role.TOPIC | role.CHORE | role.QUESTION | role.STATE | role.UNIT | role.NUMBER


def _is_topic(order: Segmentation, anchor: int, start: int, end: int) -> bool:
    """“kling 4k price”, “Kling 4Kの料金は”, “give me the price of kling”: about Kling, with hardly another word."""
    items = order.items
    if any(item.sign == tok.COLON for item in items[anchor:end]):
        return False
    left = [at for at in range(anchor + 1, end) if not order.taken[at] and not items[at].has(BREAK)]
    words = [at for at in left if items[at].has(WORD) and not items[at].has(_ABOUT)]
    before = [at for at in range(start, anchor) if not order.taken[at]]
    if any(items[at].has(role.TOPIC) for at in before) and not any(items[at].has(BREAK) for at in before):
        others = [at for at in before if items[at].has(WORD) and not items[at].has(_ABOUT)]
        return _weight(items, [*others, *words]) <= 1
    if not left:
        return False
    if items[left[0]].has(role.TOPIC) and _weight(items, words) < 1:
        return True
    last = items[left[-1]]
    # "클링 영상 취소해줘": languages that say the verb last.
    asks = last.has(role.TOPIC) or (last.has(role.CHORE) and last.has(role.FINAL))
    return asks and _weight(items, words) <= 2


def _is_doubt(order: Segmentation, start: int, end: int) -> bool:
    """“kling?”, “kling 4k any good?”: a question mark after next to nothing."""
    items = order.items
    if end >= len(items) or items[end].first != "?":
        return False
    sentence = range(start, end)
    if any(items[at].has(role.VERB | role.CREATE | role.NOUN | role.PLEASE) for at in sentence):
        return False
    if any(items[at].has(BREAK) and items[at].sign != tok.OPENING for at in sentence):
        return False
    words = [at for at in sentence if items[at].has(WORD) and not order.taken[at]]
    if not words and any(items[at].has(role.CHOICE) for at in sentence):
        return True
    wishes = any(items[at].has(role.WISH) for at in sentence)
    return _weight(items, words) <= 2 and not (wishes and not words)


def _weight(items: Sequence[Item], words: Sequence[int]) -> float:
    """How many words these are; signs of a script without spaces count a third."""
    return sum(1 if items[at].end - items[at].start > 1 else 0.34 for at in words)


def _is_statement(order: Segmentation, anchor: int) -> bool:
    """“kling 3.0 was released”, “I love kling”, “my kling api key doesn't work”."""
    for at in range(anchor + 1, len(order.items)):
        item = order.items[at]
        if item.has(BREAK):
            return False
        if at == anchor + 1 and item.has(role.STATE) and not _wishes_or_ends(order.items, at + 1):
            # "kling is so good"
            return True
        if (
            item.first in order.lexicon.possessives
            and at + 1 < len(order.items)
            and not order.items[at + 1].has(role.WISH | role.NAME)
        ):
            return at == anchor + 1 and not _sells(order, anchor)
        if not order.taken[at] and not (item.has(role.TOPIC) and not item.has(role.STATE)):
            return item.has(role.STATE)
    return False


def _wishes_or_ends(items: Sequence[Item], at: int) -> bool:
    """Whether the clause from here asks for something, or is over."""
    if at >= len(items) or items[at].has(BREAK):
        return True
    while at < len(items) and not items[at].has(BREAK):
        if items[at].has(role.WISH | role.VERB | role.CREATE):
            return True
        at += 1
    return False


def _sells(order: Segmentation, anchor: int) -> bool:
    return any(field == "provider" for field, _ in order.items[anchor].sets)


def _only_rules_out(order: Segmentation) -> bool:
    """Whether every wish is for what is not wanted: “kling pro is too expensive”."""
    wishes = list(order.wishes())
    asked = any(item.has(role.VERB | role.CREATE | role.NOUN) for item in order.items)
    left = any(item.has(WORD) and not taken for item, taken in zip(order.items, order.taken, strict=True))
    return bool(wishes) and not asked and not left and all(item.negated for item in wishes)


def _is_picture(order: Segmentation, anchor: int) -> bool:
    """“make a kling image of a dog”."""
    items = order.items
    asked = any(item.has(role.VERB | role.CREATE) for item in items[:anchor])
    after = items[anchor + 1] if anchor + 1 < len(items) else None
    return asked and after is not None and after.has(role.PICTURE) and not order.taken[anchor + 1]


_VERSION = 4
"""How far a version may reach from its name: "runway gen 4 turbo"."""


def _is_ordered(items: Sequence[Item], at: int) -> bool:
    """Whether this name stands where the maker of the clip is named."""
    before = items[at - 1] if at else None
    end = at + 1
    while end < len(items) and end - at < _VERSION and items[end].has(role.RIVAL | role.NUMBER):
        end += 1
    after = items[end] if end < len(items) else None
    if before is None or before.has(BREAK | role.FILLER | role.VERB | role.CREATE | role.PLEASE):
        return True
    if after is None or before.has(WORD):
        return False
    return after.has(role.NOUN | role.WISH | role.PARTICLE) or after.sign == tok.COLON


def _opens_with_picture(items: Sequence[Item]) -> bool:
    """“make an image of a dog”."""
    for at, item in enumerate(items):
        if item.has(role.PICTURE):
            return at + 1 < len(items) and items[at + 1].has(role.LINK)
        if not item.has(role.VERB | role.CREATE | role.ARTICLE | role.FILLER | role.PLEASE):
            break
    return False
