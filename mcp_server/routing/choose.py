"""Which offers are asked, and which of the priced ones is taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.domain.quote import Quote, Route
from mcp_server.domain.request import Misfit, VideoRequest
from mcp_server.domain.words import TIERS
from mcp_server.errors import NoOfferError

SHOWN = 3
"""How many near misses a refusal names."""


def candidates(request: VideoRequest, catalog: Catalog) -> Iterator[tuple[Offer, ...]]:
    """Groups of offers in the order to ask them; the first group with a fit is the one to choose from.

    A named model, a vendor's own id or "cheapest" make one group; else the models people mean come first.
    """
    pool = [offer for offer in catalog.offers if _in_question(request, offer)]
    if request.model is not None or request.vendor_model is not None or request.prefer == "cheapest":
        yield tuple(pool)
        return
    mode = request.mode or "text-to-video"
    ranked = sorted(
        (model for model in catalog.models.values() if mode in model.preference),
        key=lambda model: model.preference[mode],
    )
    for model in ranked:
        yield tuple(offer for offer in pool if offer.model == model.id)


def _in_question(request: VideoRequest, offer: Offer) -> bool:
    ids = (offer.vendor_model, offer.vendor_model_audio)
    return (
        (request.mode is None or offer.mode == request.mode)
        and (request.provider is None or offer.provider == request.provider)
        and (request.model is None or offer.model == request.model)
        and (request.vendor_model is None or request.vendor_model in ids)
        and (request.tier is None or offer.tier == request.tier)
        and offer.tier not in request.not_tiers
    )


def choose(request: VideoRequest, quotes: Sequence[Quote], misfits: Sequence[Misfit], catalog: Catalog) -> Route:
    """The lowest known price, or the best tier where that was wished; NoOfferError when nothing fits."""
    if not quotes:
        raise _nobody(request, misfits)
    order = {name: place for place, name in enumerate(catalog.providers)}

    def price(quote: Quote) -> tuple[int, Decimal]:
        if quote.usd is not None:
            return 0, quote.usd
        if quote.usd_at_most is not None:
            return 1, quote.usd_at_most
        return 2, Decimal(0)

    def rank(quote: Quote) -> tuple[object, ...]:
        offer = quote.checked.offer
        tier = TIERS.index(offer.tier)
        best_first = -tier if request.prefer == "best" else 0
        return best_first, *price(quote), tier, order[offer.provider]

    ranked = sorted(quotes, key=rank)
    taken = ranked[0]
    return Route(
        quote=taken,
        because=_because(request, taken, len(quotes)),
        alternatives=tuple(ranked[1:]),
        dropped=tuple((misfit.offer.id, misfit.problems[0]) for misfit in misfits),
    )


def _because(request: VideoRequest, taken: Quote, fitting: int) -> str:
    offer = taken.checked.offer
    what = f"{offer.provider} {offer.model} {offer.tier} {offer.mode}"
    if request.provider is not None:
        why = "the provider that was named"
    elif fitting == 1:
        why = "the only offer that can do all of this"
    elif request.prefer == "best":
        why = f"the highest tier of {fitting} offers that fit"
    elif taken.usd is not None:
        why = f"the lowest known price of {fitting} offers that fit"
    else:
        why = f"first of {fitting} offers that fit; no price is known for any of them"
    return f"{what}: {why} ({taken.arithmetic})"


def _nobody(request: VideoRequest, misfits: Sequence[Misfit]) -> NoOfferError:
    near = sorted(misfits, key=lambda misfit: len(misfit.problems))[:SHOWN]
    problems = tuple(dict.fromkeys(problem for misfit in near for problem in misfit.problems))
    if not problems:
        wished = (request.provider, request.vendor_model or request.model, request.tier, request.mode)
        words = " ".join(part for part in wished if part)
        return NoOfferError(
            f"Nobody sells {words or 'this'}",
            next_step="list_models shows what is sold; leave out the provider, model or tier, or name another",
        )
    return NoOfferError(
        f"Nobody sells exactly this: {problems[0]}",
        problems=problems,
        next_step="Change what `problems` name; the first line is the nearest thing sold",
    )
