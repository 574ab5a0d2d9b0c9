"""The scheduler: when each followed task is due, and how many steps a vendor sees at once."""

from __future__ import annotations

import asyncio
import heapq
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mcp_server.domain.task import Artifact, JobReport, Task
from mcp_server.tasks.follow.waiters import set_within
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Lease

Step = Callable[["Followed"], Awaitable[float | None]]
"""One poll or one try to save: seconds until the next, or None when there is nothing more to do."""

_log = logging.getLogger("kling_video.tasks")
LATER_S = 60.0
"""After a defect of ours in one task's step."""
SAVING = "saving:"
"""What the lanes of saving begin with: each vendor has one, so that slow links of one hold up nobody else's clips."""
POSTS_MOST = 20
"""No vendor has so much to say of one job; who says more is not listened to."""
SAVES_AT_ONCE = 4
"""Of one vendor; each takes a thread and a few megabytes."""


@dataclass(slots=True)
class Streak:
    """Polls in a row that ended alike."""

    polls: int = 0
    since: float = 0.0
    """Monotonic time of the first of them."""

    def goes_on(self, now: float) -> None:
        """Count one more poll that ended so."""
        if not self.polls:
            self.since = now
        self.polls += 1

    def lasted(self, now: float, seconds: float, polls: int) -> bool:
        """Whether it went on for so long, and at so many polls."""
        return self.polls >= polls and now - self.since >= seconds

    def ends(self) -> None:
        """Begin anew: a poll ended otherwise."""
        self.polls = 0


@dataclass(slots=True)
class Followed:
    """What is kept in memory of a task that is followed."""

    id: str
    number: int
    """Of the lease under which this process follows it."""
    lane: str
    """Tasks of one lane share its turns: those of a provider's API, or of its files."""
    task: Task
    since: float
    """Monotonic time at which this process began."""
    failures: int = 0
    asked_again: int = 0
    fetched_again: bool = False
    """Whether a file that could not be played was fetched once more."""
    incomplete: Streak = field(default_factory=Streak)
    """Fetches in a row that gave the same bytes, which break off."""
    incomplete_sha256: str = ""
    missing: Streak = field(default_factory=Streak)
    """Polls at which the vendor did not know the job."""
    bare: Streak = field(default_factory=Streak)
    """Polls at which the job had ended, and neither its clip nor the reason was to be had."""
    last_word: JobReport | None = None
    """How the present poll says it ended, until the rest is known."""
    last_running: float | None = None
    """Wall time of the last poll that showed it unfinished."""
    posted_at: float | None = None
    """Wall time at which the vendor posted that it has ended."""
    posts: int = 0
    saved: Artifact | None = None
    """The clip, when it is on the disk and only its row does not say so yet."""
    gone: bool = False
    due: float = 0.0

    @property
    def lease(self) -> Lease:
        """The task as it stands, with the proof that this process may change it."""
        return Lease(self.task, self.number)


@dataclass
class _Lane:
    turns: int
    waiting: deque[Followed] = field(default_factory=deque[Followed])
    busy: int = 0


