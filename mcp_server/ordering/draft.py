"""A plan written out: the paid call, checked down to the vendor's schema, and its local media. Nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from mcp_server.answers.tasks import quote_answer
from mcp_server.domain.vocabulary import CHOICES
from mcp_server.ordering import vendor_schema
from mcp_server.providers import media_inputs, wire
from mcp_server.tasks.store.base import NewTask

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_server.domain.catalog import Provider
    from mcp_server.domain.quote import Quote
    from mcp_server.domain.request import CheckedRequest
    from mcp_server.domain.task import LocalMedium
    from mcp_server.ordering.plan import Plan
    from mcp_server.providers.base import HttpCall

_ELSEWHERE: Final = "https://example.com/file"
"""Where a local file would be once the vendor has it: an estimate looks at no file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One order as it can be shown, agreed to and bought: the same plan, the same price, the same call."""

    task_id: str
    plan: Plan
    call: HttpCall
    local_media: tuple[LocalMedium, ...] = ()

    @property
    def simulated(self) -> bool:
        return self.plan.simulated

    def new_task(self, *, output_dir: Path, owner: str, agreed: bool) -> NewTask:
        """Everything the record keeps of the order."""
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
            output_dir=str(output_dir),
            ordered=_ordered(checked),
            local_media=self.local_media,
        )


async def draft(plan: Plan, facts: Provider, *, task_id: str, buying: bool) -> Draft:
    """The plan written out; to buy it, local media are looked at now, and handed over once the order is recorded."""
    if not buying or all(kind == "https" for kind in plan.given.values()):
        return Draft(task_id=task_id, plan=plan, call=paid_call(plan.quote, plan.given, facts, key=task_id))
    from mcp_server.providers.local_media import with_placeholders

    request, local_media = await with_placeholders(plan.request, plan.given, facts, task_id)
    call = _checked_call(replace(plan.checked, request=request), facts, key=task_id)
    return Draft(task_id=task_id, plan=plan, call=call, local_media=local_media)


def paid_call(quote: Quote, given: Mapping[str, media_inputs.Kind], facts: Provider, *, key: str) -> HttpCall:
    """The paid call of a quote, with an address in the place of every local medium."""
    local = {place: _ELSEWHERE for place, kind in given.items() if kind != "https"}
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


def _ordered(checked: CheckedRequest) -> dict[str, Any]:
    """What the delivered file is held against."""
    facts = {
        **{name: getattr(checked, name) for name in CHOICES},
        "shots": len(checked.request.shots) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}
