"""Why a text is no order for a Kling video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.clauses import sentence_of
from mcp_server.language.item import BREAK, WORD, Item, any_has, neighbour
from mcp_server.language.measures import SHOT_HEAD
from mcp_server.language.segmentation import Segmentation


class Refusal(NamedTuple):
    """The reason, and whether the text is a question about something that could be ordered."""

    none: str
    asks: bool = False
    rival: bool = False
    """Whether another model is named for it."""


def refusal(order: Segmentation, text: str) -> Refusal | None:
    """The reason, or None for an order."""
    items = order.items
    anchor = order.named if order.named >= 0 else _provider(order)
    if anchor >= 0 and not order.tool_named:
        why = _why_no_order(order, anchor)
        start, end = sentence_of(items, anchor)
        return Refusal(why, asks=why == _ASK or any_has(items[start:end], role.TOPIC)) if why else None
    if any(item.has(role.NAME) and item.negated for item in items):
        return Refusal("they want a video, but not from Kling")
    if any_has(items, role.NAME) and not order.tool_named:
        return Refusal("they mention Kling, but order nothing")
    return _unnamed(order, text)


_ASK = "they ask about Kling, but order nothing"


def _why_no_order(order: Segmentation, anchor: int) -> str:
    """Why a text with the name in it orders nothing; empty for an order."""
    start, end = sentence_of(order.items, anchor)
    if _is_comparison(order.items, anchor, start, end):
        return "they compare Kling with another model"
    if opening := _opening(order.items, anchor, start, end):
        return opening
    # "can kling make 4k videos": with nothing to film it is a question.
    ability = order.items[anchor].first in order.lexicon.firsts["asking"] and not _films(order)
    if ability or _is_topic(order, anchor, start, end) or _is_doubt(order, start, end):
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
    joined = not any_has(items[first:anchor], BREAK)
    asks = neighbour(items, end).first == "?"
    if items[first].has(role.QUESTION) and (joined or asks):
        return _ASK
    return "they ask for something else than a video" if items[first].has(role.CHORE | role.TOPIC) and joined else ""


def _left(order: Segmentation, start: int, end: int) -> list[Item]:
    """What is no part of the order here."""
    return [order.items[at] for at in range(start, end) if not order.taken[at]]


def _films(order: Segmentation) -> bool:
    """Whether there is a scene to film."""
    return any_has(_left(order, 0, len(order.items)), WORD)


def _unnamed(order: Segmentation, text: str) -> Refusal | None:
    """Why a text without the name orders nothing; None when it surely asks for a clip."""
    items = order.items
    if named := _something_else(items, text):
        return Refusal(named, rival=True)
    first = neighbour(items, _first(items, 0))
    if first.has(role.QUESTION | role.CHORE):
        asks = any_has(items, role.TOPIC) or first.has(role.QUESTION)
        return Refusal("they ask for something else than a video", asks=asks)
    if _opens_with_picture(items):
        return Refusal("they ask for a picture, not for a video")
    if order.tool_named and _is_price_question(order):
        return Refusal(_ASK, asks=True)
    if order.tool_named or _is_surely_clip(order):
        return None
    return Refusal("they name neither Kling nor a video")


def _is_price_question(order: Segmentation) -> bool:
    """“4Kだといくらになりますか”, “4K的话要花多少钱？”: a topic, with a question mark or hardly another word."""
    if _is_topic(order, 0, 0, len(order.items)):
        return True
    topics = [at for at, item in enumerate(order.items) if item.has(role.TOPIC)]
    return any(neighbour(order.items, sentence_of(order.items, at)[1]).first == "?" for at in topics)


def _something_else(items: Sequence[Item], text: str) -> str:
    """That another model is named, or what only sounds like Kling; empty when neither is."""
    for at, item in enumerate(items):
        if item.has(role.RIVAL) and _is_ordered(items, at):
            return f"they name {text[item.start : item.end]}, not Kling"
    miss = next((item for item in items if item.has(role.NEAR_MISS)), None)
    return "" if miss is None else f"“{text[miss.start : miss.end]}” is not Kling"


def _is_surely_clip(order: Segmentation) -> bool:
    """Whether shots, a noun for a clip, or wishes that stand by themselves say that a clip is ordered."""
    certain = [order.items[at] for at in order.certain]
    if order.clip_asked or len(certain) > 1 or sum(item.sign == SHOT_HEAD for item in order.items) > 1:
        return True
    return any(item.scope >= role.STANDALONE or item.asks_for("mode") for item in certain)


def _provider(order: Segmentation) -> int:
    """A vendor that sells Kling stands for it: "runcomfy 4k: …"."""
    for at, item in enumerate(order.items):
        if order.taken[at] and not item.negated and item.asks_for("provider"):
            return at
    return -1


def _first(items: Sequence[Item], start: int) -> int:
    """The first word that says anything."""
    at = start
    while at < len(items) and not items[at].has(role.QUESTION | role.CHORE):
        said = items[at].end > items[at].start
        if said and not items[at].has(BREAK | role.PLEASE | role.ARTICLE) and items[at].roles != role.FILLER:
            break
        at += 1
    return at


def _is_comparison(items: Sequence[Item], anchor: int, start: int, end: int) -> bool:
    """“kling or sora”: nothing but joining words between the two."""
    for step in (1, -1):
        at = anchor + step
        while start <= at < end and not items[at].has(BREAK | role.VERB | role.CREATE_VERB):
            if items[at].has(role.RIVAL):
                return True
            if items[at].has(WORD) and not items[at].has(role.TOPIC | role.CHOICE):
                break
            at += step
    return False


_ABOUT = role.TOPIC | role.CHORE | role.QUESTION | role.STATE | role.UNIT | role.NUMBER


def _is_topic(order: Segmentation, anchor: int, start: int, end: int) -> bool:
    """“kling 4k price”, “Kling 4Kの料金は”, “give me the price of kling”: about Kling, with hardly another word."""
    if any(item.sign == tok.COLON for item in order.items[anchor:end]):
        return False
    before = _left(order, start, anchor)
    after = [item for item in _left(order, anchor + 1, end) if not item.has(BREAK)]
    if any_has(before, role.TOPIC) and not any_has(before, BREAK):
        return _strange_words([*before, *after]) <= 1
    return bool(after) and _opens_or_ends_with_topic(after)


def _opens_or_ends_with_topic(said: Sequence[Item]) -> bool:
    if said[0].has(role.TOPIC) and _strange_words(said) < 1:
        return True
    last = said[-1]
    # "클링 영상 취소해줘": languages that say the verb last.
    asks = last.has(role.TOPIC) or (last.has(role.CHORE) and last.has(role.FINAL))
    return asks and _strange_words(said) <= 2


def _strange_words(said: Sequence[Item]) -> float:
    """How many words of this mean nothing here."""
    return _weight([item for item in said if item.has(WORD) and not item.has(_ABOUT)])


def _is_doubt(order: Segmentation, start: int, end: int) -> bool:
    """“kling?”, “kling 4k any good?”: a question mark after next to nothing."""
    if neighbour(order.items, end).first != "?":
        return False
    sentence = order.items[start:end]
    if any_has(sentence, role.VERB | role.CREATE_VERB | role.NOUN | role.PLEASE):
        return False
    if any(item.has(BREAK) and item.sign != tok.OPENING for item in sentence):
        return False
    words = [item for item in _left(order, start, end) if item.has(WORD)]
    if words:
        return _weight(words) <= 2
    return any_has(sentence, role.CHOICE) or not any_has(sentence, role.WISH)


def _weight(words: Sequence[Item]) -> float:
    """How many words these are; signs of a script without spaces count a third."""
    return sum(1 if word.end - word.start > 1 else 0.34 for word in words)


def _is_statement(order: Segmentation, anchor: int) -> bool:
    """“kling 3.0 was released”, “I love kling”, “my kling api key doesn't work”."""
    if neighbour(order.items, anchor + 1).has(role.STATE) and not _wishes_or_ends(order.items, anchor + 2):
        # "kling is so good"
        return True
    for at in range(anchor + 1, len(order.items)):
        item = order.items[at]
        if item.has(BREAK):
            return False
        if _is_possessive(order, at):
            return at == anchor + 1 and not order.items[anchor].asks_for("provider")
        if not order.taken[at] and not (item.has(role.TOPIC) and not item.has(role.STATE)):
            return item.has(role.STATE)
    return False


