"""Tokens to items: the longest phrases the manifest knows, then what they mean together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from mcp_server.language import attachments, context_rules, measures, spending_limit, typos
from mcp_server.language import roles as role
from mcp_server.language import tokens as tok
from mcp_server.language.item import BREAK, ORDER, WORD, Entry, Item
from mcp_server.language.lexicon import Lexicon
from mcp_server.language.tokens import Token


def itemise(found: Sequence[Token], lexicon: Lexicon) -> list[Item]:
    """Everything the text says, in order, with what it could mean."""
    items, said = _match(found, lexicon)
    for needed, rule in _RULES:
        if said & needed:
            rule(items, lexicon)
    return items


_ANYTHING: Final = -1
_RULES: Final[tuple[tuple[int, Callable[[list[Item], Lexicon], None]], ...]] = (
    (role.NUMBER, typos.correct_units),
    (role.NAME | role.NUMBER, measures.merge_measures),
    (role.SHOT | role.SHOT_LIST, measures.mark_shots),
    (role.LIMIT, spending_limit.merge_limits),
    (role.COUNTED, measures.note_counts),
    (_ANYTHING, context_rules.silence_compounds),
    (_ANYTHING, context_rules.bind_labels),
    (_ANYTHING, attachments.bind_objects),
    (WORD, typos.correct_words),
    (_ANYTHING, context_rules.silence_by_neighbours),
    (role.CORRECTION | context_rules.NEGATION, context_rules.join_corrections),
    (context_rules.NEGATION, context_rules.apply_negations),
    (role.CHOICE, context_rules.keep_choices),
    (_ANYTHING, attachments.take_attachments),
)
"""What the words mean together: each rule, in this order, if one of the roles it is about occurs at all."""
_PIECES: Final = 60
"""Nobody writes an order as one word of more: "1a1a1a…" is one strange word."""
_BREAKS: Final = frozenset((tok.CLAUSE, tok.COLON, tok.SENTENCE, tok.OPENING, tok.CLOSING))


def _match(found: Sequence[Token], lexicon: Lexicon) -> tuple[list[Item], int]:
    """The items of these tokens, and all the roles that occur."""
    items: list[Item] = []
    at = said = 0
    while at < len(found):
        token = found[at]
        step = at + 1
        if found[min(at + _PIECES, len(found) - 1)].glued and _word_end(found, at, _PIECES) == at + _PIECES:
            step = _word_end(found, at, len(found))
            item = Item(token.start, found[step - 1].end, WORD, first=token.key)
        elif token.kind in _BREAKS:
            item = Item(token.start, token.end, BREAK, first=token.key)
            item.sign = token.kind
        elif token.kind == tok.ADDRESS:
            item = attachments.named_file(token, items, lexicon)
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
        said |= item.roles
        items.append(item)
        at = step
    return items, said


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
    end = _word_end(found, at, lexicon.depth)
    within = glued and before and before[-1].has(WORD)
    torn = longest[1] > end and (within or longest[0].first_word > end - at)
    return lexicon.longest(found, at, end) if torn else longest


def _word_end(found: Sequence[Token], at: int, most: int) -> int:
    end = at + 1
    while end < len(found) and found[end].glued and end - at < most:
        end += 1
    return end


def _without_last_word(
    found: Sequence[Token], at: int, longest: tuple[Entry, int], lexicon: Lexicon
) -> tuple[Entry, int]:
    """A name of several words, without its last one where that begins something else."""
    entry, end = longest
    if end - at < 2 or end >= len(found) or not entry.roles & role.NAME or found[end - 1].glued:
        return longest
    other = lexicon.longest(found, end - 1)
    # "kling master file" is not "kling master".
    begins = other is not None and other[1] > end and bool(other[0].roles & role.WISH)
    shorter = lexicon.longest(found, at, end - 1) if begins or _counts(found, end - 1, lexicon) else None
    return shorter or longest


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
    item = Item(token.start, token.end, WORD, first=token.key)
    assert named is not None  # the scan asked the same table
    item.wish(named.sets, role.STANDALONE, "after_preposition")
    item.roles |= role.NAME
    return item
