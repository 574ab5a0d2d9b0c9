"""Tasks and quotes as answers: the same facts and the same next steps for tools and command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mcp_server.answers.shapes import Cost, OfferLine, Settled, TaskAnswer, TaskCost
from mcp_server.domain.money import plain
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import sentence

if TYPE_CHECKING:
    from mcp_server.domain.quote import Quote
    from mcp_server.domain.task import Artifact, Task

_KNOWN = "This idempotency_key already stands for this task: nothing was bought again."


def stamp(seconds: float | None) -> str | None:
    """A moment as ISO 8601 in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def quote_answer(quote: Quote) -> Cost:
    """A quote as an answer."""
    return Cost(
        usd=plain(quote.usd),
        usd_at_most=plain(quote.usd_at_most) if quote.usd is None else None,
        amount=plain(quote.amount) if quote.currency != "USD" else None,
        currency=quote.currency,
        arithmetic=quote.arithmetic,
        price_date=quote.effective_from.isoformat() if quote.effective_from else None,
        not_included=list(quote.not_included),
        # Where there is no price, the note is the arithmetic.
        note="" if quote.note in quote.arithmetic else quote.note,
    )


def offer_line(quote: Quote, *, has_key: bool) -> OfferLine:
    """A quote as one line of a comparison."""
    checked = quote.checked
    offer = checked.offer
    return OfferLine(
        offer=offer.id,
        provider=offer.provider,
        model=offer.model,
        tier=offer.tier,
        mode=offer.mode,
        cost=quote_answer(quote),
        has_key=has_key,
        duration=checked.duration,
        aspect_ratio=checked.aspect_ratio,
        resolution=checked.resolution,
        audio=checked.audio,
    )


def task_answer(
    task: Task,
    *,
    bought_now: bool = False,
    known: bool = False,
    poll_after_s: float | None = None,
    expected_s: float | None = None,
) -> TaskAnswer:
    """A task as it stands. `known`: the order was there already, under the same key; nothing was bought again."""
    estimated = _estimated(task)
    return TaskAnswer(
        task_id=task.id,
        state=task.state,
        provider=SANDBOX if task.simulated else task.provider,
        plays=task.provider if task.simulated else None,
        model=task.model,
        tier=task.tier,
        mode=task.mode,
        simulated=task.simulated,
        prompt=task.prompt,
        status=task.status,
        progress=task.progress,
        queue_position=task.queue_position,
        video_url=task.video_url,
        expires_at=stamp(task.expires_at),
        ordered=dict(task.ordered),
        **({} if task.artifact is None else _file(task.artifact)),
        cost=None if bought_now else TaskCost(estimated=estimated, settled=_settled(task)),
        estimated_cost=estimated if bought_now else None,
        route=task.route,
        warnings=[*task.warnings, *((_KNOWN,) if known else ())],
        error=dict(task.error) if task.error else None,
        note=task.note,
        created_at=stamp(task.created_at),
        updated_at=stamp(task.updated_at),
        finished_at=stamp(task.finished_at),
        expected_s=None if task.finished else expected_s,
        followed=False if task.stopped_following and not task.finished else None,
        poll_after_s=None if task.finished else poll_after_s,
        next_step=next_step(task),
    )


def _file(artifact: Artifact) -> dict[str, Any]:
    return {
        "video_path": artifact.path,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "delivered": dict(artifact.delivered),
        "differences": list(artifact.differences),
    }


def _settled(task: Task) -> Settled | None:
    found = task.settlement
    if found is None:
        return None
    amount = plain(found.amount) if found.currency != "USD" else None
    return Settled(usd=plain(found.usd), amount=amount, currency=found.currency, basis=found.basis)


def next_step(task: Task) -> str:
    """What to do now, in one sentence."""
    match task.state:
        case "submitting":
            return f"The order is on its way. Call get_task with task_id {task.id}; do not order again."
        case "queued" | "running":
            if task.stopped_following:
                return "Nobody follows this task any more, as asked; the vendor goes on and bills it. get_task resumes."
            return f"Go on with other work; later call get_task with task_id {task.id} and wait_s up to 25."
        case "saving":
            return f"The clip exists and is being saved. Call get_task with task_id {task.id} again in a moment."
        case "succeeded":
            different = ", and say how it differs from the order" if task.artifact and task.artifact.differences else ""
            return f"Deliver the file at video_path{different}.{_simulated(task)}"
        case "failed":
            said = str((task.error or {}).get("next_step", ""))
            return sentence(said) or "Read `error`; change what it names, then order again."
        case "cancelled":
            return "Nothing more happens. Order again if the clip is still wanted."
        case "uncertain":
            return (
                "This may have been charged and was not sent again. Ask the user to look at the vendor's dashboard; "
                f"`kling-video settle {task.id}` records what they find; generate_video again buys anew."
                + _simulated(task)
            )


def _simulated(task: Task) -> str:
    return " It is a simulation: no vendor was asked and nothing was charged." if task.simulated else ""


def _estimated(task: Task) -> Cost:
    return Cost.model_validate(dict(task.quote))
