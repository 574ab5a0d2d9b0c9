"""Tasks and quotes as answers: the same facts and the same next steps for tools and command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

from mcp_server.answers.shapes import (
    CopyAnswer,
    Cost,
    FilmAnswer,
    OfferLine,
    OrderAnswer,
    Settled,
    TaskAnswer,
    TaskCost,
)
from mcp_server.domain.money import money, plain
from mcp_server.domain.vocabulary import SANDBOX
from mcp_server.errors import sentence
from mcp_server.media.progress import Progress
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from mcp_server.domain.quote import Quote
    from mcp_server.domain.task import Artifact, Task
    from mcp_server.media.fitted_copy import FittedCopy
    from mcp_server.object_store import Link

Ordered = TypeVar("Ordered", bound=TaskAnswer | FilmAnswer)
_SAID_ONCE: Final[Mapping[str, Any]] = {"prompt": "", "route": "", "ordered": {}, "warnings": []}
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


def times(cost: Cost, count: int) -> Cost:
    """What so many of it cost together."""
    if count == 1:
        return cost
    sums = {
        name: Decimal(value) * count
        for name in ("usd", "usd_at_most", "amount")
        if (value := getattr(cost, name)) is not None
    }
    told = ""
    if "usd" in sums:
        told = f" = {money(sums['usd'], 'USD')}"
    elif "amount" in sums:
        told = f" = {money(sums['amount'], cost.currency)}"
    elif "usd_at_most" in sums:
        told = f", at most {money(sums['usd_at_most'], 'USD')} in all"
    arithmetic = f"{count} × ({cost.arithmetic}){told}" if told else cost.arithmetic
    return cost.model_copy(update={**{name: plain(value) for name, value in sums.items()}, "arithmetic": arithmetic})


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


def fitted_answer(found: Ordered, made: FittedCopy | Progress, megabytes: float) -> Ordered:
    """The task or film with its smaller copy, or with how far that is."""
    if isinstance(made, Progress):
        later = f"call get_task again with fit_mb {megabytes:g}"
        note = f"{found.note} A copy is being made ({made.done:.0%}): {later}."
        return found.model_copy(update={"note": note.strip()})
    copy = CopyAnswer.model_validate(asdict(made))
    if not made.given_up:
        return found.model_copy(update={"fitted_copy": copy})
    hand_over = "Where the video is too large, deliver fitted_copy.path and say what it gave up."
    return found.model_copy(update={"fitted_copy": copy, "next_step": f"{found.next_step} {hand_over}".strip()})


def linked(answer: Ordered, link: Link | None, why: str = "") -> Ordered:
    """The answer for a clip or film in an object store: a link in the place of a path, or why there is none now."""
    if link is None:
        next_step = "Call get_task again in a moment: the clip is in the object store."
        told = sentence(f"No link to the clip can be made now: {why}")
        return answer.model_copy(update={"note": f"{answer.note} {told}".strip(), "next_step": next_step})
    next_step = answer.next_step.replace("the file at video_path", "the clip by the link at video_url")
    next_step = next_step.replace("at video_path", "by the link at video_url")
    if answer.state == "succeeded":
        next_step += " The link works until expires_at; get_task gives a fresh one."
    return answer.model_copy(
        update={
            "video_url": link.url,
            "expires_at": stamp(link.expires_at),
            "next_step": next_step,
        }
    )


def order_answer(tasks: Sequence[TaskAnswer]) -> OrderAnswer:
    """The tasks of one order as one answer; several share what is said once, and tell what became of each."""
    first = tasks[0]
    if len(tasks) == 1:
        return OrderAnswer(**dict(first))
    lost = [task for task in tasks if task.state in ("failed", "uncertain")]
    told = [f"{task.task_id} is {task.state}: {(task.error or {}).get('what', task.next_step)}" for task in lost]
    ids = ", ".join(task.task_id for task in tasks if task not in lost)
    follow = f"Later call get_task with task_ids ({ids}) and wait_s up to 25; do not order again."
    return OrderAnswer(
        task_id="",
        state="",
        provider=first.provider,
        plays=first.plays,
        model=first.model,
        tier=first.tier,
        mode=first.mode,
        simulated=first.simulated,
        prompt=first.prompt,
        ordered=first.ordered,
        estimated_cost=times(first.estimated_cost or Cost(), len(tasks)),
        route=first.route,
        warnings=[*first.warnings, *told],
        poll_after_s=first.poll_after_s,
        next_step=follow if ids else "Read `error` of each task; tell the user before anything is ordered again.",
        tasks=[task.model_copy(update=_SAID_ONCE | ({} if task in lost else {"next_step": ""})) for task in tasks],
    )


def _file(artifact: Artifact) -> dict[str, Any]:
    return {
        "video_path": None if is_object(artifact.path) else artifact.path,
        "bytes": artifact.bytes,
        "sha256": artifact.sha256,
        "delivered": dict(artifact.delivered),
        "differences": list(artifact.differences),
    }


def _settled(task: Task) -> Settled | None:
    found = task.settlement
    if found is None or task.simulated:
        # What a played vendor reports was charged to nobody.
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
