"""Looking at jobs until they are done: one timetable for the process, a few looks at a time per vendor."""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from mcp_server.domain.task import Artifact, JobReport, Task
from mcp_server.tasks.follow.waiters import set_within

Step = Callable[["Followed"], Awaitable[float | None]]
"""One look or one try to save: seconds until the next, or None when there is nothing more to do."""

SAVING = "saving"
SAVES_AT_ONCE = 8


@dataclass(slots=True)
class Streak:
    """Looks in a row that ended alike."""

    looks: int = 0
    since: float = 0.0
    """Monotonic time of the first of them."""

    def goes_on(self, now: float) -> None:
        """One more."""
        if not self.looks:
            self.since = now
        self.looks += 1

    def ends(self) -> None:
        """Another kind of answer came."""
        self.looks = 0


@dataclass(slots=True)
class Followed:
    """What is kept in memory of a task that is looked after."""

    id: str
    claim: int
    lane: str
    """Tasks of one lane share its turns: a provider's, or the disk's."""
    task: Task
    since: float
    """Monotonic time at which this process began."""
    failures: int = 0
    asked_again: int = 0
    missing: Streak = field(default_factory=Streak)
    """Looks at which the vendor did not know the job."""
    bare: Streak = field(default_factory=Streak)
    """Looks at which the job had ended, and neither its clip nor the reason was to be had."""
    last_word: JobReport | None = None
    """How the present look says it ended, until the rest is known."""
    last_running: float | None = None
    """Wall time of the last look that showed it unfinished."""
    saved: Artifact | None = None
    """The clip, when it is on the disk and only the record does not say so yet."""
    gone: bool = False
    due: float = 0.0


@dataclass
class _Lane:
    turns: int
    waiting: deque[Followed] = field(default_factory=deque[Followed])
    busy: int = 0


@dataclass
class Scheduler:
    """Who is due when; `step` does what is due."""

    step: Step
    turns: Callable[[Followed], int]
    """How many of this one's lane may be under way at once."""
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    _heap: list[tuple[float, int, Followed]] = field(default_factory=list[tuple[float, int, Followed]])
    _all: dict[str, Followed] = field(default_factory=dict[str, Followed])
    _lanes: dict[str, _Lane] = field(default_factory=dict[str, _Lane])
    _running: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _count: int = 0
    _counted_at: float = float("-inf")
    _shares: Counter[str] = field(default_factory=Counter[str])

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, task_id: object) -> bool:
        return task_id in self._all

    def get(self, task_id: str) -> Followed | None:
        return self._all.get(task_id)

    def ids(self) -> set[str]:
        """Everything that is followed."""
        return set(self._all)

    def share(self, lane: str) -> int:
        """How many are followed in this lane, as counted a few seconds ago at most."""
        if self.monotonic() - self._counted_at > 3.0:
            self._counted_at = self.monotonic()
            self._shares = Counter(each.lane for each in self._all.values())
        return self._shares[lane]

    def add(self, followed: Followed, after_s: float) -> None:
        """Follow it, first after so many seconds; what was known under its id is dropped."""
        self.drop(followed.id)
        self._all[followed.id] = followed
        self._put(followed, after_s)

    def drop(self, task_id: str) -> None:
        """Follow it no more."""
        if (old := self._all.pop(task_id, None)) is not None:
            old.gone = True

    def hurry(self, task_id: str) -> None:
        """Look at it now."""
        if (followed := self._all.get(task_id)) is not None and followed.due > self.monotonic():
            self._put(followed, 0.0)

    def clear(self) -> None:
        """Follow nothing any more; what is under way goes on to its end."""
        for task_id in list(self._all):
            self.drop(task_id)

    async def run(self) -> None:
        """Do what is due, for ever."""
        while True:
            self._wake.clear()
            wait = self.turn()
            await set_within(self._wake, wait, self.sleep)

    def turn(self) -> float | None:
        """Begin everything that is due; seconds until the next, None when nothing waits."""
        now = self.monotonic()
        while self._heap:
            due, _, followed = self._heap[0]
            stale = followed.gone or followed.due != due
            if not stale and due > now:
                return due - now
            heapq.heappop(self._heap)
            if not stale:
                self._begin(followed)
        return None

    async def settle(self) -> None:
        """Wait for what is under way."""
        while self._running:
            await asyncio.wait(self._running)

    def cancel(self) -> None:
        """Break off what is under way."""
        for each in self._running:
            each.cancel()

    def _put(self, followed: Followed, after_s: float) -> None:
        self._count += 1
        followed.due = self.monotonic() + after_s
        heapq.heappush(self._heap, (followed.due, self._count, followed))
        self._wake.set()

    def _begin(self, followed: Followed) -> None:
        followed.due = -1.0
        lane = self._lanes.setdefault(followed.lane, _Lane(self.turns(followed)))
        if lane.busy >= lane.turns:
            lane.waiting.append(followed)
            return
        lane.busy += 1
        worker = asyncio.create_task(self._work(lane, followed))
        self._running.add(worker)
        worker.add_done_callback(self._running.discard)

    async def _work(self, lane: _Lane, followed: Followed) -> None:
        try:
            current: Followed | None = followed
            while current is not None:
                if not current.gone:
                    after_s = await self.step(current)
                    if after_s is None:
                        if self._all.get(current.id) is current:
                            self.drop(current.id)
                    elif not current.gone:
                        self._put(current, after_s * random.uniform(0.95, 1.05))  # noqa: S311 - spreads, hides nothing
                current = lane.waiting.popleft() if lane.waiting else None
        finally:
            lane.busy -= 1
