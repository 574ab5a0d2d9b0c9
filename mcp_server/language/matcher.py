"""Tokens to items: the longest phrases the manifest knows, then what they mean together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from mcp_server.language import attachments, context_rules, measures, spending_limit, typos
from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, MEASURE_WEIGHT, ORDER, WORD, Entry, Item
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.tokens import Token


def itemise(found: Sequence[Token], lexicon: Lexicon) -> list[Item]:
    """Everything the text says, in order, with what it could mean."""
    items = measures.merge_unknown_versions(_match(found, lexicon), lexicon)
    typos.correct_units(items, lexicon)
    items = measures.merge_measures(items, lexicon)
    items = measures.mark_shots(items)
    items = spending_limit.merge_limits(items, lexicon)
    measures.note_counts(items)
    context_rules.silence_compounds(items)
    items = context_rules.bind_labels(items)
    attachments.bind_objects(items, lexicon)
    typos.correct_words(items, lexicon)
    context_rules.silence_by_neighbours(items, lexicon)
    context_rules.apply_negations(items)
    context_rules.keep_choices(items)
    attachments.take_attachments(items)
    return items


_BREAKS: Final = frozenset((tok.CLAUSE, tok.COLON, tok.SENTENCE, tok.OPENING, tok.CLOSING))


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
            item = _vendor_id(token, lexicon)
        elif (longest := _longest(found, at, items, lexicon)) is not None:
            entry, step = _without_last_word(found, at, longest, lexicon)
            roles = entry.roles if entry.roles & ORDER else entry.roles | WORD
            item = Item(token.start, found[step - 1].end, roles, entry=entry, first=token.key)
            if token.kind == tok.NUMBER and step == at + 1:
                item.roles |= role.NUMBER
        else:
            item = _unknown(token)
        item.glued = token.glued
        items.append(item)
        at = step
    return items


def _unknown(token: Token) -> Item:
    """What no phrase of the manifests begins with."""
    if token.kind in (tok.RATIO, tok.SIZE):
        return measures.shape(token)
    roles = role.NUMBER | WORD if token.kind == tok.NUMBER else WORD
    if token.kind == tok.MARK and not token.key.isalnum() and token.key != "%":
        roles = role.FILLER
    return Item(token.start, token.end, roles, first=token.key)


def _longest(found: Sequence[Token], at: int, before: Sequence[Item], lexicon: Lexicon) -> tuple[Entry, int] | None:
    """What starts within a strange word ends with it: "사무라이 영상" has no "이 영상" in it.

    And no Korean word has a space in it: "프로로 고양이가" has no "로고", though "5초로 충분해" has "로 충분해".
    """
    longest, glued = lexicon.longest(found, at), found[at].glued
    if longest is None or longest[1] - at < 2 or not (glued or "\uac00" <= found[at].key[:1] <= "\ud7a3"):
        return longest
    end = _word_end(found, at, lexicon)
    within = glued and before and before[-1].has(WORD)
    torn = longest[1] > end and (within or longest[0].first_word > end - at)
    return lexicon.longest(found, at, end) if torn else longest


def _word_end(found: Sequence[Token], at: int, lexicon: Lexicon) -> int:
    end = at + 1
    while end < len(found) and found[end].glued and end - at < lexicon.depth:
        end += 1
    return end


def _without_last_word(
    found: Sequence[Token], at: int, longest: tuple[Entry, int], lexicon: Lexicon
) -> tuple[Entry, int]:
    """A name of several words, without its last one where that begins something else."""
    entry, end = longest
    if end - at < 2 or end >= len(found) or not entry.roles & role.NAME or found[end - 1].glued:
        return longest
    if _begins_wish(found, end - 1, lexicon) or _counts(found, end - 1, lexicon):
        return lexicon.longest(found, at, end - 1) or longest
    return longest


def _begins_wish(found: Sequence[Token], at: int, lexicon: Lexicon) -> bool:
    """“kling master file” is not “kling master”."""
    longest = lexicon.longest(found, at)
    return longest is not None and longest[1] > at + 1 and bool(longest[0].roles & role.WISH)


def _counts(found: Sequence[Token], at: int, lexicon: Lexicon) -> bool:
    """“kling 3 cats” counts cats, as “kling 3 seconds” does seconds."""
    number, counted = found[at], found[at + 1]
    if number.kind != tok.NUMBER or "." in number.key:
        return False
    if counted.kind == tok.NUMBER and counted.glued:
        return True
    if counted.key.isascii() and len(counted.key) > 3 and counted.key.endswith(lexicon.plurals):
        return True
    longest = lexicon.longest(found, at + 1)
    return longest is not None and bool(longest[0].roles & (role.UNIT | role.RATIO_JOIN | role.RANGE_JOIN))


def _vendor_id(token: Token, lexicon: Lexicon) -> Item:
    named = lexicon.names.named(token.key)
    item = Item(token.start, token.end, role.NAME | role.WISH, first=token.key)
    assert named is not None  # the scan asked the same table
    item.sets = named.sets
    item.weight, item.scope = MEASURE_WEIGHT, role.STANDALONE
    item.closes = "after_preposition"
    return item
