"""From arguments to a plan: route -> check -> price -> choose, with nothing sent and nothing written.

Words are read here, once; a plan is everything that can be said of an order before its call is written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mcp_server.catalog.names import names
from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.domain.quote import Quote, Route
from mcp_server.domain.request import CheckedRequest, Misfit, VideoRequest, Wishes
from mcp_server.domain.task import plausible_job
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import NotAnOrderError, RequestError, UnknownTaskError
from mcp_server.ordering import pricing, validation
from mcp_server.providers import media_inputs
from mcp_server.providers.reading import not_rehearsable, not_signed_in
from mcp_server.routing import choose
from mcp_server.routing.request import most_of, request_from

if TYPE_CHECKING:
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One clip, routed, checked and priced: what would be bought, and why."""

    arguments: VideoArguments
    """What was said, as it came."""
    request: VideoRequest
    route: Route
    others: tuple[Quote, ...]
    """Every other offer that fits, of any model and from anybody, cheapest first, unknown prices last; to buy one,
    only those of the model it is chosen from are looked at."""
    given: Mapping[str, media_inputs.Kind]
    """How each picture, clip and recording comes."""
    simulated: bool
    max_cost_usd: Decimal | None
    """The most that may be spent, by argument or by the words."""
    warnings: tuple[str, ...]
    signed_in: frozenset[str]
    """Providers that had a key when this was planned."""

    @property
    def quote(self) -> Quote:
        return self.route.quote

    @property
    def checked(self) -> CheckedRequest:
        return self.route.quote.checked

    @property
    def offer(self) -> Offer:
        return self.route.quote.checked.offer


@dataclass(frozen=True, slots=True)
class SourceTask:
    """A finished task of ours that a new one builds on."""

    provider: str
    job_id: str
    simulated: bool
    id: str
    model: str


