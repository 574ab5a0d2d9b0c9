"""A plan as the purchase that will be recorded: its call checked, its local media looked at, nothing sent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mcp_server.answers import tasks
from mcp_server.ordering import limits
from mcp_server.tasks.store.base import NewTask

if TYPE_CHECKING:
    from pathlib import Path

    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.task import LocalMedium
    from mcp_server.ordering.plan import Plan, Planner
    from mcp_server.providers.base import HttpCall


async def draft(
    arguments: VideoArguments,
    plan: Plan,
    planner: Planner,
    *,
    task_id: str,
    output_dir: Path,
    owner: str,
    confirmed: bool,
) -> NewTask:
    """Everything the record keeps of an order."""
    checked, said = plan.checked, arguments.given()
    call, local_media = await _call(plan, planner, task_id)
    return NewTask(
        id=task_id,
        provider=plan.offer.provider,
        simulated=plan.simulated,
        offer_id=plan.offer.id,
        model=plan.offer.model,
        tier=plan.offer.tier,
        mode=plan.offer.mode,
        prompt=checked.prompt or " / ".join(shot.prompt for shot in checked.request.shots),
        # Off-peak orders have no deadline, whether an argument or the words said so.
        request=said | ({"off_peak": True} if plan.request.off_peak else {}),
        request_digest=digest(said),
        call=call,
        route=plan.route.because,
        warnings=plan.warnings,
        quote=tasks.cost(plan.quote).facts(),
        quote_amount=plan.quote.amount,
        quote_currency=plan.quote.currency,
        quote_usd=plan.quote.usd,
        reserve_usd=Decimal(0) if plan.simulated else limits.most_of(plan.quote),
        allow_unknown_price=confirmed or bool(arguments.accept_unknown_price),
        idempotency_key=arguments.idempotency_key,
        owner=owner,
        output_dir=str(output_dir),
        ordered=_ordered(plan),
        local_media=local_media,
    )


def digest(said: Mapping[str, Any]) -> str:
    """What makes two requests the same; the key itself and limits are no part of it."""
    core = {name: value for name, value in said.items() if name not in ("idempotency_key", "max_cost_usd")}
    return hashlib.sha256(json.dumps(core, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


async def _call(plan: Plan, planner: Planner, key: str) -> tuple[HttpCall, tuple[LocalMedium, ...]]:
    """The paid call, and the local media it needs: only looked at now, handed over once the order is recorded."""
    call = planner.call(plan, key=key)
    if all(kind == "https" for kind in plan.given.values()):
        return call, ()
    from mcp_server.providers.local_media import stood_in

    facts = planner.catalog.providers[plan.offer.provider]
    request, local_media = await stood_in(plan.request, plan.given, facts, key)
    return planner.call(plan, key=key, request=request), local_media


def _ordered(plan: Plan) -> dict[str, Any]:
    checked = plan.checked
    facts = {
        "duration": checked.duration,
        "aspect_ratio": checked.aspect_ratio,
        "resolution": checked.resolution,
        "audio": checked.audio,
        "shots": len(checked.request.shots) or None,
    }
    return {name: value for name, value in facts.items() if value is not None}
