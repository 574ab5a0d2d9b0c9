"""Which offers are asked, which of the priced ones is taken, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from mcp_server.domain.catalog import Catalog, Model, Offer
from mcp_server.domain.money import money
from mcp_server.domain.quote import Quote, Route
from mcp_server.domain.request import Misfit, VideoRequest
from mcp_server.domain.vocabulary import TIERS
from mcp_server.errors import NoOfferError, RequestError

SHOWN = 3
"""How many near misses a refusal names."""


def candidates(request: VideoRequest, catalog: Catalog) -> Iterator[tuple[Offer, ...]]:
    """Groups of offers in the order to ask them; the first group with a fit is the one to choose from.

    A named model, a vendor's own id or "cheapest" make one group. Else the models people mean by "kling" come
    first, one by one, and all the others last: they are asked only for what no such model can do. Some models are asked
    by their name alone, and so is whatever Kling ended.
    """
    named = request.model is not None or request.vendor_model is not None
    seller = request.provider
    offers = [offer for offer in catalog.offers if seller in (None, offer.provider)]
    alone = seller is not None and all(catalog.models[offer.model].by_name for offer in offers)
    pool = [
        offer
        for offer in offers
        if _in_question(request, offer) and (named or _unasked(catalog.models[offer.model], alone=alone))
    ]
    if named or request.prefer == "cheapest":
        yield tuple(pool)
        return
    mode = request.mode or "text-to-video"
    ranked = sorted(
        (model for model in catalog.models.values() if mode in model.preference),
        key=lambda model: model.preference[mode],
    )
    for model in ranked:
        yield tuple(offer for offer in pool if offer.model == model.id)
    meant = {model.id for model in ranked}
    yield tuple(offer for offer in pool if offer.model not in meant)


def _unasked(model: Model, *, alone: bool) -> bool:
    """Whether it is asked without its name; a vendor that is named and has no other model is asked for what it has."""
    return (alone or not model.by_name) and model.ended is None


def _in_question(request: VideoRequest, offer: Offer) -> bool:
    wanted = request.vendor_model
    return (
        (request.mode is None or offer.mode == request.mode)
        and (request.provider is None or offer.provider == request.provider)
        and (request.model is None or offer.model == request.model)
        and (
            wanted is None or wanted.casefold() in (offer.vendor_model.casefold(), offer.vendor_model_audio.casefold())
        )
        and (request.tier is None or offer.tier == request.tier)
        and offer.tier not in request.not_tiers
        and offer.model not in request.not_models
        and offer.provider not in request.not_providers
    )


def choose(
    request: VideoRequest,
    quotes: Sequence[Quote],
    misfits: Sequence[Misfit],
    catalog: Catalog,
    *,
    signed_in: bool = True,
) -> Route:
    """The lowest known price, or the best tier where that was wished; NoOfferError when nothing fits.

    Whoever has no key and named no vendor is told what fails, not which vendor says so.
    """
    if not quotes:
        raise _nobody(request, misfits, catalog, to_nobody=not signed_in and request.provider is None)
    # Who is known to do it goes before who may.
    listed = [quote for quote in quotes if not quote.checked.unlisted]
    passed = [quote for quote in quotes if listed and quote.checked.unlisted]
    order = {name: place for place, name in enumerate(catalog.providers)}

    def rank(quote: Quote) -> tuple[object, ...]:
        offer = quote.checked.offer
        tier = TIERS.index(offer.tier)
        best_first = -tier if request.prefer == "best" else 0
        return best_first, *quote.price_rank, tier, order.get(offer.provider, len(order))

    ranked = sorted(listed or quotes, key=rank)
    return Route(
        quote=ranked[0],
        because=_because(request, ranked),
        dropped=(
            *((quote.checked.offer.id, "; ".join(quote.checked.warnings)) for quote in passed),
            *((misfit.offer.id, "; ".join(misfit.problems)) for misfit in misfits),
        ),
        warnings=tuple(filter(None, (catalog.models[ranked[0].checked.offer.model].farewell,))),
    )


def _because(request: VideoRequest, ranked: Sequence[Quote]) -> str:
    """One sentence: what was taken, by which rule, at which price, and what came next."""
    taken, fitting = ranked[0], len(ranked)
    # Where nobody named a model, only the one that "kling" means was asked: others may do it too, and for less.
    asked = {quote.checked.offer.model for quote in ranked}
    chosen_for_them = not (request.model or request.vendor_model or request.prefer == "cheapest")
    offers = f"{asked.pop()} offer" if chosen_for_them and len(asked) == 1 else "offer"
    if fitting == 1:
        why = f"the only {offers} at hand that can do all of this"
    elif request.prefer == "best":
        why = f"the highest tier of {fitting} {offers}s that can do this"
    elif taken.price_rank[0] == 2:
        why = f"the first of {fitting} {offers}s that can do this, none with a known price"
    else:
        bound = "price" if taken.usd is not None else "upper bound of a price"
        why = f"the lowest known {bound} of {fitting} {offers}s that can do this"
    if request.provider is not None:
        why += f" at {request.provider}, as asked"
    if request.tier is None and request.vendor_model is None and request.prefer != "best":
        why += "; no tier was named"
    following = ""
    if fitting > 1 and (price := _sum(ranked[1])):
        at = "" if price.startswith("at most") else "at "
        following = f"; next would be {ranked[1].checked.offer.id} {at}{price}"
    return f"{taken.checked.offer.id}: {why} ({taken.arithmetic}{following})"


def _sum(quote: Quote) -> str:
    if quote.usd is not None:
        return money(quote.usd, "USD")
    return f"at most {money(quote.usd_at_most, 'USD')}" if quote.usd_at_most is not None else "an unknown price"


def _nobody(
    request: VideoRequest, misfits: Sequence[Misfit], catalog: Catalog, *, to_nobody: bool = False
) -> RequestError:
    """Which part fails, and the nearest thing that is sold."""
    if not misfits:
        return _not_in_catalog(request, catalog)
    # An offer nobody can order is no advice, however little else speaks against it.
    sold = [misfit for misfit in misfits if not misfit.offer.not_sold_because]
    if not sold:
        return _not_in_catalog(request, catalog, (misfits[0].offer.not_sold_because,))
    near = sorted(sold, key=lambda misfit: (len(misfit.problems), _seconds_away(request, misfit.offer)))
    nearest = near[0]
    if nearest.missing == ("prompt",) and len(nearest.problems) == 1:
        return _no_words(request, nearest.offer)
    why = "; ".join(nearest.problems)
    if to_nobody:
        offer = nearest.offer
        why = why.replace(f"{offer.provider} {offer.model} {offer.tier}", f"{offer.model} {offer.tier}")
    if len(nearest.missing) == len(nearest.problems):
        return RequestError(
            f"Something is missing: {why}",
            problems=nearest.problems,
            next_step="Give it, or ask for something that does without",
        )
    problems = tuple(dict.fromkeys(problem for misfit in near[:SHOWN] for problem in misfit.problems))
    return NoOfferError(
        f"Nobody sells exactly this: {why}",
        problems=problems,
        # What was asked for by its own name is not near to itself.
        next_step=f"Change that: there is {described(nearest.offer)}"
        if _in_question(request, nearest.offer)
        else f"Nearest is {described(nearest.offer)}",
        details={"nearest": nearest.offer.id},
    )


def _no_words(request: VideoRequest, offer: Offer) -> RequestError:
    """The refusal of an order without a prompt: what goes in may be a scene already, and is wanted in words, too."""
    if any(getattr(request, name) for name in ("image", "video", "audio_file", "references", "source_task")):
        return RequestError(
            f"There are no words for this {offer.mode}: {offer.provider} wants a `prompt` beside what goes in",
            next_step="Say in `prompt`, or after a colon in the words, what shall happen with it",
        )
    return RequestError(
        "No scene was named, so there is nothing to film",
        next_step="Say what shall be seen, in `prompt` or after a colon in the words",
    )


def _seconds_away(request: VideoRequest, offer: Offer) -> int:
    if request.duration is None or not offer.durations:
        return 0
    return min(abs(seconds - request.duration) for seconds in offer.durations)


def _not_in_catalog(request: VideoRequest, catalog: Catalog, why: tuple[str, ...] = ()) -> NoOfferError:
    """No such combination that can be ordered: the first part that, left out, makes it one that is sold."""
    for part in ("tier", "not_tiers", "provider", "not_providers", "vendor_model", "model", "not_models", "mode"):
        if not getattr(request, part):
            continue
        wider = replace(request, **{part: () if part.startswith("not_") else None})
        found = [offer for offer in catalog.offers if _in_question(wider, offer) and not offer.not_sold_because]
        if found:
            nearest = min(found, key=lambda offer: _steps_away(request, offer))
            return NoOfferError(
                f"Nobody sells {_wished(request)}",
                why="; ".join((f"the {part.replace('_', ' ').removeprefix('not ')} is what fails", *why)),
                next_step=f"Nearest is {described(nearest)}",
                details={"fails": part, "nearest": nearest.id},
            )
    return NoOfferError(
        f"Nobody sells {_wished(request)}",
        why="; ".join(why),
        next_step="list_models shows what is sold; name less, or something else",
    )


def _steps_away(request: VideoRequest, offer: Offer) -> int:
    return abs(TIERS.index(offer.tier) - TIERS.index(request.tier)) if request.tier else 0


def _wished(request: VideoRequest) -> str:
    named = (request.provider, request.vendor_model or request.model, request.tier, request.mode)
    words = [part for part in named if part]
    without = (*request.not_tiers, *request.not_models, *request.not_providers)
    if without:
        words.append(f"without {' or '.join(without)}")
    return " ".join(words) or "this"


def described(offer: Offer) -> str:
    """An offer with its limits, for "nearest is …"."""
    limits: list[str] = []
    if offer.durations:
        low, high = min(offer.durations), max(offer.durations)
        whole = len(offer.durations) == high - low + 1
        seconds = f"{low} to {high}" if whole and high > low else " or ".join(map(str, offer.durations))
        limits.append(f"{seconds} seconds")
    if offer.aspect_ratios:
        limits.append(", ".join(offer.aspect_ratios))
    if offer.resolutions:
        limits.append(", ".join(offer.resolutions))
    if offer.audio in ("always", "never"):
        limits.append("always with sound" if offer.audio == "always" else "always silent")
    return f"{offer.id} ({'; '.join(limits)})" if limits else offer.id
