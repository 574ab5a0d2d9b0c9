"""A user's own words, read as wishes: deterministic, without a model and without the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp_server.domain.catalog import Catalog
from mcp_server.domain.request import Match, Wishes
from mcp_server.language import roles as role
from mcp_server.language import tokens
from mcp_server.language.clauses import clause_start
from mcp_server.language.item import BREAK, Item, any_has, neighbour
from mcp_server.language.lexicon import Lexicon, lexicon
from mcp_server.language.matcher import itemise
from mcp_server.language.refusal import refusal
from mcp_server.language.scene import scene_of
from mcp_server.language.segmentation import Segmentation
from mcp_server.language.strong_words import strong_words

_EXCLUDABLE = frozenset(("tier", "model", "provider"))
"""Fields that "not this one" says enough about to order by."""


_Said = tuple[str, Any, Item]
"""A field, the value some words ask for, and those words."""


def read(
    text: str, *, catalog: Catalog, folder: Path | None = None, named: bool = False, beside_scene: bool = False
) -> Wishes:
    """What these words ask for, which words asked for what, and what is left as the prompt.

    `named`: that a Kling clip is wanted is known, so that the words need not say it; `beside_scene`: what it shall show
    is said elsewhere.
    """
    own = tokens.composed(text)
    order = _order(own, lexicon(catalog, folder), named=named)
    refused = refusal(order, own)
    if (refused is not None and refused.asks) or (refused is None and beside_scene and order.is_instruction()):
        order.take_everything()
    wishes = _wishes(order, own)
    if refused is None:
        return wishes
    return replace(wishes, prompt="", negative_prompt=None, shots=(), **refused._asdict())


def read_scene(text: str, *, catalog: Catalog, beside_request: bool, folder: Path | None = None) -> Wishes:
    """What a scene orders all the same: all that is said where it begins like an order or names Kling beside a wish,
    else a length, a shape or sound in clauses of their own at its end. Beside a request, only the former counts.
    """
    own = tokens.composed(text)
    order = _order(own, lexicon(catalog, folder), named=True)
    if refusal(order, own) is None and order.is_order():
        return _wishes(order, own)
    order.keep_certain(nothing=beside_request)
    return _wishes(order, own)


def _wishes(order: Segmentation, text: str) -> Wishes:
    media = order.take_media(text)
    scene = scene_of(order, text)
    unread = tuple(strong_words(order.items, order.taken, text, order.lexicon))
    return _WishBuilder(order, text).wishes({**scene, **media, "unread": unread})


def _order(text: str, table: Lexicon, *, named: bool) -> Segmentation:
    items = itemise(table.tokeniser.tokens(tokens.plain(text), table.names.is_id), table)
    if named and not any_has(items, role.NAME):
        # As if the text began with "kling, ": beside the name far more would be an order than in a clause of its own.
        comma = Item(0, 0, BREAK)
        comma.sign = tokens.CLAUSE
        items = [Item(0, 0, role.NAME), comma, *items]
    return Segmentation(items, table)


class _WishBuilder:
    """What all the words say, field by field."""

    def __init__(self, order: Segmentation, text: str) -> None:
        self.text = text
        self.said: list[_Said] = []
        self.ruled_out: defaultdict[str, list[Any]] = defaultdict(list)
        self.ruled_words: dict[str, str] = {}
        """Field → words that exclude a value of it, where exclusion is not enough to order by."""
        self.complaints: defaultdict[str, list[str]] = defaultdict(list)
        self.notes: list[tuple[str, str]] = []
        """What to say of words that choose nothing, with the field they leave open; it may be settled elsewhere."""
        mended: set[str] | None = None
        """After a word of correction, up to the end of its clause: the fields said anew there."""
        for at, (item, taken) in enumerate(zip(order.items, order.taken, strict=True)):
            if taken and item.has(role.WISH):
                fields = {field for field, _ in item.sets}
                self._enter(item, corrected=(mended is not None and not fields & mended) or _corrects(order.items, at))
                mended = None if mended is None else mended | fields
            elif taken and (item.roles | item.entry.roles) & role.CORRECTION:
                mended = set()
            elif mended and item.has(BREAK):
                mended = None

    def wishes(self, beside: Mapping[str, Any]) -> Wishes:
        """Agreed fields as wishes, the others as contradictions; `beside`: what is no word of an order."""
        fields: dict[str, Any] = {}
        for field in dict.fromkeys(field for field, _, _ in self.said):
            own = [one for one in self.said if one[0] == field]
            top = max(item.weight for _, _, item in own)
            best = [(value, f"“{self._words(item)}”") for _, value, item in own if item.weight == top]
            value = best[0][0]
            if any(other != value for other, _ in best):
                said = dict.fromkeys(words for _, words in best)
                self.complaints[field].append(f"the words ask for more than one `{field}`: {' and '.join(said)}")
            elif value in self.ruled_out.get(field, ()):
                self.complaints[field].append(f"“{value}” is both asked for and ruled out")
            elif field not in self.complaints:
                fields[field] = value
        self._settle_height(fields)
        for field, words in self.ruled_words.items():
            if field not in fields:
                self.complaints[field].append(f"“{words}” rules out, but the words do not say what to take instead")
        matched = tuple(
            Match(words=self._words(item), start=item.start, field=field, value=_plain(value))
            for field, value, item in sorted(self.said, key=lambda one: one[2].start)
            if fields.get(field) == value
        )
        sentences = (sentence for found in self.complaints.values() for sentence in found)
        return Wishes(
            **fields,
            **beside,
            not_tiers=self._excluded("tier"),
            not_models=self._excluded("model"),
            not_providers=self._excluded("provider"),
            matched=matched,
            notes=tuple(dict.fromkeys(note for field, note in self.notes if field not in fields)),
            contradictions=tuple(dict.fromkeys(sentences)),
            unsettled=tuple(self.complaints),
        )

    def _enter(self, item: Item, *, corrected: bool) -> None:
        words = self._words(item)
        if item.complaint:
            self.complaints[item.about].append(item.complaint)
        if item.note:
            self.notes.append((item.entry.about, f"“{words}”: {item.note}"))
        for field, value in item.sets:
            if corrected:
                self.said = [one for one in self.said if one[0] != field]
            if not item.negated:
                self.said.append((field, value, item))
            elif field in _EXCLUDABLE:
                self.ruled_out[field].append(value)
            elif field == "audio":
                self.said.append((field, not value, item))
            elif field not in ("off_peak", "prefer"):
                self.ruled_words[field] = words

    def _settle_height(self, fields: dict[str, Any]) -> None:
        """4K is a tier and a height of picture at once; another height beside it cannot be meant."""
        height = fields.get("resolution")
        if fields.get("tier") == "4k" and height is not None:
            for field in ("tier", "resolution"):
                self.complaints[field].append(f"the words ask for 4K and for {height}")
                del fields[field]

    def _excluded(self, field: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(self.ruled_out.get(field, ())))

    def _words(self, item: Item) -> str:
        return self.text[item.start : item.end]


def _corrects(items: Sequence[Item], at: int) -> bool:
    """“10s, make it 5s actually”: the word of correction closes the clause that corrects."""
    if not neighbour(items, at + 1).has(role.CORRECTION) or not neighbour(items, at + 2).has(BREAK):
        return False
    return any_has(items[clause_start(items, at) : at], role.VERB)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
