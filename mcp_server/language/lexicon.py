"""The manifest and the catalog's own names, compiled once into one table of phrases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from mcp_server import places
from mcp_server.catalog.names import names, without_kling
from mcp_server.domain.catalog import Catalog
from mcp_server.language import roles as role
from mcp_server.language import tokens
from mcp_server.language.phrases import Entry, Pair, Set, endings, every, first_word, keys_of, phrase_keys
from mcp_server.language.tokens import Token

Manifest = Mapping[str, Any]
"""`skill/triggers.json`, parsed; `schemas/triggers.json` says what may stand in it."""

_LONGEST_ENDING: Final = 2


class Lexicon:
    """All phrases, and the small word lists the reader asks for by name."""

    def __init__(self, manifest: Manifest, catalog: Catalog) -> None:
        self.names = names(catalog)
        self._root: dict[str, Any] = {}
        self.depth = 1
        """Tokens of the longest phrase: nothing needs to be looked at further ahead."""
        self.pairs: list[Pair] = []
        self._compile(manifest)
        self._compile_names()
        name = manifest["name"]
        self.name_not_before = keys_of(name["not_before"])
        self.name_not_after = keys_of(name["not_after"])
        self.not_typos = keys_of(name["not_typos"])
        self.heard_as = keys_of(name["heard_as"])
        self.joins = keys_of(manifest["joins"])
        self._blocked = {field: endings(words) for field, words in manifest["blocked_before"].items()}
        self.closing = {field: keys_of(words) for field, words in manifest["closing_prepositions"].items()}
        self.longest_sold = max((max(offer.durations, default=0) for offer in catalog.offers), default=0)
        """Seconds; what is longer than anything sold is taken for an order only where it is surely one."""
        self.tier_words = _single_words(group for group in manifest["wishes"] if "tier" in group["sets"])
        self.shape_words = _long_words(manifest["wishes"], "aspect_ratio")
        self.unit_words = {
            key: unit["seconds"]
            for unit in manifest["units"]
            for phrase in every(unit["phrases"])
            for key in _slippery(phrase)
        }

    def longest(self, found: Sequence[Token], at: int, end: int | None = None) -> tuple[Entry, int] | None:
        """The longest phrase that starts at this token and stays before `end`, and the token after it."""
        node, best, index = self._root, None, at
        end = len(found) if end is None else end
        while index < end:
            step = node.get(found[index].key) if found[index].kind in _PHRASE_KINDS else None
            if step is None:
                break
            node, index = step, index + 1
            entry = node.get("")
            if entry is not None:
                best = (cast("Entry", entry), index)
        return best

    def blocks(self, field: str, before: Sequence[str]) -> bool:
        """Whether words that end like this make the measure after them part of the scene."""
        endings = self._blocked.get(field, frozenset())
        return any(tuple(before[-length:]) in endings for length in range(1, _LONGEST_ENDING + 1))

    def entry(self, phrase: str) -> Entry | None:
        """What exactly this phrase means."""
        node: Any = self._root
        for key in phrase_keys(phrase):
            node = node.get(key)
            if node is None:
                return None
        return node.get("")

    def _add(self, phrase: str) -> Entry:
        node, keys = self._root, phrase_keys(phrase)
        self.depth = max(self.depth, len(keys))
        for key in keys:
            node = node.setdefault(key, {})
        entry = cast("Entry", node.setdefault("", Entry()))
        word = first_word(phrase)
        entry.first_word = min(entry.first_word or word, word)
        return entry

    def _role(self, phrases: Iterable[str], meaning: int) -> None:
        for phrase in phrases:
            self._add(phrase).roles |= meaning

    def _compile(self, manifest: Manifest) -> None:
        for group in manifest["wishes"]:
            for phrase in every(group["phrases"]):
                self._add(phrase).wish(group)
        for group in manifest["unclear"]:
            for phrase in every(group["phrases"]):
                self._add(phrase).wish(group)
        self._role(every(manifest["name"]["phrases"]), role.NAME)
        self._role(manifest["name"]["near_misses"], role.NEAR_MISS)
        grammar = dict(manifest["grammar"])
        self.noun_not_before = keys_of(grammar.pop("noun_not_before"))
        for kind, phrases in grammar.items():
            self._role(every(phrases), _GRAMMAR[kind])
        self._role(every(manifest["negations"]["before"]), role.NOT_BEFORE)
        self._role(every(manifest["negations"]["after"]), role.NOT_AFTER)
        self._role(manifest["negations"]["within"], role.WITHIN)
        self._role(manifest["negations"]["joins"], role.NOT_JOIN)
        self._role(every(manifest["kept"]), role.KEPT)
        self._role(every(manifest["corrections"]), role.CORRECTION | role.SOFT)
        self._role(manifest["frame_rates"], role.FRAME_RATE)
        self._role(manifest["ratio_joins"], role.RATIO_JOIN)
        self._role(manifest["range_joins"], role.RANGE_JOIN)
        self._role(manifest["switches"]["on"], role.ON)
        self._role(manifest["switches"]["off"], role.OFF)
        self._role(manifest["shots"], role.SHOT)
        self._role(manifest["shot_lists"], role.SHOT_LIST | role.SOFT)
        self._role(every(manifest["choices"]), role.CHOICE)
        self._role(every(manifest["counted"]), role.COUNTED)
        for kind, phrases in manifest["money"].items():
            self._role(every(phrases), _MONEY[kind])
        for kind, phrases in manifest["handed_in"].items():
            self._role(every(phrases), _HANDED_IN[kind])
        for kind, phrases in manifest["refusals"].items():
            self._role(every(phrases), _REFUSALS[kind])
        self._compile_numbers(manifest)
        self._compile_pairs(manifest)

    def _compile_numbers(self, manifest: Manifest) -> None:
        for words in manifest["numbers"].values():
            for phrase, value in words.items():
                entry = self._add(phrase)
                entry.roles |= role.NUMBER
                entry.number = value
        for unit in manifest["units"]:
            for phrase in every(unit["phrases"]):
                entry = self._add(phrase)
                entry.roles |= role.UNIT
                entry.seconds = unit["seconds"]
        for field, phrases in manifest["labels"].items():
            for phrase in every(phrases):
                entry = self._add(phrase)
                entry.roles |= role.LABEL
                entry.label = (*entry.label, field)

    def _compile_pairs(self, manifest: Manifest) -> None:
        for index, group in enumerate(manifest["pairs"]):
            self.pairs.append(Pair(group))
            for phrase in every(group["verbs"]):
                entry = self._add(phrase)
                entry.verbs = (*entry.verbs, index)
            for phrase in every(group["objects"]):
                entry = self._add(phrase)
                entry.objects = (*entry.objects, index)
                if entry.roles == 0 and len(phrase_keys(phrase)) > 1:
                    entry.roles = role.SOFT

    def _compile_names(self) -> None:
        """Models and providers, as the catalog calls them."""
        for phrase, model in self.names.phrases():
            beyond = self.entry(without_kling(phrase))
            if beyond is not None and any(field == "mode" for field, _ in beyond.sets):
                # "kling avatar" asks for an avatar, whichever model makes one.
                continue
            entry = self._add(phrase)
            if not entry.roles & role.WISH:
                entry.wish({"sets": {"model": model}, "weight": 3, "scope": "edge", "closes": "after_preposition"})
                entry.roles |= role.NAME
        for phrase, model in self.names.short_phrases():
            entry = self._add(phrase)
            if not entry.roles & role.WISH:
                entry.wish({"sets": {"model": model}, "weight": 3, "scope": "zone"})
        for phrase, provider in self.names.providers():
            entry = self._add(phrase)
            entry.roles &= ~role.NAME
            entry.wish({"sets": {"provider": provider}, "weight": 3, "scope": "edge", "closes": "after_preposition"})


@cache
def manifest() -> Manifest:
    """The manifest that travels with the skill."""
    return cast("Manifest", json.loads((places.skill() / "triggers.json").read_text(encoding="utf-8")))


_compiled: tuple[Catalog, Manifest, Lexicon] | None = None


def lexicon(catalog: Catalog, source: Manifest | None = None) -> Lexicon:
    """The table for this catalog; compiled when it is first asked for, and kept."""
    global _compiled
    source = manifest() if source is None else source
    if _compiled is None or _compiled[0] is not catalog or _compiled[1] is not source:
        _compiled = (catalog, source, Lexicon(source, catalog))
    return _compiled[2]


_PHRASE_KINDS: Final = frozenset(
    (tokens.WORD, tokens.NUMBER, tokens.MARK, tokens.RATIO, tokens.CLAUSE, tokens.SENTENCE)
)
_GRAMMAR: Final = {
    "article": role.ARTICLE,
    "verb": role.VERB,
    "lead": role.LEAD,
    "noun": role.NOUN,
    "genre": role.GENRE,
    "link": role.LINK,
    "soft": role.SOFT,
    "please": role.PLEASE,
    "particle": role.PARTICLE,
}
_MONEY: Final = {"limits": role.LIMIT, "dollars": role.DOLLAR, "cents": role.CENT, "others": role.MONEY}
_HANDED_IN: Final = {"owned": role.OWNED, "media": role.MEDIUM, "persons": role.PERSON}
_REFUSALS: Final = {
    "rivals": role.RIVAL,
    "questions": role.QUESTION,
    "topics": role.TOPIC,
    "chores": role.CHORE,
    "states": role.STATE,
    "pictures": role.PICTURE,
}


def _slippery(phrase: str) -> list[str]:
    """The one word of a phrase, if it is long enough for a slip of the finger to be told from another word."""
    keys = phrase_keys(phrase)
    return keys if len(keys) == 1 and len(keys[0]) > 5 and keys[0].isascii() and keys[0].isalpha() else []


def _long_words(groups: Iterable[Mapping[str, Any]], field: str) -> dict[str, tuple[Set, ...]]:
    found: dict[str, tuple[Set, ...]] = {}
    for group in groups:
        if field in group["sets"]:
            found |= {
                key: tuple(group["sets"].items()) for phrase in every(group["phrases"]) for key in _slippery(phrase)
            }
    return found


def _single_words(groups: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Words of one piece that name a tier outright: the ones a slip of the finger is forgiven in."""
    found: dict[str, str] = {}
    for group in groups:
        for phrase in every(group["phrases"]):
            keys = phrase_keys(phrase)
            if group["weight"] > 1 and len(keys) == 1 and keys[0].isascii() and keys[0].isalpha():
                found[keys[0]] = group["sets"]["tier"]
    return found
