"""A plan written out: the paid call, checked down to the vendor's schema, and its local media. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

from mcp_server.answers.tasks import quote_answer
from mcp_server.domain.vocabulary import CHOICES
from mcp_server.ordering import vendor_schema
from mcp_server.providers import callback_reader, media_inputs, wire
from mcp_server.routing.words import ANY_FILE
from mcp_server.tasks.store.base import NewTask

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Cost
    from mcp_server.domain.catalog import Provider
    from mcp_server.domain.quote import Quote
    from mcp_server.domain.request import CheckedRequest
    from mcp_server.domain.task import LocalMedium
    from mcp_server.ordering.plan import Plan
    from mcp_server.providers.base import HttpCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One order as it can be shown, agreed to and bought: the same plan, the same price, the same call."""

    task_id: str
    plan: Plan
    call: HttpCall
    local_media: tuple[LocalMedium, ...] = ()
    variations: tuple[tuple[str, HttpCall], ...] = ()
    """Id and call of every further clip of the same order."""

    @property
    def simulated(self) -> bool:
        return self.plan.simulated

    @property
    def total(self) -> Cost:
        """The price of all that is ordered at once."""
        return self.plan.total

    @property
    def most_usd(self) -> Decimal | None:
        """What all of it can cost at most; None when nobody knows."""
        return self.plan.most_usd

    def new_tasks(self, *, output_dir: str, owner: str, agreed: bool) -> tuple[NewTask, ...]:
        """Everything the record keeps of the order: a row for each clip, under a key of its own."""
        first = self._new_task(output_dir=output_dir, owner=owner, agreed=agreed)
        keys = self.plan.arguments.keys or (None,) * (1 + len(self.variations))
        others = zip(self.variations, keys[1:], strict=True)
        return first, *(replace(first, id=task_id, call=call, idempotency_key=key) for (task_id, call), key in others)

    def _new_task(self, *, output_dir: str, owner: str, agreed: bool) -> NewTask:
        plan, arguments = self.plan, self.plan.arguments
        checked, offer, quote = plan.checked, plan.offer, plan.quote
        return NewTask(
            id=self.task_id,
            provider=offer.provider,
            simulated=plan.simulated,
            offer_id=offer.id,
            model=offer.model,
            tier=offer.tier,
            mode=offer.mode,
            prompt=checked.prompt or " / ".join(shot.prompt for shot in checked.request.shots),
            # Off-peak orders have no deadline, whether an argument or the words said so.
            request=arguments.given() | ({"off_peak": True} if plan.request.off_peak else {}),
            request_digest=arguments.digest,
            call=self.call,
            route=plan.route.because,
            warnings=plan.warnings,
            quote=quote_answer(quote).facts(),
            quote_amount=quote.amount,
            quote_currency=quote.currency,
            quote_usd=quote.usd,
            reserve_usd=Decimal(0) if plan.simulated else quote.most_usd,
            allow_unknown_price=agreed,
            idempotency_key=arguments.idempotency_key,
            owner=owner,
            output_dir=output_dir,
            ordered=_ordered(checked),
            local_media=self.local_media,
        )


def load() -> None:
    """Import what checks a body: a tenth of a second, which whoever serves others spends elsewhere."""
    vendor_schema.load()


async def draft(plan: Plan, facts: Provider, *, task_ids: Sequence[str], buying: bool) -> Draft:
    """The plan written out; to buy it, local media are looked at now, and handed over once the order is recorded."""
    local_media: tuple[LocalMedium, ...] = ()
    if not buying or all(kind == "https" for kind in plan.given.values()):
        calls = [paid_call(plan.quote, plan.given, facts, key=task_id) for task_id in task_ids]
    else:
        from mcp_server.providers.local_media import with_placeholders

        request, local_media = await with_placeholders(plan.request, plan.given, facts, task_ids[0])
        checked = replace(plan.checked, request=request)
        calls = [_checked_call(checked, facts, key=task_id) for task_id in task_ids]
    if buying and plan.posts_to:
        calls = [_posting(call, facts, plan.posts_to, task_id) for call, task_id in zip(calls, task_ids, strict=True)]
    others = tuple(zip(task_ids[1:], calls[1:], strict=True))
    return Draft(task_id=task_ids[0], plan=plan, call=calls[0], local_media=local_media, variations=others)


def paid_call(quote: Quote, given: Mapping[str, media_inputs.Kind], facts: Provider, *, key: str) -> HttpCall:
    """The paid call of a quote, with an address in the place of every local medium."""
    local = {place: ANY_FILE for place, kind in given.items() if kind != "https"}
    request = media_inputs.placed(quote.checked.request, local)
    return _checked_call(replace(quote.checked, request=request), facts, key=key)


def _checked_call(checked: CheckedRequest, facts: Provider, *, key: str) -> HttpCall:
    """The call with the caller's own fields merged in and the vendor's schema satisfied."""
    call = wire(facts).submit(checked, key=key)
    options = checked.request.options
    vendor_schema.check_options(call.json, options, checked.offer)
    body = vendor_schema.merge_options(call.json, options)
    vendor_schema.check_body(facts.id, call.schema, body)
    return replace(call, json=body)


def _posting(call: HttpCall, facts: Provider, address: str, task_id: str) -> HttpCall:
    """The call with the wish to be told of the end, under an address nobody can guess; the caller's own wish stands."""
    token = token_urlsafe(24)
    asked = callback_reader(facts).asked(call, f"{address}/callbacks/{facts.id}/{task_id}/{token}")
    if asked is None:
        return call
    vendor_schema.check_body(facts.id, asked.schema, asked.json)
    return replace(asked, callback=token)


def _ordered(checked: CheckedRequest) -> dict[str, Any]:
    """What the delivered file is held against."""
    facts = {
        **{name: getattr(checked, name) for name in CHOICES},
        "shots": len(checked.request.shots) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}
