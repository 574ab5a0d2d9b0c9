"""Waking callers that wait for tasks, whichever process saw the change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mcp_server.domain.task import Task
from mcp_server.tasks.runtime import TaskRuntime

WATCH_S = 0.2
"""How often the store is asked whether another process wrote: one number, no query."""


async def set_within(event: asyncio.Event, seconds: float | None, sleep: Callable[[float], Awaitable[None]]) -> None:
    """Return when the event is set or the time is up."""
    if event.is_set():
        return
    both: list[asyncio.Future[Any]] = [asyncio.ensure_future(event.wait())]
    if seconds is not None:
        both.append(asyncio.ensure_future(sleep(seconds)))
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in both:
            each.cancel()


@dataclass
class Waiters:
    """Who waits for which tasks; an event is set when one of them changes, in whichever process."""

    runtime: TaskRuntime
    _by_task: dict[str, set[asyncio.Event]] = field(default_factory=dict[str, set[asyncio.Event]], init=False)
    _version: int = field(default=-2, init=False)

    def __post_init__(self) -> None:
        self.runtime.listeners.append(self._tell)

    def __len__(self) -> int:
        return len(self._by_task)

    def join(self, ids: Iterable[str]) -> asyncio.Event:
        """An event that is set whenever one of these tasks changes."""
        event = asyncio.Event()
        for task_id in ids:
            self._by_task.setdefault(task_id, set()).add(event)
        return event

    def leave(self, ids: Iterable[str], event: asyncio.Event) -> None:
        """Forget the event that `join` gave for these tasks."""
        for task_id in ids:
            events = self._by_task.get(task_id, set())
            events.discard(event)
            if not events:
                self._by_task.pop(task_id, None)

    def _tell(self, task: Task) -> None:
        for event in self._by_task.get(task.id, ()):
            event.set()

    async def check(self) -> bool:
        """Wake everybody if another process wrote since the last check; whether it did."""
        version = await self.runtime.store.version()
        moved = version != self._version
        self._version = version
        if moved:
            for events in self._by_task.values():
                for event in events:
                    event.set()
        return moved