def _is_possessive(order: Segmentation, at: int) -> bool:
    """“kling's servers”; not “kling's pro”."""
    owns = order.items[at].first in order.lexicon.firsts["possessive"] and at + 1 < len(order.items)
    return owns and not order.items[at + 1].has(role.WISH | role.NAME)


def _wishes_or_ends(items: Sequence[Item], at: int) -> bool:
    """Whether the clause from here asks for something, or is over."""
    if neighbour(items, at).has(BREAK):
        return True
    while not neighbour(items, at).has(BREAK):
        if items[at].has(role.WISH | role.VERB | role.CREATE_VERB):
            return True
        at += 1
    return False


def _only_rules_out(order: Segmentation) -> bool:
    """Whether every wish is for what is not wanted: “kling pro is too expensive”."""
    wishes = list(order.wishes())
    if not wishes or not all(item.negated for item in wishes):
        return False
    return not any_has(order.items, role.VERB | role.CREATE_VERB | role.NOUN) and not _films(order)


def _is_picture(order: Segmentation, anchor: int) -> bool:
    """“make a kling image of a dog”."""
    asked = any_has(order.items[:anchor], role.VERB | role.CREATE_VERB)
    return asked and neighbour(order.items, anchor + 1).has(role.PICTURE) and not order.taken[anchor + 1]


_VERSION = 4
"""How far a version may reach from its name: "runway gen 4 turbo"."""


def _is_ordered(items: Sequence[Item], at: int) -> bool:
    """Whether this name stands where the maker of the clip is named."""
    before = neighbour(items, at - 1)
    if before.has(BREAK | role.FILLER | role.VERB | role.CREATE_VERB | role.PLEASE):
        return True
    end = at + 1
    while end - at < _VERSION and neighbour(items, end).has(role.RIVAL | role.NUMBER):
        end += 1
    after = neighbour(items, end)
    return not before.has(WORD) and (after.has(role.NOUN | role.WISH | role.PARTICLE) or after.sign == tok.COLON)


def _opens_with_picture(items: Sequence[Item]) -> bool:
    """“make an image of a dog”."""
    for at, item in enumerate(items):
        if item.has(role.PICTURE):
            return neighbour(items, at + 1).has(role.LINK)
        if not item.has(role.VERB | role.CREATE_VERB | role.ARTICLE | role.FILLER | role.PLEASE) and item.end:
            break
    return False
