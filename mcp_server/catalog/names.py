"""Whatever a model, a vendor or a vendor's own id is called, made from the catalog's facts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.domain.vocabulary import TIERS
from mcp_server.errors import ArgumentError

_OWN_NAME = re.compile(r"^kling[\s-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """What a name fixes: our model, and for a vendor's own id whatever else the id decides."""

    sets: tuple[tuple[str, Any], ...]


class Names:
    """The catalog's names, by the spelling people use."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._general: dict[str, str] = {}
        """A name everybody uses for a model, lower case → our id for it."""
        for model in catalog.models.values():
            for name in (model.id, model.name, *model.aliases):
                self._general[name.casefold()] = model.id
        self._vendors = _vendor_ids(catalog.offers)
        self._folded = {vendor_id.casefold(): vendor_id for vendor_id in self._vendors}

    def is_id(self, text: str) -> bool:
        """Whether this run of signs is an id, not words joined by hyphens."""
        return self.named(text) is not None

    def named(self, text: str) -> Named | None:
        """What an id fixes. A vendor's id that is also the model's general name names the model only."""
        folded = text.casefold()
        spelled = self._folded.get(folded)
        if folded in self._catalog.models:
            return Named((("model", folded),))
        general = self._general.get(folded)
        # `Kling-3.0-Omni` is one vendor's spelling; `kling-3.0-omni` is what everybody calls it.
        if spelled is not None and (general is None or text == spelled != folded):
            return self._vendors[spelled]
        if general is not None and "-" in text:
            return Named((("model", general),))
        return None

    def model(self, text: str) -> Named | None:
        """What somebody means who writes this where a model is asked for."""
        named = self.named(text.strip())
        if named is None and (general := self._general.get(" ".join(text.casefold().split()))):
            return Named((("model", general),))
        return named

    def certain_model(self, text: str) -> Named:
        """The same, or the refusal that names the nearest there is."""
        named = self.model(text)
        if named is None:
            said = without_kling(" ".join(text.casefold().split()))
            if said in ("", *TIERS):
                raise ArgumentError(
                    f"{text!r} is no model" + (f": {said} is a tier" if said else ""),
                    next_step=f"Leave `model` out{f' and set `tier` to {said}' if said else ''}",
                )
            near = get_close_matches(text.casefold(), (*self._catalog.models, *self._vendors), n=1)
            raise ArgumentError(
                f"There is no model {text!r}",
                next_step=f"Did you mean {near[0]!r}?" if near else "list_models shows what there is",
            )
        return named

    def certain_provider(self, name: str | None, *others: str) -> None:
        """Refuses what is neither a vendor nor one of the others, and names the nearest there is."""
        known = (*self._catalog.providers, *others)
        if name is None or name in known:
            return
        near = get_close_matches(name.lower(), known, n=1)
        raise ArgumentError(
            f"There is no provider {name!r}",
            next_step=f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}",
        )

    def phrases(self) -> Iterable[tuple[str, str]]:
        """`kling 3.0 turbo` → our model id."""
        return ((phrase, model) for phrase, model in self._general.items() if "(" not in phrase)

    def short_phrases(self) -> Iterable[tuple[str, str]]:
        """The same without "kling", where what is left can only be a version: `v3`, `o3`, `2.5 turbo`, `omni`."""
        for phrase, model in self.phrases():
            short = without_kling(phrase)
            if short != phrase and (
                re.search(r"\d\.\d|[ov]\d", short) or short in ("omni", "turbo", "3 omni", "3 turbo")
            ):
                yield short, model

    def providers(self) -> Iterable[tuple[str, str]]:
        """A vendor by its id and by the name it gives itself, or by what else it is called."""
        for provider in self._catalog.providers.values():
            for name in provider.spoken or (provider.id, provider.name):
                yield name, provider.id


_made: tuple[Catalog, Names] | None = None


def names(catalog: Catalog) -> Names:
    """The names in this catalog; made when first asked for, and kept."""
    global _made
    if _made is None or _made[0] is not catalog:
        _made = (catalog, Names(catalog))
    return _made[1]


def without_kling(phrase: str) -> str:
    """What a model's name says beyond "kling"."""
    return _OWN_NAME.sub("", phrase)


def _vendor_ids(offers: Iterable[Offer]) -> Mapping[str, Named]:
    """Each vendor's own id → what all offers behind it have in common."""
    behind: dict[str, list[tuple[Offer, bool | None]]] = {}
    for offer in offers:
        by_id = offer.audio == "by-model-id"
        if offer.vendor_model:
            behind.setdefault(offer.vendor_model, []).append((offer, False if by_id else None))
        if offer.vendor_model_audio:
            behind.setdefault(offer.vendor_model_audio, []).append((offer, True))
    return {vendor_id: Named(_common(vendor_id, found)) for vendor_id, found in behind.items()}


def _common(vendor_id: str, found: list[tuple[Offer, bool | None]]) -> tuple[tuple[str, Any], ...]:
    # An id that names its mode is ordered for that mode, whatever else takes the same id.
    own = [pair for pair in found if pair[0].mode in vendor_id.casefold()] or found
    sets: list[tuple[str, Any]] = [("vendor_model", vendor_id)]
    for field in ("model", "tier", "mode", "provider"):
        values = {getattr(offer, field) for offer, _ in own}
        if len(values) == 1:
            sets.append((field, values.pop()))
    sounds = {sound for _, sound in own}
    if len(sounds) == 1 and (sound := sounds.pop()) is not None:
        sets.append(("audio", sound))
    return tuple(sets)
