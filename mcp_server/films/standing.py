"""How far each shot of a film is, judged by its task, and what may be bought next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from mcp_server.domain.film import Film, FilmShot, ShotStanding
from mcp_server.domain.task import Task

GOING: Final = ("open", "waiting", "making")
SHORT_S: Final = 0.5
"""Lengths are sold in whole seconds: what is nearer to another whole second is another order."""


def standings(film: Film, tasks: Mapping[str, Task]) -> list[ShotStanding]:
    """Every shot in its order; what continues from another depends on how that one came out."""
    found: list[ShotStanding] = []
    for shot in film.shots:
        if shot.within and found:
            found.append(replace(found[-1], shot=shot))
            continue
        before = found[-1] if found and shot.continues else None
        found.append(_standing(shot, tasks.get(shot.task_id), before))
    return found


def defects(task: Task) -> tuple[str, ...]:
    """Flaws of a clip after which nobody should pay for its continuation: black, frozen, cut short, mute.

    Another shape, or sound that nobody ordered, is told as a difference and can be continued.
    """
    if task.artifact is None:
        return ()
    facts, ordered = task.artifact.delivered, task.ordered
    found = [difference for difference in task.artifact.differences if not difference.startswith("ordered ")]
    seconds, got = ordered.get("duration"), facts.get("duration")
    if seconds is not None and got is not None and got <= seconds - SHORT_S:
        found.append(f"it is {got:g} s long, and {seconds} s were ordered")
    if ordered.get("audio") is True and facts and (facts.get("mute") or not facts.get("audio")):
        found.append("it is silent, and sound was ordered")
    return tuple(found)


def _standing(shot: FilmShot, task: Task | None, before: ShotStanding | None) -> ShotStanding:
    if shot.clip:
        return ShotStanding(shot, "made")
    if task is not None:
        return _of_task(shot, task)
    if shot.error is not None:
        return ShotStanding(shot, "failed", why=str(shot.error.get("what", "it could not be bought")))
    if before is None:
        return ShotStanding(shot, "open")
    first = before.shot.id
    if before.progress == "made" and before.defects:
        why = f"not bought: it continues from {first}, whose clip has a flaw ({'; '.join(before.defects)})"
        return ShotStanding(shot, "blocked", why=why)
    if before.progress == "made":
        return ShotStanding(shot, "open")
    if before.progress in GOING:
        return ShotStanding(shot, "waiting", why=f"waits for {first}, from whose last frame it continues")
    state = "not made" if before.progress == "blocked" else before.progress
    return ShotStanding(shot, "blocked", why=f"not bought: it continues from {first}, which is {state}")


def _of_task(shot: FilmShot, task: Task) -> ShotStanding:
    said = str((task.error or {}).get("what", ""))
    match task.state:
        case "succeeded":
            return ShotStanding(shot, "made", task, defects(task))
        case "uncertain":
            return ShotStanding(shot, "uncertain", task, why=said or "its answer was lost")
        case "failed":
            return ShotStanding(shot, "failed", task, why=said or "it failed")
        case "cancelled":
            return ShotStanding(shot, "failed", task, why="it was cancelled")
        case _ if task.stopped_following:
            return ShotStanding(shot, "failed", task, why="nobody follows its task any more, as asked")
        case _:
            # A clip that cannot be saved says why, and is saved when it can be.
            return ShotStanding(shot, "making", task, why=task.note if task.state == "saving" else "")
