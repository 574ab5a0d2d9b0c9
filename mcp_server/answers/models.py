"""What can be bought, as an answer: grouped and short, or offer by offer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Any

from mcp_server.answers.shapes import ModelGroup, ModelLine, Models
from mcp_server.catalog.names import names
from mcp_server.catalog.prices import rates
from mcp_server.domain.catalog import Catalog, Offer, spans
from mcp_server.domain.vocabulary import SANDBOX


def models(
    catalog: Catalog,
    *,
    signed_in: Collection[str],
    day: date,
    provider: str | None,
    model: str | None,
    tier: str | None,
    mode: str | None,
    detail: bool,
) -> Models:
    """Offers that match every filter; with `detail` their limits and rates. A model goes by any of its names."""
    known = names(catalog)
    known.certain_provider(provider, SANDBOX)
    wanted = {"tier": tier, "mode": mode}
    wanted |= {"provider": provider} if provider != SANDBOX else {}
    fixed = dict(known.certain_model(model).sets) if model is not None else {}
    found = [
        offer
        for offer in catalog.offers
        if (provider != SANDBOX or catalog.providers[offer.provider].rehearsable)
        and all(value is None or getattr(offer, name) == value for name, value in wanted.items())
        and _goes_by(offer, fixed)
    ]
    keys = {name: "key set" if name in signed_in else "no key" for name in catalog.providers}
    if detail:
        lines = [line(offer, catalog, has_key=offer.provider in signed_in, day=day) for offer in found]
        return Models(providers=keys, offers=lines, next_step=_hint(found))
    groups: dict[tuple[str, str, str], list[str]] = {}
    for offer in found:
        if not offer.not_sold_because:
            groups.setdefault((offer.model, offer.tier, offer.mode), []).append(offer.provider)
    return Models(
        providers=keys,
        models=[ModelGroup(model=m, tier=t, mode=o, sold_by=sellers) for (m, t, o), sellers in groups.items()],
        next_step=_hint(found),
    )


def line(offer: Offer, catalog: Catalog, *, has_key: bool, day: date) -> ModelLine:
    """One offer with its limits and its rate in force."""
    return ModelLine(
        offer=offer.id,
        vendor_model=offer.vendor_model,
        durations=f"{spans(offer.durations)} s" if offer.durations else offer.duration_note,
        aspect_ratios=list(offer.aspect_ratios),
        resolutions=list(offer.resolutions),
        audio=offer.audio,
        takes=sorted(offer.takes - {"prompt"}),
        price="; ".join(rates(offer, catalog.prices, day)),
        has_key=has_key,
        not_sold_because=offer.not_sold_because,
        notes=list(offer.notes),
    )


def _goes_by(offer: Offer, fixed: dict[str, Any]) -> bool:
    vendors_own = fixed.get("vendor_model", offer.vendor_model)
    return fixed.get("model", offer.model) == offer.model and vendors_own in (
        offer.vendor_model,
        offer.vendor_model_audio,
    )


def _hint(found: Collection[Offer]) -> str:
    if not found:
        return "Nothing matches these filters; leave one out."
    return "estimate_cost prices one clip exactly."
