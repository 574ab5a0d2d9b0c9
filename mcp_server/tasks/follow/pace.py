"""When to poll a task's job next, from how long clips like it took and how many wait at the same vendor."""

from __future__ import annotations

from dataclasses import dataclass, field

from mcp_server.domain.task import Task
from mcp_server.errors import LocalError
from mcp_server.tasks.follow import intervals
from mcp_server.tasks.follow.scheduler import Scheduler, lane_of
from mcp_server.tasks.runtime import TaskRuntime

BELIEVED_S = 5.0
"""How long what was learned is believed at least."""


def asked_to_post(task: Task) -> bool:
    """Whether its vendor was told where to post how it ends."""
    return bool(task.call.get("callback"))


def _vendor(task: Task) -> tuple[str, bool]:
    return task.provider, task.simulated


@dataclass
class PollPacing:
    """Seconds until the next poll, from the pace of the task's offer and from how many wait in its lane."""

    runtime: TaskRuntime
    scheduler: Scheduler
    _paces: dict[tuple[object, ...], tuple[intervals.Pace, float]] = field(
        default_factory=dict[tuple[object, ...], tuple[intervals.Pace, float]], init=False
    )
    """What was learned of an offer, and until when it is believed."""
    _posts: set[tuple[str, bool]] = field(default_factory=set[tuple[str, bool]], init=False)
    """Vendors that post the ends they were asked to post, by the last that was seen."""

    async def gap(self, task: Task, *, posted: bool = False) -> float:
        """Seconds until the next poll of the task's job; few are needed where its end will be posted and was not."""
        pace = await self._pace(task)
        if asked_to_post(task) and not posted and _vendor(task) in self._posts:
            return intervals.safety_gap(self.age(task), pace)
        if task.simulated:
            return intervals.gap(self.age(task), pace)
        # Of the calls a vendor sees at once every worker has its part, and looks for its own tasks with it.
        turns = self.runtime.provider(task).concurrency / self.runtime.store.ownership.workers
        stretch = intervals.stretch(self.scheduler.share(lane_of(task)), pace, turns)
        return intervals.gap(self.age(task), pace, stretch=stretch)

    async def gap_after_absence(self, task: Task) -> float:
        """Seconds until the first poll of a task whose clip may have become ready while nobody polled."""
        if task.state == "saving" or intervals.could_be_done(self.age(task), await self._pace(task)):
            return 0.0
        # A post that came meanwhile was heard by nobody.
        return await self.gap(task, posted=True)

    def heard(self, task: Task) -> None:
        """Its vendor posts: its jobs are polled for safety's sake alone."""
        self._posts.add(_vendor(task))

    def missed(self, task: Task) -> None:
        """A poll found an end that nobody posted: jobs of this vendor are polled as if it did not post at all."""
        if asked_to_post(task):
            self._posts.discard(_vendor(task))

    async def poll_after_s(self, task: Task) -> float:
        """A sensible time for a caller to come back."""
        if task.state in {"submitting", "saving"}:
            return 2.0
        return intervals.poll_after_s(self.age(task), await self._pace(task))

    async def expected_s(self, task: Task) -> float | None:
        """How long such clips usually take, as far as the store knows some."""
        pace = await self._pace(task)
        return round(pace.median, 1) if pace.clips else None

    def age(self, task: Task) -> float:
        """Seconds since the vendor took it."""
        return self.runtime.clock.now() - (task.accepted_at or task.created_at)

    async def _pace(self, task: Task) -> intervals.Pace:
        length = task.ordered.get("duration")
        key = (task.offer_id, task.simulated, length)
        known, until = self._paces.get(key, (None, 0.0))
        if known is None or self.runtime.clock.monotonic() > until:
            first = intervals.FIRST_SIMULATED if task.simulated else intervals.FIRST
            try:
                past = await self.runtime.store.durations(task.offer_id, simulated=task.simulated, length=length)
            except LocalError:
                # A pace only spares polls: without one a job is polled all the same.
                past = []
            known = intervals.learn(past, first)
            # One clip more says much while there are few, and next to nothing once there are many.
            self._paces[key] = known, self.runtime.clock.monotonic() + max(BELIEVED_S, known.clips)
        return known
