"""The manifests and the catalog's own names, compiled once into one table of phrases."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from mcp_server import places
from mcp_server.catalog.names import names, without_kling
from mcp_server.domain.catalog import Catalog
from mcp_server.language import roles as role
from mcp_server.language import tokens
from mcp_server.language.item import Entry, Set
from mcp_server.language.tokens import Token, Tokeniser

_LONGEST_ENDING: Final = 2
LONG: Final = 5
"""Shorter words are one edit away from too many others."""


class Manifests(NamedTuple):
    """The two files of words, parsed; `schemas/` says what may stand in them."""

    triggers: Mapping[str, Any]
    """`triggers.json`: phrases and the wishes they stand for."""
    grammar: Mapping[str, Any]
    """The languages of `grammar.json`: what people say around such phrases, or without ordering anything."""

    @classmethod
    def of(cls, folder: Path) -> Manifests:
        """The files as they are in this folder."""
        read = (json.loads((folder / name).read_text(encoding="utf-8")) for name in ("triggers.json", "grammar.json"))
        triggers, grammar = read
        return cls(triggers, grammar["languages"])

    def words(self, kind: str) -> Iterable[str]:
        """One list of the grammar, in every language."""
        return chain.from_iterable(block.get(kind, ()) for block in self.grammar.values())

    def parts(self, kind: str) -> Iterable[tuple[str, Any]]:
        """The same for a list that has parts: each with its name."""
        return chain.from_iterable(block.get(kind, {}).items() for block in self.grammar.values())


class Lexicon:
    """All phrases, and the small word lists the reader asks for by name."""

    def __init__(self, manifests: Manifests, catalog: Catalog) -> None:
        self.names = names(catalog)
        self.tokeniser = Tokeniser(manifests.words("elision"), manifests.words("possessive"))
        self._root: dict[str, Any] = {}
        self.depth = 1
        """Tokens of the longest phrase: nothing needs to be looked at further ahead."""
        self.pairs: Sequence[Mapping[str, Any]] = manifests.triggers["pairs"]
        """A verb and its object that mean something together: "animate" … "photo"."""
        self.media = {"image": Entry(), "video": Entry(), "audio_file": Entry()}
        """What an address or a file is to a verb: "animate cat.png" has the object that "animate this photo" has."""
        self._compile_wishes(manifests.triggers)
        self._compile_grammar(manifests)
        self._compile_pairs(manifests.triggers)
        self._compile_names()
        self.firsts = {kind: self.tokeniser.first_keys(manifests.words(kind)) for kind in _FIRSTS}
        """Lists of which the first word decides."""
        blocking = manifests.words("blocked_before")
        self._blocking = frozenset(tuple(self.tokeniser.phrase(phrase)[0]) for phrase in blocking)
        self.plurals = tuple(manifests.words("plural"))
        self._collect_typos(manifests)
        unasked = (offer for offer in catalog.offers if not catalog.models[offer.model].by_name)
        self.longest_sold = max((max(offer.durations, default=0) for offer in unasked), default=0)
        """Seconds of a clip whose model nobody names; what is longer is an order only where it is surely one."""

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

    def blocks(self, before: Sequence[str]) -> bool:
        """Whether words that end like this make the measure after them part of the scene."""
        return any(tuple(before[-length:]) in self._blocking for length in range(1, _LONGEST_ENDING + 1))

    def entry(self, phrase: str) -> Entry | None:
        """The meaning of exactly this phrase; None when it has none."""
        node: Any = self._root
        for key in self.tokeniser.phrase(phrase)[0]:
            node = node.get(key)
            if node is None:
                return None
        return node.get("")

    def _add(self, phrase: str) -> Entry:
        node = self._root
        keys, first_word = self.tokeniser.phrase(phrase)
        self.depth = max(self.depth, len(keys))
        for key in keys:
            node = node.setdefault(key, {})
        entry = cast("Entry", node.setdefault("", Entry()))
        entry.first_word = min(entry.first_word or first_word, first_word)
        return entry

    def _compile_wishes(self, triggers: Mapping[str, Any]) -> None:
        for group in chain(triggers["wishes"], triggers["unclear"]):
            not_before = self.tokeniser.first_keys(group.get("not_before", ()))
            for phrase in _every(group["phrases"]):
                self._add(phrase).wish(group, not_before)
        for phrase in _every(triggers["name"]):
            self._add(phrase).roles |= role.NAME

    def _compile_grammar(self, manifests: Manifests) -> None:
        for kind, meaning in role.LISTS.items():
            for phrase in manifests.words(kind):
                self._add(phrase).roles |= meaning
        for phrase, seconds in manifests.parts("lengths"):
            self._add(phrase).wish({"sets": {"duration": seconds}, "weight": 3, "scope": "clause", "closes": "bare"})
        for phrase, number in manifests.parts("numbers"):
            self._worth([phrase], role.NUMBER, number)
        for kind, meaning in (("units", role.UNIT), ("money", role.MONEY), ("switch", role.SWITCH)):
            for value, phrases in manifests.parts(kind):
                self._worth(phrases, meaning, int(value))
        for field, phrases in manifests.parts("labels"):
            for phrase in phrases:
                entry = self._add(phrase)
                entry.roles |= role.LABEL
                entry.label = (*entry.label, field)
        for block in manifests.grammar.values():
            self._mark_final_verbs(block)

    def _worth(self, phrases: Iterable[str], meaning: int, value: int) -> None:
        for phrase in phrases:
            entry = self._add(phrase)
            entry.roles |= meaning
            entry.values[meaning] = value

    def _mark_final_verbs(self, block: Mapping[str, Any]) -> None:
        """Verbs of this language that can be a sentence's last word: all of them, or those with its ending."""
        last = block.get("verb_last", False)
        for phrase in chain.from_iterable(block.get(kind, ()) for kind in ("verb", "create_verb", "chore")):
            if last is True or (last and self.tokeniser.phrase(phrase)[0][0].endswith(last)):
                self._add(phrase).roles |= role.FINAL

    def _compile_pairs(self, triggers: Mapping[str, Any]) -> None:
        for index, group in enumerate(self.pairs):
            medium = group.get("of_media", "")
            thing = self.media.get(medium, Entry())
            thing.objects = (*thing.objects, index)
            for phrase in _every(group["verbs"]):
                entry = self._add(phrase)
                entry.verbs = (*entry.verbs, index)
            for phrase in chain(_every(triggers["media"].get(medium, {})), _every(group.get("objects", {}))):
                entry = self._add(phrase)
                entry.objects = (*entry.objects, index)
                if entry.roles == 0 and len(self.tokeniser.phrase(phrase)[0]) > 1:
                    entry.roles = role.FILLER

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
                entry.wish({"sets": {"model": model}, "weight": 3, "scope": "beside_name"})
        for phrase, provider in self.names.providers():
            entry = self._add(phrase)
            entry.roles &= ~role.NAME
            # "via replicate" brings its preposition along.
            closes = "bare" if " " in phrase else "after_preposition"
            entry.wish({"sets": {"provider": provider}, "weight": 3, "scope": "edge", "closes": closes})

    def _collect_typos(self, manifests: Manifests) -> None:
        """What a word that means nothing may have been meant to be."""
        self.name_words = [key for key in self._words(_every(manifests.triggers["name"])) if len(key) >= LONG]
        named = [group for group in manifests.triggers["wishes"] if group["weight"] > 1]
        self.tier_words = self._typed(named, "tier", LONG)
        self.shape_words = self._typed(manifests.triggers["wishes"], "aspect_ratio", LONG + 1)
        units = chain.from_iterable(phrases for _, phrases in manifests.parts("units"))
        self.unit_words = [key for key in self._words(units) if len(key) > LONG]
        self.tier_typos = self._listed_typos(manifests.parts("typos"))
        self.lone_typos = self._listed_typos(manifests.parts("lone_typos"))

    def _typed(self, groups: Iterable[Mapping[str, Any]], field: str, long: int) -> dict[str, tuple[Set, ...]]:
        """Words for this field that are long enough to be known by most of their letters, and what they ask for."""
        asking = [group for group in groups if field in group["sets"]]
        words = ((group, self._words(_every(group["phrases"]))) for group in asking)
        return {key: tuple(group["sets"].items()) for group, keys in words for key in keys if len(key) >= long}

    def _listed_typos(self, parts: Iterable[tuple[str, Sequence[str]]]) -> dict[str, tuple[Set, ...]]:
        """Words too short to be told by their distance → what the word asks for that they are typos of."""
        known = ((entry.sets, typos) for meant, typos in parts if (entry := self.entry(meant)))
        return {typo: sets for sets, typos in known for typo in typos}

    def _words(self, phrases: Iterable[str]) -> list[str]:
        """Phrases of one word in plain letters: the ones a typo can be told in."""
        keys = (self.tokeniser.phrase(phrase)[0] for phrase in phrases)
        return [found[0] for found in keys if len(found) == 1 and found[0].isascii() and found[0].isalpha()]


_compiled: tuple[Catalog, Path | None, Lexicon] | None = None


def lexicon(catalog: Catalog, folder: Path | None = None) -> Lexicon:
    """The table for this catalog and the manifests of this folder, or the shipped ones; compiled once, and kept."""
    global _compiled
    if _compiled is None or _compiled[0] is not catalog or _compiled[1] != folder:
        _compiled = (catalog, folder, Lexicon(Manifests.of(folder or places.skill()), catalog))
    return _compiled[2]


_FIRSTS: Final = (
    "asking", "closing", "decade", "end_frame", "heard_as", "indefinite", "join", "name_not_after", "name_not_before",
    "not_typo", "noun_not_before", "possessive", "purpose", "recipient", "version",
)  # fmt: skip
_PHRASE_KINDS: Final = frozenset(
    (tokens.WORD, tokens.NUMBER, tokens.MARK, tokens.RATIO, tokens.CLAUSE, tokens.SENTENCE)
)


def _every(phrases: Mapping[str, Sequence[str]]) -> Iterable[str]:
    """Phrases of all languages, one after the other."""
    return chain.from_iterable(phrases.values())
