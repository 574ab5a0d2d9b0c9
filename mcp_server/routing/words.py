"""A user's own words, read as wishes: deterministic, without a model and without the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp_server.domain.catalog import Catalog
from mcp_server.domain.request import Match, Wishes
from mcp_server.routing import lexicon as lex
from mcp_server.routing import tokens
from mcp_server.routing.items import itemise
from mcp_server.routing.leftover import Leftover, leftover
from mcp_server.routing.lexicon import Manifest, lexicon
from mcp_server.routing.refusal import refusal
from mcp_server.routing.zones import Order

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
}
_RULED_OUT = {"tier": "not_tiers", "model": "not_models", "provider": "not_providers"}


@dataclass(frozen=True, slots=True)
class _Said:
    """One value some words ask for."""

    field: str
    value: Any
    weight: int
    start: int
    end: int


def read(text: str, *, catalog: Catalog, manifest: Manifest | None = None) -> Wishes:
    """What these words ask for, which words asked for what, and what is left as the prompt."""
    table = lexicon(catalog, manifest)
    own = tokens.composed(text)
    items = itemise(tokens.tokenise(tokens.plain(own), table.names.is_id), table)
    order = Order(items, table)
    refused = refusal(order, own)
    if refused is not None:
        return Wishes(none=refused.why, bare=refused.bare)
    return _wishes(order, own, leftover(order, own))


def _wishes(order: Order, text: str, scene: Leftover) -> Wishes:
    said, ruled_out, complaints = _collect(order, text)
    fields: dict[str, Any] = {}
    fired: list[_Said] = []
    for field in dict.fromkeys(one.field for one in said):
        own = [one for one in said if one.field == field]
        top = max(one.weight for one in own)
        values = {one.value for one in own if one.weight == top}
        value = next(iter(values))
        if len(values) > 1:
            complaints.append(_clash(field, [one for one in own if one.weight == top], text))
        elif value in ruled_out.get(_RULED_OUT.get(field, ""), ()):
            complaints.append(f"“{value}” is both asked for and ruled out")
        else:
            fields[field] = value
            fired += [one for one in own if one.value == value]
    _settle_height(fields, complaints)
    return Wishes(
        **fields,
        **{name: tuple(dict.fromkeys(values)) for name, values in ruled_out.items()},
        prompt=scene.prompt,
        negative_prompt=scene.negative_prompt or None,
        shots=scene.shots,
        matched=tuple(
            Match(words=text[one.start : one.end], start=one.start, field=one.field, value=_plain(one.value))
            for one in sorted(fired, key=lambda one: one.start)
            if one.field in fields
        ),
        contradictions=tuple(dict.fromkeys(complaints)),
    )


def _collect(order: Order, text: str) -> tuple[list[_Said], dict[str, list[Any]], list[str]]:
    """What is asked for, what is ruled out, and what nobody could order."""
    said: list[_Said] = []
    ruled_out: dict[str, list[Any]] = {}
    complaints: list[str] = []
    corrected = False
    for item, taken in zip(order.items, order.taken, strict=True):
        corrected = corrected or (
            item.has(lex.SOFT) and item.entry is not None and item.entry.roles & lex.CORRECTION > 0
        )
        if not taken or not item.has(lex.WISH):
            continue
        if item.complaint:
            complaints.append(item.complaint)
        for field, value in item.sets:
            if not item.negated:
                if corrected:
                    said = [one for one in said if one.field != field]
                said.append(_Said(field, value, item.weight, item.start, item.end))
            elif field in _RULED_OUT:
                ruled_out.setdefault(_RULED_OUT[field], []).append(value)
            elif field == "audio":
                said.append(_Said(field, not value, item.weight, item.start, item.end))
            elif field not in ("off_peak", "prefer"):
                words = text[item.start : item.end]
                complaints.append(f"“{words}” is ruled out, but none of the other {_SAID[field]} is named")
        corrected = corrected and not item.sets
    return said, ruled_out, complaints


def _clash(field: str, said: list[_Said], text: str) -> str:
    words = list(dict.fromkeys(f"“{text[one.start : one.end]}”" for one in said))
    return f"the words ask for different {_SAID[field]}: {' and '.join(words)}"


def _settle_height(fields: dict[str, Any], complaints: list[str]) -> None:
    """4K is a tier and a height of picture at once; another height beside it cannot be meant."""
    height = fields.get("resolution")
    if fields.get("tier") == "4k" and height is not None:
        complaints.append(f"the words ask for 4K and for {height}")
        del fields["tier"], fields["resolution"]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
