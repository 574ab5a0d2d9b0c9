"""Watching tasks until they are over, with what is known shown as it comes in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.cli.interrupt import Interrupt
    from mcp_server.cli.screen import Screen
    from mcp_server.service import Service

_ROUND_S = 20.0
"""One long look; news arrive in between."""
_SAYS = {
    "submitting": "ordering",
    "queued": "in the queue",
    "running": "rendering",
    "saving": "saving",
    "succeeded": "ready",
    "uncertain": "perhaps charged, not sent again",
}


class Watcher(Protocol):
    """Shows tasks as they change."""

    async def see(self, tasks: Sequence[TaskAnswer]) -> None:
        """The newest state of some or all tasks."""
        ...


async def follow(
    service: Service,
    task_ids: Sequence[str],
    *,
    screen: Screen,
    interrupt: Interrupt,
    until: Literal["any", "all"] = "all",
    timeout_s: float | None = None,
) -> list[TaskAnswer]:
    """The tasks once all (or any) are over or the time is up; Interrupted on Ctrl-C."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    with watching(screen) as watcher:
        while True:
            left = _ROUND_S if end is None else max(0.0, min(_ROUND_S, end - time.monotonic()))
            look = service.get(task_ids, wait_s=left, until=until, on_progress=watcher.see)
            tasks = await interrupt.unless(look)
            await watcher.see(tasks)
            # What nobody follows any more would never change here.
            over = [task.finished_at is not None or task.followed is False for task in tasks]
            timed_out = end is not None and time.monotonic() >= end
            if timed_out or (any(over) if until == "any" else all(over)):
                return tasks


def watching(screen: Screen) -> AbstractContextManager[Watcher]:
    """Bars on a terminal, a line per change otherwise."""
    if not screen.watched:
        return nullcontext(_Lines(screen))
    from mcp_server.cli.tasks.progress_bars import Bars

    return Bars(says)


class _Lines:
    """For logs: one line whenever the state, or a quarter of the way, changes."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._last: dict[str, tuple[str, int, int | None, str]] = {}

    async def see(self, tasks: Sequence[TaskAnswer]) -> None:
        for task in tasks:
            shown = (task.state, (task.progress or 0) // 25, task.queue_position, task.note)
            if self._last.get(task.task_id) != shown:
                self._last[task.task_id] = shown
                self._screen.note(f"{task.task_id}  {says(task)}")


def says(task: TaskAnswer) -> str:
    """`rendering 40%`, `in the queue, place 3`, `ordering: Handing over first.png to RunAPI`, `saving: why not`."""
    text = _SAYS.get(task.state, task.state)
    if task.state in ("submitting", "saving") and task.note:
        text += f": {task.note}"
    if task.finished_at is None and task.progress is not None and task.state != "saving":
        text += f" {task.progress}%"
    if task.state == "queued" and task.queue_position:
        text += f", place {task.queue_position}"
    return text
