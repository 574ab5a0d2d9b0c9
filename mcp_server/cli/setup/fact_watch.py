"""`doctor --facts`: prices, models and limits held against what the vendors say of themselves today, for nothing.

What differs ends the command with 65: a fact here is wrong, and an order may cost or do something else than is shown.
A model or field that is only more than we know is a note.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mcp_server.cli.buy import live_prices
from mcp_server.cli.buy.live_prices import Live
from mcp_server.cli.setup.checks import Finding, bad
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import KlingError, RequestError

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Offer, Provider
    from mcp_server.ordering.plan import Plan
    from mcp_server.providers.base import HttpCall, Told
    from mcp_server.providers.transport import Transport
    from mcp_server.service import Service

ABOUT: Final = "facts"
_STEP: Final = "Update kling-video; if it is the newest, report what differs"
_SCENE: Final = "a paper boat"


async def look(service: Service) -> list[Finding]:
    """Every vendor that can be asked, one after the other."""
    from mcp_server.providers.transport import Transport

    transport = Transport(now=time.time)
    found: list[Finding] = []
    try:
        for facts in service.catalog.providers.values():
            found += await _vendor(service, transport, facts)
    finally:
        await transport.aclose()
        await service.close()
    return found


async def _vendor(service: Service, transport: Transport, facts: Provider) -> list[Finding]:
    if not (facts.live_facts or facts.live_prices):
        return [_note(facts.id, f"says nothing of itself; what is known of it is of {facts.checked.isoformat()}")]
    told, silent, unasked = await _told(service, transport, facts)
    rates, mute, more = await _rates(service, transport, facts)
    found = [*_differing(service, facts, told), *_costing(rates)]
    return [*found, *silent, *mute, _summary(service, facts, found, len(told) + len(rates), unasked + more)]


async def _told(service: Service, transport: Transport, facts: Provider) -> tuple[list[Told], list[Finding], int]:
    """The answers about models, what went wrong instead, and how many questions need a key that is not there."""
    if not facts.live_facts:
        return [], [], 0
    from mcp_server.providers import live_facts

    source = live_facts(facts)
    every = list(source.calls([offer for offer in _offers(service, facts) if not offer.not_sold_because]))
    calls = [call for call in every if call.public or facts.id in service.planner.signed_in]

    async def one(call: HttpCall) -> Told | KlingError:
        try:
            account = await service.account(facts.id, False)
            return source.read(facts, call, await transport.ask(account, call))
        except KlingError as error:
            return error

    answers = await asyncio.gather(*map(one, calls))
    errors = dict.fromkeys(answer.what for answer in answers if isinstance(answer, KlingError))
    told = [answer for answer in answers if not isinstance(answer, KlingError)]
    return told, [_note(facts.id, what) for what in errors], len(every) - len(calls)


async def _rates(service: Service, transport: Transport, facts: Provider) -> tuple[list[Live], list[Finding], int]:
    """What an example of each offer costs today, what went wrong instead, and how many could not be asked."""
    if not facts.live_prices:
        return [], [], 0
    offers = [offer for offer in _offers(service, facts) if not offer.not_sold_because]
    plans = [plan for offer in offers for plan in _examples(service, offer)]
    priced = {plan.offer.id for plan in plans}
    answers = await asyncio.gather(*(live_prices.one(service, transport, plan, plan.quote) for plan in plans))
    said = [answer for answer in answers if not answer.trouble]
    mute: dict[str, list[str]] = {}
    for answer in answers:
        if answer.trouble:
            mute.setdefault(answer.trouble, []).append(answer.offer)
    notes = [_note(about[0], f"{what}{_and_more(len(about) - 1)}") for what, about in mute.items()]
    return said, notes, len(offers) - len(priced)


def _examples(service: Service, offer: Offer) -> Iterator[Plan]:
    """A plain order of this offer, silent and with sound where that can be chosen."""
    for audio in (False, True) if offer.audio == "choice" else (None,):
        prompt = _SCENE if "prompt" in offer.takes else None
        wish = VideoArguments(
            prompt=prompt, provider=offer.provider, model=offer.model, tier=offer.tier, mode=offer.mode, audio=audio
        )
        try:
            plan = service.planner.plan(wish, day=service.today, buying=False)
        except RequestError:
            # It takes something that no example has, such as an earlier task of one's own.
            continue
        # Where the rate is known and the sum is not, something of what goes in decides, which no example has.
        undecided = plan.quote.usd is None and (plan.quote.rate is not None or plan.quote.usd_at_most is not None)
        if plan.offer.id == offer.id and not undecided:
            yield plan


def _differing(service: Service, facts: Provider, told: Sequence[Told]) -> Iterator[Finding]:
    from mcp_server.ordering.fact_check import differences

    for one in differences(facts, service.catalog, told, service.today):
        name = f"{facts.id} {one.about}"
        yield _note(name, one.what) if one.news else bad(ABOUT, name, one.what, _STEP, RequestError.exit_code)


def _costing(rates: Iterable[Live]) -> Iterator[Finding]:
    for one in rates:
        said = one.sentence.removeprefix(f"{one.offer}: ")
        if one.agrees or one.usd is None:
            continue
        if one.table_usd is None:
            yield _note(one.offer, said)
        else:
            yield bad(ABOUT, one.offer, f"{said}, in force since {one.since}", _STEP, RequestError.exit_code)


def _summary(service: Service, facts: Provider, found: Sequence[Finding], asked: int, unasked: int) -> Finding:
    wrong = sum(finding.level == "bad" for finding in found)
    said = (
        f"{asked} answers; {wrong} facts here differ, {len(found) - wrong} are new" if asked else "nothing was answered"
    )
    if unasked and facts.id not in service.planner.signed_in:
        said += f"; {unasked} more could be asked with a key ({facts.key_variable})"
    elif unasked:
        said += f"; of {unasked} offers no example can be priced"
    return Finding(about=ABOUT, name=facts.id, level="good" if asked and not found else "note", what=said)


def _and_more(count: int) -> str:
    return f" (and for {count} more)" if count else ""


def _offers(service: Service, facts: Provider) -> list[Offer]:
    return [offer for offer in service.catalog.offers if offer.provider == facts.id]


def _note(name: str, what: str) -> Finding:
    return Finding(about=ABOUT, name=name, level="note", what=what)