@dataclass
class Scheduler:
    """When each task of this process is due; a heap of moments, and lanes that bound what is under way at once."""

    runtime: TaskRuntime
    _heap: list[tuple[float, int, Followed]] = field(default_factory=list[tuple[float, int, Followed]], init=False)
    _all: dict[str, Followed] = field(default_factory=dict[str, Followed], init=False)
    _lanes: dict[str, _Lane] = field(default_factory=dict[str, _Lane], init=False)
    _running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]], init=False)
    _wake: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _count: int = field(default=0, init=False)
    _counted_at: float = field(default=float("-inf"), init=False)
    _shares: Counter[str] = field(default_factory=Counter[str], init=False)

    def __len__(self) -> int:
        return len(self._all)

    def ids(self) -> set[str]:
        """The ids of all tasks that are followed."""
        return set(self._all)

    def share(self, lane: str) -> int:
        """How many are followed in this lane, as counted a few seconds ago at most."""
        if self.runtime.clock.monotonic() - self._counted_at > 3.0:
            self._counted_at = self.runtime.clock.monotonic()
            self._shares = Counter(each.lane for each in self._all.values())
        return self._shares[lane]

    def follow(self, lease: Lease, after_s: float) -> None:
        """Follow the task, first after so many seconds; what was known under its id is dropped."""
        task = lease.task
        self.drop(task.id)
        followed = Followed(task.id, lease.number, lane_of(task), task, self.runtime.clock.monotonic())
        self._all[task.id] = followed
        self._put(followed, after_s)

    def drop(self, task_id: str) -> None:
        """Follow it no more; a step that is under way is its last."""
        if (old := self._all.pop(task_id, None)) is not None:
            old.gone = True

    def hurry(self, task_id: str) -> None:
        """Make it due now, if it waits for its moment."""
        if (followed := self._all.get(task_id)) is not None and followed.due > self.runtime.clock.monotonic():
            self._put(followed, 0.0)

    def posted(self, task_id: str) -> Task | None:
        """The task, due now for its vendor posted its end, also where a step is under way; None when not followed."""
        followed = self._all.get(task_id)
        if followed is None or followed.posts >= POSTS_MOST:
            return None
        followed.posts += 1
        followed.posted_at = followed.posted_at or self.runtime.clock.now()
        self.hurry(task_id)
        return followed.task

    def clear(self) -> None:
        """Follow nothing any more; what is under way goes on to its end."""
        for task_id in list(self._all):
            self.drop(task_id)

    async def run(self, step: Step) -> None:
        """Do what is due until this is cancelled; what is under way then goes on."""
        while True:
            self._wake.clear()
            wait = self._turn(step)
            await set_within(self._wake, wait, self.runtime.clock.sleep)

    def _turn(self, step: Step) -> float | None:
        """Begin everything that is due; seconds until the next, None when nothing waits."""
        now = self.runtime.clock.monotonic()
        while self._heap:
            due, _, followed = self._heap[0]
            stale = followed.gone or followed.due != due
            if not stale and due > now:
                return due - now
            heapq.heappop(self._heap)
            if not stale:
                self._begun(followed, step)
        return None

    def _begun(self, followed: Followed, step: Step) -> None:
        """Begin it; where that fails, it alone comes later."""
        try:
            self._begin(followed, step)
        except Exception:
            _log.exception("Task %s could not be looked at", followed.id)
            self._put(followed, LATER_S)

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def cancel(self) -> None:
        """Break off what is under way."""
        for each in self._running:
            each.cancel()

    def _turns(self, followed: Followed) -> int:
        return SAVES_AT_ONCE if followed.lane.startswith(SAVING) else self.runtime.provider(followed.task).concurrency

    def _put(self, followed: Followed, after_s: float) -> None:
        self._count += 1
        followed.due = self.runtime.clock.monotonic() + after_s
        heapq.heappush(self._heap, (followed.due, self._count, followed))
        self._wake.set()

    def _begin(self, followed: Followed, step: Step) -> None:
        followed.due = -1.0
        lane = self._lanes.setdefault(followed.lane, _Lane(self._turns(followed)))
        if lane.busy >= lane.turns:
            lane.waiting.append(followed)
            return
        lane.busy += 1
        worker = asyncio.create_task(self._work(lane, followed, step))
        self._running.add(worker)
        worker.add_done_callback(self._running.discard)

    async def _stepped(self, followed: Followed, step: Step) -> float | None:
        try:
            return await step(followed)
        except Exception:
            _log.exception("Task %s: a step failed", followed.id)
            return LATER_S

    async def _work(self, lane: _Lane, followed: Followed, step: Step) -> None:
        try:
            current: Followed | None = followed
            while current is not None:
                if not current.gone:
                    posts = current.posts
                    after_s = await self._stepped(current, step)
                    if after_s is not None and current.posts != posts:
                        # What the vendor answered may be older than what it posted meanwhile.
                        after_s = 0.0
                    if after_s is None:
                        if self._all.get(current.id) is current:
                            self.drop(current.id)
                    elif not current.gone:
                        self._put(current, after_s * random.uniform(0.95, 1.05))  # noqa: S311 - spreads, hides nothing
                current = lane.waiting.popleft() if lane.waiting else None
        finally:
            lane.busy -= 1


def lane_of(task: Task) -> str:
    """Whose turns a step of this task takes."""
    return f"{SAVING if task.state == 'saving' else ''}{task.provider}:{task.simulated}"
