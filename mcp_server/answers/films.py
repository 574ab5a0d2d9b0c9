"""Films as answers: the plan, the shots as they stand, the price of the whole, and what to do now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mcp_server.answers.shapes import Cost, FilmAnswer, ShotAnswer
from mcp_server.answers.tasks import stamp
from mcp_server.domain.money import money, plain
from mcp_server.errors import sentence
from mcp_server.settings import is_object

if TYPE_CHECKING:
    from mcp_server.domain.film import Film, FilmShot, ShotStanding

POLL_S = 5.0
"""How soon it is worth asking again about a film that is being made."""


def whole(shots: Sequence[FilmShot]) -> Cost:
    """What these shots cost together: exact, an upper bound where one is, unknown where one is."""
    bought = [shot for shot in shots if shot.ordered]
    unknown = [shot.id for shot in bought if shot.most_usd is None]
    extra = sorted({str(item) for shot in bought for item in shot.quote.get("not_included", ())})
    if unknown:
        return Cost(arithmetic=f"unknown: nobody publishes the price of {', '.join(unknown)}", not_included=extra)
    total = sum((shot.most_usd or Decimal(0) for shot in bought), Decimal(0))
    exact = all("usd" in shot.quote for shot in bought)
    told = f"{'' if exact else 'at most '}{money(total, 'USD')}"
    return Cost(
        usd=plain(total) if exact else None,
        usd_at_most=None if exact else plain(total),
        arithmetic=f"{_sums(bought)} = {told}" if len(bought) > 1 else told,
        not_included=extra,
    )


def film_answer(film: Film, standing: Sequence[ShotStanding]) -> FilmAnswer:
    """A film as it stands."""
    left = [each.shot for each in standing if not each.shot.bought]
    # An earlier file is not this film any more, once it is made anew.
    joined: Mapping[str, Any] = (film.joined or {}) if film.state == "succeeded" else {}
    return FilmAnswer(
        film_id=film.id,
        state=film.state,
        title=film.title,
        simulated=film.simulated,
        draft=film.draft,
        total=Cost.model_validate(dict(film.quote)),
        to_buy=whole(left) if left and len(left) < len(standing) else None,
        final_total=Cost.model_validate(dict(film.final_quote)) if film.final_quote else None,
        shots=[_shot(each) for each in standing],
        progress=film.progress,
        remaining_s=film.remaining_s,
        video_path=joined.get("path") if not is_object(joined.get("path", "")) else None,
        sheet_path=joined.get("sheet") or None if not is_object(joined.get("sheet", "")) else None,
        bytes=joined.get("bytes"),
        sha256=joined.get("sha256"),
        duration=joined.get("duration"),
        failed_checks=list(joined.get("failed_checks", ())),
        notes=list(joined.get("notes", ())),
        warnings=list(film.warnings),
        error=dict(film.error) if film.error else None,
        note=film.note,
        created_at=stamp(film.created_at),
        updated_at=stamp(film.updated_at),
        finished_at=stamp(film.finished_at) if not film.under_way else None,
        poll_after_s=POLL_S if film.under_way else None,
        next_step=_next_step(film, left),
    )


def unkept_step(film: Film) -> str:
    """What to do about a film that was priced and not written down."""
    kept = "generate_video with the same words plans the film, and make_film with its film_id and max_cost_usd"
    if film.simulated:
        return f"No key is set: {kept} rehearses it for free."
    return f"Show the user the price ({whole(film.shots).arithmetic}); when they agree, {kept} buys it."


def _shot(each: ShotStanding) -> ShotAnswer:
    shot, task = each.shot, each.task
    states = {"open": "planned", "made": "used", "making": "submitting"}
    return ShotAnswer(
        shot=shot.id,
        state=task.state if task is not None else states.get(each.progress, each.progress),
        begin=shot.begin,
        task_id=shot.task_id,
        duration=shot.seconds,
        provider=shot.provider,
        model=shot.model,
        tier=shot.tier,
        mode=shot.mode,
        cost=Cost.model_validate(dict(shot.quote)) if shot.quote else None,
        progress=task.progress if task is not None else None,
        video_path=each.path if each.path is not None and not is_object(each.path) else None,
        # Of an order of several shots its first one says what is different.
        differences=list(task.artifact.differences) if task and task.artifact and shot.ordered else [],
        warnings=list(shot.warnings),
        why=each.why,
    )


def _next_step(film: Film, left: Sequence[FilmShot]) -> str:
    """What to do now, in one sentence."""
    free = " It is a simulation: no vendor was asked and nothing was charged." if film.simulated else ""
    match film.state:
        case "planned":
            price = whole(left).arithmetic
            buy = f"make_film with film_id {film.id} and max_cost_usd of at least the total"
            if film.simulated:
                return f"No key is set, so {buy} rehearses the film for free."
            return f"Show the user the price ({price}); when they agree, call {buy}."
        case "filming" | "joining":
            return f"Go on with other work; later call get_task with task_id {film.id} and wait_s up to 25."
        case "succeeded" if film.draft:
            return (
                "Deliver the draft at video_path; when the user likes it, make_film with "
                f"film_id {film.id}, draft false and max_cost_usd makes the final.{free}"
            )
        case "succeeded":
            wrong = ", and say which checks failed" if (film.joined or {}).get("failed_checks") else ""
            return f"Deliver the film at video_path{wrong}.{free}"
        case "cancelled":
            return f"Nothing more is bought. make_film with film_id {film.id} and max_cost_usd goes on with it."
        case _:
            said = str((film.error or {}).get("next_step", ""))
            return sentence(said) or "Read `error`; change what it names, then call make_film again."


def _sums(shots: Sequence[FilmShot]) -> str:
    """`3 × $0.42 + $0.84`: equal shots together, in the order they come."""
    counts = Counter(shot.most_usd or Decimal(0) for shot in shots)
    return " + ".join(
        money(each, "USD") if count == 1 else f"{count} × {money(each, 'USD')}" for each, count in counts.items()
    )
