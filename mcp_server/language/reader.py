"""A user's own words, read as wishes: deterministic, without a model and without the network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp_server.domain.catalog import Catalog
from mcp_server.domain.request import Match, Wishes
from mcp_server.language import roles as role
from mcp_server.language import tokens
from mcp_server.language.clauses import clause_start
from mcp_server.language.item import BREAK, Item, any_has, neighbour
from mcp_server.language.lexicon import lexicon
from mcp_server.language.matcher import itemise
from mcp_server.language.refusal import refusal
from mcp_server.language.scene import Scene, scene_of
from mcp_server.language.segmentation import Segmentation

_SAID = {
    "tier": "tiers",
    "mode": "modes",
    "model": "models",
    "provider": "providers",
    "vendor_model": "models",
    "duration": "lengths",
    "aspect_ratio": "shapes",
    "resolution": "resolutions",
    "audio": "answers about sound",
    "off_peak": "answers about off-peak rendering",
    "prefer": "preferences",
    "max_cost_usd": "limits of price",
}
_EXCLUDABLE = frozenset(("tier", "model", "provider"))
"""Fields that "not this one" says enough about to order by."""


@dataclass(frozen=True, slots=True)
class _Said:
    """One value some words ask for."""

    field: str
    value: Any
    weight: int
    start: int
    end: int


def read(text: str, *, catalog: Catalog, folder: Path | None = None) -> Wishes:
    """What these words ask for, which words asked for what, and what is left as the prompt."""
    table = lexicon(catalog, folder)
    own = tokens.composed(text)
    order = Segmentation(itemise(table.tokeniser.tokens(tokens.plain(own), table.names.is_id), table), table)
    refused = refusal(order, own)
    if refused is not None:
        return Wishes(none=refused.why, bare=refused.bare, prompt=own.strip() if refused.bare else "")
    scene = scene_of(order, own)
    return _WishBuilder(order, own).wishes(scene)


class _WishBuilder:
    """What all the words say, field by field."""

    def __init__(self, order: Segmentation, text: str) -> None:
        self.text = text
        self.said: list[_Said] = []
        self.ruled_out: dict[str, list[Any]] = {}
        self.ruled_words: dict[str, str] = {}
        """Field → words that exclude a value of it, where exclusion is not enough to order by."""
        self.complaints: dict[str, list[str]] = {}
        self.notes: list[str] = []
        mended: set[str] | None = None
        """After a word of correction, up to the end of its clause: the fields said anew there."""
        for at, (item, taken) in enumerate(zip(order.items, order.taken, strict=True)):
            if taken and item.has(role.WISH):
                fields = {field for field, _ in item.sets}
                self._enter(item, corrected=(mended is not None and not fields & mended) or _corrects(order.items, at))
                mended = None if mended is None else mended | fields
            elif taken and _is_correction(item):
                mended = set()
            elif mended and item.has(BREAK):
                mended = None

    def wishes(self, scene: Scene) -> Wishes:
        """Agreed fields as wishes, the others as contradictions."""
        fields: dict[str, Any] = {}
        fired: list[_Said] = []
        for field in dict.fromkeys(one.field for one in self.said):
            best = self._strongest(field)
            values = {one.value for one in best}
            if len(values) > 1:
                self._complain(field, f"the words ask for different {_SAID[field]}: {self._quoted(best)}")
            elif best[0].value in self.ruled_out.get(field, ()):
                self._complain(field, f"“{best[0].value}” is both asked for and ruled out")
            elif field not in self.complaints:
                fields[field] = best[0].value
                fired += [one for one in self.said if one.field == field and one.value == best[0].value]
        self._settle_height(fields)
        for field, words in self.ruled_words.items():
            if field not in fields:
                self._complain(field, f"“{words}” rules out, but the words do not say what to take instead")
        return self._made(fields, fired, scene)

    def _made(self, fields: dict[str, Any], fired: list[_Said], scene: Scene) -> Wishes:
        matched = tuple(
            Match(words=self.text[one.start : one.end], start=one.start, field=one.field, value=_plain(one.value))
            for one in sorted(fired, key=lambda one: one.start)
            if one.field in fields
        )
        sentences = (sentence for found in self.complaints.values() for sentence in found)
        return Wishes(
            **fields,
            not_tiers=self._excluded("tier"),
            not_models=self._excluded("model"),
            not_providers=self._excluded("provider"),
            prompt=scene.prompt,
            negative_prompt=scene.negative_prompt or None,
            shots=scene.shots,
            matched=matched,
            notes=tuple(dict.fromkeys(self.notes)),
            contradictions=tuple(dict.fromkeys(sentences)),
            unsettled=tuple(self.complaints),
        )

    def _enter(self, item: Item, *, corrected: bool) -> None:
        words = self.text[item.start : item.end]
        if item.complaint:
            self._complain(item.about, item.complaint)
        if item.note:
            self.notes.append(f"“{words}”: {item.note}")
        for field, value in item.sets:
            if corrected:
                self.said = [one for one in self.said if one.field != field]
            if not item.negated:
                self.said.append(_Said(field, value, item.weight, item.start, item.end))
            elif field in _EXCLUDABLE:
                self.ruled_out.setdefault(field, []).append(value)
            elif field == "audio":
                self.said.append(_Said(field, not value, item.weight, item.start, item.end))
            elif field not in ("off_peak", "prefer"):
                self.ruled_words[field] = words

    def _strongest(self, field: str) -> list[_Said]:
        own = [one for one in self.said if one.field == field]
        top = max(one.weight for one in own)
        return [one for one in own if one.weight == top]

    def _settle_height(self, fields: dict[str, Any]) -> None:
        """4K is a tier and a height of picture at once; another height beside it cannot be meant."""
        height = fields.get("resolution")
        if fields.get("tier") == "4k" and height is not None:
            for field in ("tier", "resolution"):
                self._complain(field, f"the words ask for 4K and for {height}")
                del fields[field]

    def _excluded(self, field: str) -> tuple[Any, ...]:
        return tuple(dict.fromkeys(self.ruled_out.get(field, ())))

    def _complain(self, field: str, sentence: str) -> None:
        self.complaints.setdefault(field, []).append(sentence)

    def _quoted(self, said: list[_Said]) -> str:
        words = (f"“{self.text[one.start : one.end]}”" for one in said)
        return " and ".join(dict.fromkeys(words))


def _is_correction(item: Item) -> bool:
    return item.has(role.CORRECTION) or (item.entry is not None and bool(item.entry.roles & role.CORRECTION))


def _corrects(items: Sequence[Item], at: int) -> bool:
    """“10s, make it 5s actually”: the word of correction closes the clause that corrects."""
    if not neighbour(items, at + 1).has(role.CORRECTION) or not neighbour(items, at + 2).has(BREAK):
        return False
    return any_has(items[clause_start(items, at) : at], role.VERB)


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
