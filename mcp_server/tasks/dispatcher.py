"""The work of one process: orders being sent, tasks being followed, and their end when the process is told to go."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from mcp_server.domain.task import Task
from mcp_server.errors import KlingError
from mcp_server.tasks.follow.poller import Poller
from mcp_server.tasks.follow.scheduler import Scheduler
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Lease
from mcp_server.tasks.submit.submitter import Submitter

T = TypeVar("T")
_log = logging.getLogger("kling_video.tasks")
AGAIN_S: Final = 1.0
"""Between an end of the scheduler that nobody asked for and its next beginning."""
POLLED_AT_ONCE: Final = 200
"""Up to so many tasks, one that is taken over is polled at once; among more, if its clip could be ready."""


@dataclass
class Dispatcher:
    """Gives every leased task to who works on it: an unsent order to the submitter, all others to the scheduler."""

    runtime: TaskRuntime
    submitter: Submitter
    poller: Poller
    scheduler: Scheduler
    closed: bool = field(default=False, init=False)
    """Nothing is begun any more; what is under way may end."""
    submitting: dict[str, asyncio.Task[Task | None]] = field(
        default_factory=dict[str, asyncio.Task["Task | None"]], init=False
    )
    """Orders this process is sending, by task id."""
    _posted: set[str] = field(default_factory=set[str], init=False)
    """Of those: the vendor posted how it ended before it said that it took the order."""
    _work: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]], init=False)

    async def poll(self) -> None:
        """Do what the scheduler says is due, until this is cancelled; no defect ends it."""
        while True:
            try:
                await self.scheduler.run(self.poller.step)
            except Exception as error:
                # Whoever pays for clips that nobody looks at any more must hear of it, and does not have to wait.
                _log.exception("The scheduler stopped and begins again")
                with contextlib.suppress(KlingError):
                    await self.runtime.store.stopped(f"{type(error).__name__}: {error}"[:300])
                await self.runtime.clock.sleep(AGAIN_S)

    def submit(self, lease: Lease) -> None:
        """Send the order, and follow what the vendor took."""
        task_id = lease.task.id
        self.submitting[task_id] = self.spawn(self._submitted(lease))
        self.submitting[task_id].add_done_callback(lambda _: self.submitting.pop(task_id, None))

    def posted(self, task_id: str) -> None:
        """Look at it now: the vendor says that its job has ended."""
        task = self.scheduler.posted(task_id)
        if task is not None:
            self.poller.pacing.heard(task)
        elif task_id in self.submitting:
            self._posted.add(task_id)

    async def go_on(self, leases: Iterable[Lease]) -> None:
        """Go on with tasks that were taken over."""
        taken = list(leases)
        at_once = len(self.scheduler) + len(taken) <= POLLED_AT_ONCE
        for lease in taken:
            if lease.task.provider not in self.runtime.catalog.providers:
                await self._set_aside(lease)
            elif lease.task.state == "submitting":
                self.submit(lease)
            else:
                self._follow(lease, 0.0 if at_once else await self.poller.pacing.gap_after_absence(lease.task))

    async def _set_aside(self, lease: Lease) -> None:
        """Leave it to a version that knows its vendor."""
        task = lease.task
        _log.warning("Task %s is set aside: the vendor %r is not known here", task.id, task.provider)
        await self.runtime.store.ownership.set_aside(
            lease,
            f"This version of kling-video does not know the vendor {task.provider!r}: nobody follows the task here",
        )

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """The work as a task of this process, which goes on when the caller who waits for it is cut off."""
        made = asyncio.create_task(work)
        self._work.add(made)
        made.add_done_callback(self._work.discard)
        return made

    async def close(self, grace_s: float) -> None:
        """Wait so long for answers that cost money, and break off the rest."""
        self.scheduler.clear()
        self.scheduler.cancel()
        await self._answers(grace_s)
        for work in list(self._work):
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self.scheduler.settle()

    async def _submitted(self, lease: Lease) -> Task | None:
        try:
            task = await self.submitter.submit(lease)
            if task is not None and not task.finished:
                self._follow(Lease(task, lease.number), await self.poller.pacing.gap(task))
                if task.id in self._posted:
                    self.posted(task.id)
            return task
        finally:
            self._posted.discard(lease.task.id)

    def _follow(self, lease: Lease, after_s: float) -> None:
        if not self.closed:
            self.scheduler.follow(lease, after_s)

    async def _answers(self, grace_s: float) -> None:
        """Wait for the answers to paid calls that are on their way; nothing else is worth waiting for."""
        end = self.runtime.clock.monotonic() + grace_s
        unanswered = self.submitter.unanswered
        while unanswered and self.runtime.clock.monotonic() < end:
            waiting = [self.submitting[task_id] for task_id in unanswered if task_id in self.submitting]
            await asyncio.wait(waiting, timeout=min(0.2, grace_s)) if waiting else await asyncio.sleep(0.01)
