"""From arguments to a plan: route -> check -> price -> choose, with nothing sent and nothing written.

Words are read here, once; a plan is everything that can be said of an order before its call is written out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mcp_server.catalog.names import names
from mcp_server.domain.access import Access
from mcp_server.domain.catalog import Catalog, Offer
from mcp_server.domain.quote import Quote, Route
from mcp_server.domain.request import CheckedRequest, Match, Misfit, VideoRequest, Wishes
from mcp_server.domain.task import plausible_job
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import RequestError, UnknownTaskError
from mcp_server.ordering import pricing, validation
from mcp_server.ordering.earlier import Earlier, SourceTask
from mcp_server.providers import clip_length, media_inputs
from mcp_server.providers.key_pair import key_pair
from mcp_server.providers.network import is_loopback
from mcp_server.providers.reading import not_rehearsable, not_signed_in
from mcp_server.routing import choose, words
from mcp_server.routing.request import most_of, request_from

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.settings import KeyFile, Settings

_NOTHING: Final = Earlier()


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
    signed_in: Access
    """Providers that had a key when this was planned."""
    posts_to: str = ""
    """The address of ours below which the vendor may post how the job ends; empty where it shall not."""

    @property
    def quote(self) -> Quote:
        return self.route.quote

    @property
    def total(self) -> Cost:
        """The price of all that is ordered at once."""
        # Imported here: `route` plans without the shapes of answers.
        from mcp_server.answers.tasks import quote_answer, times

        return times(quote_answer(self.quote), self.arguments.clips)

    @property
    def most_usd(self) -> Decimal | None:
        """What all of it can cost at most; None when nobody knows."""
        each = self.quote.most_usd
        return None if each is None else each * self.arguments.clips

    @property
    def checked(self) -> CheckedRequest:
        return self.route.quote.checked

    @property
    def offer(self) -> Offer:
        return self.route.quote.checked.offer


@dataclass
class Planner:
    """Turns arguments into plans with one user's keys and one day's prices."""

    settings: Settings
    catalog: Catalog

    @property
    def signed_in(self) -> Access:
        """Providers with a key now, here or at the workers: one may be stored or removed while a server runs."""
        return self._signed_in(self.settings.key_file)

    def _signed_in(self, seen: KeyFile) -> Access:
        providers, settings = self.catalog.providers.values(), self.settings
        keyed = (facts.id for facts in providers if settings.secret(facts.key_variable, facts.token_file, seen=seen))
        return Access(
            keyed=frozenset(keyed) | settings.worker_providers,
            paired=frozenset(facts.id for facts in providers if key_pair(facts, settings, seen=seen)),
        )

    def plan(
        self,
        arguments: VideoArguments,
        *,
        day: date,
        wishes: Wishes | None = None,
        earlier: Earlier = _NOTHING,
        buying: bool = True,
    ) -> Plan:
        """The route, or the refusal that says what to change; `wishes` are the words of `request`, read before."""
        request, max_cost_usd, notes, unread = self._request(arguments, wishes, earlier, buying=buying)
        rehearsal = request.provider == SANDBOX
        names(self.catalog).certain_provider(request.provider, SANDBOX)
        if rehearsal:
            request = replace(request, provider=None)
        seen = self.settings.key_file
        signed_in = self._signed_in(seen)
        no_keys = "" if rehearsal else self._unread(seen)
        simulated = rehearsal or not signed_in or (earlier.source is not None and earlier.source.simulated)
        usable = Access(keyed=frozenset(self.catalog.rehearsable)) if simulated else signed_in
        if request.provider and request.provider not in usable:
            facts = self.catalog.providers[request.provider]
            if buying:
                raise not_rehearsable(facts) if simulated else not_signed_in(facts, why=no_keys)
            # What something costs can be asked of anybody.
            usable, simulated = replace(usable, keyed=usable.keyed | {facts.id}), False
        if earlier.simulated and not simulated:
            raise _test_picture(earlier.simulated[0])
        request, lacking = (request, ()) if buying else words.example(request)
        given = media_inputs.inspect(request, simulated=simulated)
        usable_quotes, other_quotes, misfits = self._shortlist(
            request, usable, given, day, simulated=simulated, whole=not buying
        )
        route = choose.choose(request, usable_quotes, misfits, self.catalog, signed_in=bool(signed_in))
        fitting = sorted((*usable_quotes, *other_quotes), key=lambda quote: quote.price_rank)
        left = words.unheard(unread, request, route.quote.checked)
        if lacking:
            left = (*left, f"the price is for any {' and '.join(lacking)}: to order it, give that, too")
        warnings = (no_keys, *arguments.notes, *notes, *left, *route.quote.checked.warnings, *route.warnings)
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
            posts_to=self._posts_to(route.quote.checked.offer.provider, simulated=simulated),
        )

    def _posts_to(self, provider: str, *, simulated: bool) -> str:
        """Where this vendor reaches us; the sandbox posts to nobody but this machine."""
        address, facts = self.settings.public_url, self.catalog.providers[provider]
        if address is None or not facts.callbacks:
            return ""
        from mcp_server.providers.callbacks import provable

        if simulated:
            return address if is_loopback(urlsplit(address).hostname or "") else ""
        return address if provable(facts, self.settings) else ""

    def wanted(self, arguments: VideoArguments) -> VideoRequest:
        """The whole request as arguments and words have it, whoever sells it."""
        return self._request(arguments, None, _NOTHING, buying=True)[0]

    def _request(
        self, arguments: VideoArguments, wishes: Wishes | None, earlier: Earlier, *, buying: bool
    ) -> tuple[VideoRequest, Decimal | None, tuple[str, ...], tuple[Match, ...]]:
        explicit: dict[str, Any] = {**arguments.given(), **earlier.media}
        explicit.pop("request", None)
        if wishes is None:
            wishes, scene = words.heard(arguments.request or "", arguments.prompt or "", self.catalog)
            if scene is not None:
                explicit["prompt"] = scene
        if wishes is not None:
            wishes = words.settled(wishes, prompt=arguments.prompt or "", buying=buying)
        source = earlier.source
        if source is not None:
            explicit["source_task"] = source.job_id
            if explicit.setdefault("provider", source.provider) not in (source.provider, SANDBOX):
                raise RequestError(
                    f"The clip of {arguments.source_task} was made by {source.provider}, "
                    f"and {explicit['provider']} does not have it",
                    next_step="Leave provider out, or give the clip's address in `video`",
                )
        request, notes = request_from(explicit, wishes, catalog=self.catalog, repeated=arguments.repeats_words)
        if request.source_task is not None and source is None:
            _vendors_own(request)
        elif source is not None:
            self._continuable(source, request)
        if request.options and not (request.provider or request.vendor_model):
            raise RequestError(
                "`options` are one vendor's own fields, but no provider is named",
                next_step="Name `provider`, or leave `options` out",
            )
        return request, most_of(explicit, wishes), notes, wishes.unread if wishes else ()

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
            next_step=f"Go on from its last frame: give {source.id} as `image` in its place "
            f"(`kling-video task {source.id} --last-frame` shows it)"
            if request.mode == "extend"
            else f"Give the clip itself: {source.id} as `video` in its place",
        )

    def _unread(self, seen: KeyFile) -> str:
        where, trouble = self.settings.credentials_file, seen.trouble
        return f"{where} cannot be read ({trouble}): keys in it are not used" if trouble else ""

    def _shortlist(
        self,
        request: VideoRequest,
        usable: Access,
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
            mine = [quote for quote in quotes if usable.reaches(quote.checked.offer)]
            others += [quote for quote in quotes if not usable.reaches(quote.checked.offer)]
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
        length = clip_length.seconds(request.video or "") if given.get("video") == "file" else None
        for offer in group:
            fit = self._check(request, offer, given)
            if isinstance(fit, Misfit):
                misfits.append(fit)
                continue
            if not offer.durations:
                fit = replace(fit, clip_seconds=length)
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


def _test_picture(task_id: str) -> RequestError:
    return RequestError(
        f"Task {task_id} is a simulation: its clip is a test picture, and this order would go to a vendor",
        next_step="Order that clip for real first, or rehearse this one, too, with provider=sandbox",
    )


def _out_of_reach(offer: Offer, catalog: Catalog, *, simulated: bool) -> Misfit:
    facts = catalog.providers[offer.provider]
    missing = f"there is no key for {facts.name} ({facts.key_variable})"
    why = f"the sandbox cannot play {facts.name}, and {missing}" if simulated else missing
    return Misfit(offer=offer, problems=(f"{offer.id} fits, but {why}",))
