"""What a change makes of a task, under the rules of its states; no SQL."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, Final, cast

from mcp_server.domain.task import FINISHED, MOVES, Task
from mcp_server.tasks.store.base import Changes

LEAVES: Final = "the paid call leaves"
WITHDRAWN: Final = Changes(state="cancelled", reserved_usd=Decimal(0), note="Cancelled before anything was sent.")


class IllegalMoveError(Exception):
    """A change of state that DESIGN does not know: a defect of this program."""


def changed(task: Task, changes: Changes, now: float) -> Task:
    """The task with these changes; IllegalMoveError."""
    after = replace(task, **cast("dict[str, Any]", changes))
    if after.state != task.state and after.state not in MOVES[task.state]:
        raise IllegalMoveError(f"{task.id}: {task.state} → {after.state}")
    finished_at = (after.finished_at or now) if after.state in FINISHED else None
    return replace(after, updated_at=now, finished_at=finished_at)


def leaving(task: Task, at: float, sent_as: str, now: float) -> Task | None:
    """The task whose paid call leaves now; None where it may not."""
    # A call that left before may leave again only where a vendor's idempotency key makes it the same purchase.
    if task.state != "submitting" or (task.sent_at and not task.call.get("idempotency_key")):
        return None
    return replace(task, sent_at=at, sent_as=sent_as, attempts=task.attempts + 1, updated_at=now)


def withdrawable(task: Task) -> bool:
    """Whether the purchase can be cancelled for nothing: its call has not left."""
    return task.state == "submitting" and task.sent_at is None and not task.job_id


def to_be_followed(task: Task) -> bool:
    """Whether some process has to work on it."""
    return not task.finished and not task.stopped_following


def told(before: Task, after: Task, what: str) -> str:
    """The line of history of a change; empty where none is owed."""
    return (what or after.status) if after.state != before.state or what else ""
