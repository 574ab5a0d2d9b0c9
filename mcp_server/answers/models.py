"""What can be bought, as an answer: grouped and short, or offer by offer."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from mcp_server.answers.shapes import ModelGroup, ModelLine, Models, Rate
from mcp_server.catalog.names import names
from mcp_server.catalog.prices import in_force, rates
from mcp_server.domain.access import Access
from mcp_server.domain.catalog import Catalog, Offer, Price, spans
from mcp_server.domain.money import plain
from mcp_server.domain.vocabulary import SANDBOX


def models(
    catalog: Catalog,
    *,
    signed_in: Access,
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
        lines = [line(offer, catalog, has_key=signed_in.reaches(offer), day=day) for offer in found]
        return Models(providers=keys, offers=lines, next_step=_hint(found))
    grouped = groups(found)
    return Models(providers=keys, models=grouped, next_step=_hint(found, shown=any(group.sold_by for group in grouped)))


def groups(found: Iterable[Offer]) -> list[ModelGroup]:
    """Every offer under its model, tier and mode: by whom it is sold, and by whom it is only listed."""
    made: dict[tuple[str, str, str], tuple[list[str], list[str]]] = {}
    for offer in found:
        sellers = made.setdefault((offer.model, offer.tier, offer.mode), ([], []))
        sellers[bool(offer.not_sold_because)].append(offer.provider)
    return [
        ModelGroup(model=model, tier=tier, mode=mode, sold_by=sold, only_listed_by=listed)
        for (model, tier, mode), (sold, listed) in made.items()
    ]


def line(offer: Offer, catalog: Catalog, *, has_key: bool, day: date) -> ModelLine:
    """One offer with its limits and its rate in force."""
    return ModelLine(
        offer=offer.id,
        provider=offer.provider,
        model=offer.model,
        tier=offer.tier,
        mode=offer.mode,
        vendor_model=offer.vendor_model,
        durations=f"{spans(offer.durations)} s" if offer.durations else offer.duration_note,
        seconds=list(offer.durations),
        aspect_ratios=list(offer.aspect_ratios),
        resolutions=list(offer.resolutions),
        audio=offer.audio,
        takes=sorted(offer.takes - {"prompt"}),
        price="; ".join(rates(offer, catalog.prices, day)),
        rates=[_rate(price) for price in in_force(offer, catalog.prices, day)],
        has_key=has_key,
        not_sold_because=offer.not_sold_because,
        notes=[*filter(None, (catalog.models[offer.model].farewell,)), *offer.notes],
    )


def _rate(price: Price) -> Rate:
    return Rate(
        per=price.unit,
        currency=price.currency,
        silent=plain(price.silent),
        audio=plain(price.audio),
        silent_at_most=plain(price.silent_at_most),
        audio_at_most=plain(price.audio_at_most),
        when=dict(price.when),
        effective_from=price.effective_from.isoformat(),
    )


def _goes_by(offer: Offer, fixed: dict[str, Any]) -> bool:
    vendors_own = fixed.get("vendor_model", offer.vendor_model)
    return fixed.get("model", offer.model) == offer.model and vendors_own in (
        offer.vendor_model,
        offer.vendor_model_audio,
    )


def _hint(found: Collection[Offer], *, shown: bool = True) -> str:
    if not found:
        return "Nothing matches these filters; leave one out."
    if not shown:
        reasons = dict.fromkeys(f"{offer.provider}: {offer.not_sold_because}" for offer in found)
        return f"This is listed and cannot be ordered here: {'; '.join(reasons)}."
    return "estimate_cost prices one clip exactly."
