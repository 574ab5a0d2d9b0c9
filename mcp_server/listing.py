"""What can be bought, as an answer: grouped and short, or offer by offer."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

from mcp_server import pricing
from mcp_server.domain.answers import ModelGroup, ModelLine, Models
from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.validation import spans


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
    """Offers that match every filter; with `detail` their limits and rates."""
    wanted = {"provider": provider, "model": model, "tier": tier, "mode": mode}
    found = [
        offer
        for offer in catalog.offers
        if all(value is None or getattr(offer, name) == value for name, value in wanted.items())
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
        price="; ".join(pricing.rates(offer, catalog.prices, day)),
        has_key=has_key,
        not_sold_because=offer.not_sold_because,
        notes=list(offer.notes),
    )


def _hint(found: Collection[Offer]) -> str:
    if not found:
        return "Nothing matches these filters; leave one out."
    return "estimate_cost prices one clip exactly."
