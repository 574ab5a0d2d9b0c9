"""Waking callers that wait for tasks, whichever process saw the change."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from mcp_server.domain.task import Task
from mcp_server.tasks.runtime import TaskRuntime

WATCH_S = 0.04
"""How often the store is asked whether another process wrote, while somebody waits: one number, no query."""
WATCH_MOST_S = 0.2
"""The same where so many wait that waking them all costs more than the question."""
_FEW = 20


async def set_within(
    event: asyncio.Event, seconds: float | None, sleep: Callable[[float], Awaitable[None]], *others: asyncio.Event
) -> None:
    """Return when the event, or one of the others, is set or the time is up."""
    events = (event, *others)
    if any(each.is_set() for each in events):
        return
    waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(each.wait()) for each in events]
    if seconds is not None:
        waits.append(asyncio.ensure_future(sleep(seconds)))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


@dataclass
class Waiters:
    """Who waits for which tasks; an event is set when one of them changes, in whichever process."""

    runtime: TaskRuntime
    came: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set when somebody began to wait; whoever looks after them clears it."""
    _by_task: dict[str, set[asyncio.Event]] = field(default_factory=dict[str, set[asyncio.Event]], init=False)

    def __post_init__(self) -> None:
        self.runtime.listeners.append(self._tell)

    def __len__(self) -> int:
        return len(self._by_task)

    @property
    def watch_s(self) -> float | None:
        """Seconds until the next check; None while nobody waits."""
        return min(WATCH_MOST_S, WATCH_S * (1 + len(self) // _FEW)) if len(self) else None

    def join(self, ids: Iterable[str]) -> asyncio.Event:
        """An event that is set whenever one of these tasks changes."""
        event = asyncio.Event()
        self.follow(ids, event)
        return event

    def follow(self, ids: Iterable[str], event: asyncio.Event) -> None:
        """Let the event of `join`, or one of the caller's own, be set for these, too."""
        for task_id in ids:
            self._by_task.setdefault(task_id, set()).add(event)
        self.came.set()

    def leave(self, ids: Iterable[str], event: asyncio.Event) -> None:
        """Forget the event that `join` gave for these tasks."""
        for task_id in ids:
            events = self._by_task.get(task_id, set())
            events.discard(event)
            if not events:
                self._by_task.pop(task_id, None)

    def wake(self, record_id: str) -> None:
        """Whatever has this id changed in this process."""
        for event in self._by_task.get(record_id, ()):
            event.set()

    def _tell(self, task: Task) -> None:
        self.wake(task.id)

    async def check(self) -> frozenset[str] | None:
        """Wake those whose tasks other processes changed since the last check; which those were, None for any."""
        moved = await self.runtime.store.ownership.moved()
        for task_id, events in self._by_task.items():
            if moved is None or task_id in moved:
                for event in events:
                    event.set()
        return moved
