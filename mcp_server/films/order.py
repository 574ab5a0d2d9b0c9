"""Buying a shot: which purchase it already is, and the order it becomes when it is none."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.film import clips_of
from mcp_server.errors import BudgetError, RequestError
from mcp_server.providers.media_inputs import SLOTS
from mcp_server.settings import is_object
from mcp_server.tasks.store.base import NewTask, new_id

if TYPE_CHECKING:
    from mcp_server.domain.film import Film, FilmShot
    from mcp_server.domain.task import Task
    from mcp_server.ordering.plan import Plan, Planner
    from mcp_server.tasks.runtime import TaskRuntime
    from mcp_server.tasks.store.film_store import FilmStore
    from mcp_server.tasks.submit.kept_media import KeptMedia

TAKES_MAX: Final = 100
"""Nobody redoes a shot so often; where every one of them is there, something repeats itself."""


def key(title: str, shot: FilmShot, *, simulated: bool) -> str:
    """The idempotency key a shot is bought under: the same board, shot and words are the same purchase, in any film."""
    name = hashlib.sha256(title.encode()).hexdigest()[:12]
    return f"film/{name}/{shot.id}/{shot.revision}/{shot.take}{'/rehearsal' if simulated else ''}"


def usable(task: Task) -> bool:
    """Whether the purchase stands for its shot: it has a clip, will have one, or nobody knows."""
    if task.state == "succeeded":
        return task.artifact is not None and (is_object(task.artifact.path) or Path(task.artifact.path).is_file())
    return task.state not in ("failed", "cancelled") and not (task.stopped_following and not task.finished)


async def standing(
    shots: Sequence[FilmShot],
    records: FilmStore,
    *,
    title: str,
    owner: str,
    simulated: bool,
    redo: Collection[str] = (),
) -> tuple[FilmShot, ...]:
    """The shots with the purchases they already are; those to redo, and those whose purchase came to nothing, anew.

    Shots of one order are one purchase: to redo one of them is to redo them all.
    """
    found = {shot.id: shot for shot in shots}
    last: dict[str, Task] = {}
    left = {shot.id for shot in shots if shot.ordered}
    again = {clip[0].id for clip in clips_of(shots) if any(shot.id in redo for shot in clip)}
    for take in range(TAKES_MAX):
        keys = {
            key(title, replace(found[shot_id], take=take), simulated=simulated): shot_id for shot_id in sorted(left)
        }
        tasks = await records.keyed(owner, keys)
        for name, shot_id in keys.items():
            found[shot_id] = replace(found[shot_id], take=take)
            if (task := tasks.get(name)) is None:
                left.discard(shot_id)
                if (before := last.get(shot_id)) is not None and shot_id not in again and usable(before):
                    found[shot_id] = replace(found[shot_id], take=take - 1, task_id=before.id)
            else:
                last[shot_id] = task
        if not left:
            break
    return tuple(
        replace(shot, take=found[clip[0].id].take, task_id=found[clip[0].id].task_id)
        for clip in clips_of([found[shot.id] for shot in shots])
        for shot in clip
    )


@dataclass(frozen=True, slots=True)
class ShotOrders:
    """Writes out the order of one shot, exactly as it was planned."""

    planner: Planner
    runtime: TaskRuntime
    media: KeptMedia

    async def new_task(self, film: Film, shot: FilmShot, before: str | None) -> NewTask:
        """The purchase of the shot, which goes on from the clip before where it continues; nothing is sent.

        An error where it would not be what was planned and agreed to.
        """
        from mcp_server.media import isolated
        from mcp_server.ordering import draft

        given: dict[str, Any] = {
            **shot.arguments,
            "idempotency_key": key(film.title, shot, simulated=film.simulated),
        }
        if shot.continues and before is not None:
            given["image"] = str(await isolated.last_frame(str(await self.media.objects.local(before))))
        given = {name: await self._here(said) if name in SLOTS else said for name, said in given.items()}
        now = self.runtime.clock.now()
        plan = self.planner.plan(VideoArguments.model_validate(given), day=datetime.fromtimestamp(now, UTC).date())
        _as_planned(film, shot, plan)
        facts = self.runtime.catalog.providers[plan.offer.provider]
        made = await draft.draft(plan, facts, task_ids=[new_id(now)], buying=True)
        (new,) = made.new_tasks(output_dir=film.output_dir, owner=film.owner, agreed=film.allow_unknown_price)
        return await self.media.kept(new) if new.local_media else new

    async def _here(self, said: Any) -> Any:
        """What is kept in the object store as a file of this machine."""
        if isinstance(said, list):
            return [await self._here(each) for each in cast("list[Any]", said)]
        return str(await self.media.objects.local(said)) if isinstance(said, str) and is_object(said) else said


def _as_planned(film: Film, shot: FilmShot, plan: Plan) -> None:
    """Nothing, or the refusal of an order that would be another than somebody agreed to."""
    if plan.simulated != film.simulated:
        came = "no key is set any more" if plan.simulated else "a vendor key is set now"
        raise RequestError(
            f"Shot {shot.id} was planned as {'a simulation' if film.simulated else 'a real purchase'}, and {came}",
            next_step="Plan the board again: make_film with `board`",
        )
    if plan.offer.id != shot.offer:
        raise RequestError(
            f"Shot {shot.id} was planned with {shot.offer}, which cannot be had now; {plan.offer.id} could",
            next_step="Plan the board again: make_film with `board`",
        )
    most = plan.most_usd
    dearer = most is not None and most > (shot.most_usd or Decimal(0))
    if dearer or (most is None and not film.allow_unknown_price):
        raise BudgetError(
            f"Shot {shot.id} costs {plan.total.arithmetic} now, and {shot.most_usd} USD were agreed to",
            next_step="Plan the board again: make_film with `board`",
        )