@dataclass
class Planner:
    """Turns arguments into plans with one user's keys and one day's prices."""

    settings: Settings
    catalog: Catalog

    @property
    def signed_in(self) -> frozenset[str]:
        """Providers with a key now: one may be stored or removed while a server runs."""
        return frozenset(
            facts.id
            for facts in self.catalog.providers.values()
            if self.settings.secret(facts.key_variable, facts.token_file)
        )

    def plan(
        self,
        arguments: VideoArguments,
        *,
        day: date,
        wishes: Wishes | None = None,
        source: SourceTask | None = None,
        buying: bool = True,
    ) -> Plan:
        """The route, or the refusal that says what to change; `wishes` are the words of `request`, read before."""
        request, max_cost_usd, notes = self._request(arguments, wishes or self.read(arguments), source)
        rehearsal = request.provider == SANDBOX
        names(self.catalog).certain_provider(request.provider, SANDBOX)
        if rehearsal:
            request = replace(request, provider=None)
        signed_in = self.signed_in
        unread = "" if rehearsal else self._unread()
        simulated = rehearsal or not signed_in or (source is not None and source.simulated)
        usable = frozenset(self.catalog.rehearsable) if simulated else signed_in
        if request.provider and request.provider not in usable:
            facts = self.catalog.providers[request.provider]
            if buying:
                raise not_rehearsable(facts) if simulated else not_signed_in(facts, why=unread)
            # What something costs can be asked of anybody.
            usable, simulated = usable | {facts.id}, False
        given = media_inputs.inspect(request, simulated=simulated)
        usable_quotes, other_quotes, misfits = self._shortlist(
            request, usable, given, day, simulated=simulated, whole=not buying
        )
        route = choose.choose(request, usable_quotes, misfits, self.catalog)
        fitting = sorted((*usable_quotes, *other_quotes), key=lambda quote: quote.price_rank)
        warnings = (unread, arguments.pasted, *notes, *route.quote.checked.warnings, *route.warnings)
        return Plan(
            arguments=arguments,
            request=request,
            route=route,
            others=tuple(quote for quote in fitting if quote is not route.quote),
            given=given,
            simulated=simulated,
            max_cost_usd=max_cost_usd,
            warnings=tuple(dict.fromkeys(filter(None, warnings))),
            signed_in=signed_in,
        )

    def read(self, arguments: VideoArguments) -> Wishes | None:
        """What the words of `request` wish; None where there are none."""
        if not (arguments.request or "").strip():
            return None
        from mcp_server.language import reader

        return reader.read(arguments.request or "", catalog=self.catalog)

    def _request(
        self, arguments: VideoArguments, wishes: Wishes | None, source: SourceTask | None
    ) -> tuple[VideoRequest, Decimal | None, tuple[str, ...]]:
        explicit: dict[str, Any] = arguments.given()
        explicit.pop("request", None)
        if source is not None:
            explicit["source_task"] = source.job_id
            if explicit.setdefault("provider", source.provider) not in (source.provider, SANDBOX):
                raise RequestError(
                    f"The clip of {arguments.source_task} was made by {source.provider}, "
                    f"and {explicit['provider']} does not have it",
                    next_step="Leave provider out, or give the clip's address in `video`",
                )
        request, notes = request_from(explicit, wishes, catalog=self.catalog)
        # A bare scene is no order by itself; whoever calls these tools with one means it as the prompt.
        if wishes is not None and wishes.none and not wishes.bare and not explicit.get("prompt"):
            raise NotAnOrderError(
                f"These words do not order a Kling video: {wishes.none}",
                next_step="Give the scene in `prompt`, or name Kling in `request`",
            )
        if request.source_task is not None and source is None:
            _vendors_own(request)
        elif source is not None:
            self._continuable(source, request)
        if request.options and not (request.provider or request.vendor_model):
            raise RequestError(
                "`options` are one vendor's own fields, but no provider is named",
                next_step="Name `provider`, or leave `options` out",
            )
        return request, most_of(explicit, wishes), notes

    def _continuable(self, source: SourceTask, request: VideoRequest) -> None:
        """Nothing, or the refusal of a clip that its vendor cannot build on so, with the way that is open."""
        offers = [
            offer
            for offer in self.catalog.offers
            if offer.provider == source.provider
            and offer.mode == request.mode
            and "source_task" in offer.takes
            and not offer.not_sold_because
        ]
        if any(not offer.source_models or source.model in offer.source_models for offer in offers):
            return
        name = self.catalog.providers[source.provider].name
        models = ", ".join(sorted({model for offer in offers for model in offer.source_models}))
        raise RequestError(
            f"{name} cannot build on task {source.id} in {request.mode}",
            why=f"there it is only sold for clips of {models}, and this one is {source.model}" if models else "",
            next_step=f"Go on from its last frame: `kling-video task {source.id} --last-frame` writes it, "
            "image-to-video takes it as `image`"
            if request.mode == "extend"
            else "Give the clip itself as `video`: get_task names its file and its address",
        )

    def _unread(self) -> str:
        trouble = self.settings.key_file.trouble
        return (
            f"{self.settings.credentials_file} cannot be read ({trouble}): keys in it are not used" if trouble else ""
        )

    def _shortlist(
        self,
        request: VideoRequest,
        usable: frozenset[str],
        given: Mapping[str, media_inputs.Kind],
        day: date,
        *,
        simulated: bool,
        whole: bool,
    ) -> tuple[list[Quote], list[Quote], list[Misfit]]:
        """Quotes to choose from, quotes only to compare with, and why the rest cannot; `whole` compares with all."""
        others: list[Quote] = []
        misfits: list[Misfit] = []
        groups = choose.candidates(request, self.catalog)
        for group in groups:
            quotes, unfit = self._priced(request, group, given, day)
            misfits += unfit
            mine = [quote for quote in quotes if quote.checked.offer.provider in usable]
            others += [quote for quote in quotes if quote.checked.offer.provider not in usable]
            if mine:
                for later in groups if whole else ():
                    others += self._priced(request, later, given, day)[0]
                return mine, others, misfits
            misfits += [_out_of_reach(quote.checked.offer, self.catalog, simulated=simulated) for quote in quotes]
        return [], [], misfits

    def _priced(
        self, request: VideoRequest, group: tuple[Offer, ...], given: Mapping[str, media_inputs.Kind], day: date
    ) -> tuple[list[Quote], list[Misfit]]:
        """What each of these offers would cost, and why the rest of them cannot."""
        quotes: list[Quote] = []
        misfits: list[Misfit] = []
        for offer in group:
            fit = self._check(request, offer, given)
            if isinstance(fit, Misfit):
                misfits.append(fit)
                continue
            quote = pricing.quote(fit, self.catalog.prices, day=day, usd_per_credit=self.settings.usd_per_credit)
            quotes.append(pricing.unsettled(quote, self.catalog.providers[offer.provider]))
        return quotes, misfits

    def _check(
        self, request: VideoRequest, offer: Offer, given: Mapping[str, media_inputs.Kind]
    ) -> CheckedRequest | Misfit:
        outcome = validation.check(request, offer)
        providers = self.catalog.providers
        refused = media_inputs.refused_by(providers[offer.provider], given, providers.values())
        if not refused:
            return outcome
        known = outcome.problems if isinstance(outcome, Misfit) else ()
        return Misfit(offer=offer, problems=(*known, *refused))


def _vendors_own(request: VideoRequest) -> None:
    """Nothing, or the refusal of a source that is no task here and cannot be a job of the vendor that is named."""
    named = request.provider or request.vendor_model
    if named and plausible_job(request.source_task or ""):
        return
    raise UnknownTaskError(
        f"There is no task {request.source_task!r} in this record to build on",
        why="a vendor's own job id is taken only with its `provider`" if not named else "and no vendor names a job so",
        next_step="list_tasks shows what there is; for a clip bought elsewhere name its `provider`, too",
    )


def _out_of_reach(offer: Offer, catalog: Catalog, *, simulated: bool) -> Misfit:
    facts = catalog.providers[offer.provider]
    missing = f"there is no key for {facts.name} ({facts.key_variable})"
    why = f"the sandbox cannot play {facts.name}, and {missing}" if simulated else missing
    return Misfit(offer=offer, problems=(f"{offer.id} fits, but {why}",))
