"""Watching tasks until they are over, with what is known shown as it comes in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Literal, Protocol

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli.tasks import film_screen

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
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

    async def see(self, found: Sequence[OrderedAnswer]) -> None:
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
) -> list[OrderedAnswer]:
    """The tasks once all (or any) are over or the time is up; Interrupted on Ctrl-C."""
    end = None if timeout_s is None else time.monotonic() + timeout_s
    with watching(screen) as watcher:
        while True:
            left = _ROUND_S if end is None else max(0.0, min(_ROUND_S, end - time.monotonic()))
            look = service.get_any(task_ids, wait_s=left, until=until, on_progress=watcher.see)
            tasks = await interrupt.unless(look)
            await watcher.see(tasks)
            # What nobody follows any more would never change here.
            over = [each.finished_at is not None or getattr(each, "followed", None) is False for each in tasks]
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
        self._last: dict[str, tuple[object, ...]] = {}

    async def see(self, found: Sequence[OrderedAnswer]) -> None:
        for each in found:
            if isinstance(each, FilmAnswer):
                for shot in each.shots:
                    self._tell(
                        f"{each.id}  {shot.shot}", film_screen.shot_says(shot), shot.state, (shot.progress or 0) // 25
                    )
                if each.state != "filming":
                    self._tell(each.id, film_screen.says(each), each.state, (each.progress or 0) // 25)
                continue
            quarter = (each.progress or 0) // 25
            self._tell(each.id, says(each), each.state, quarter, each.queue_position, each.note)

    def _tell(self, whose: str, said: str, *face: object) -> None:
        if self._last.get(whose) != face:
            self._last[whose] = face
            self._screen.note(f"{whose}  {said}")


def says(task: OrderedAnswer) -> str:
    """`rendering 40%`, `in the queue, place 3`, `ordering: Handing over first.png to RunAPI`, `saving: why not`."""
    if isinstance(task, FilmAnswer):
        return film_screen.says(task)
    text = _SAYS.get(task.state, task.state)
    if task.state in ("submitting", "saving") and task.note:
        text += f": {task.note}"
    if task.finished_at is None and task.progress is not None and task.state != "saving":
        text += f" {task.progress}%"
    if task.state == "queued" and task.queue_position:
        text += f", place {task.queue_position}"
    return text
