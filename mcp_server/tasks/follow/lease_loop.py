"""The lease loop: a process says by its heartbeat that it lives, and takes over what dead processes left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from mcp_server.errors import KlingError
from mcp_server.tasks.dispatcher import Dispatcher
from mcp_server.tasks.follow.waiters import Waiters, set_within
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.heartbeat import HEARTBEAT_S

SILENT_S = 30.0
"""A loop that did not come round for so long stands still."""
_log = logging.getLogger("kling_video.tasks")


class LeaseHolder(Protocol):
    """Whoever has leases of another kind than tasks, which live by the same heartbeat."""

    def __len__(self) -> int:
        """How many leases of this process it works under."""
        ...

    async def take_over(self) -> None:
        """Go on with what nobody living works on."""
        ...

    async def let_go(self) -> None:
        """Stop whatever this process has no lease of any more."""
        ...


@dataclass
class LeaseLoop:
    """Keeps this process's leases alive, lets go of those it lost, and wakes waiters when another process wrote."""

    runtime: TaskRuntime
    waiters: Waiters
    dispatcher: Dispatcher
    loops: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]], init=False)
    stop_wished: Callable[[str], Coroutine[Any, Any, None]] | None = None
    """Stops a task at its vendor, for whoever wished it and could not."""
    others: list[LeaseHolder] = field(default_factory=list[LeaseHolder], init=False)
    _round_at: float = field(default=float("-inf"), init=False)
    """Monotonic time at which the loop last came round, whatever it could do then."""
    _moved: frozenset[str] | None = field(default=frozenset(), init=False)
    """Tasks that other processes changed since the last beat; None: any may have been."""
    _void: set[str] = field(default_factory=set[str], init=False)
    """Tasks this process has the lease of and does not work on, to be given back."""

    @property
    def age_s(self) -> float:
        """Seconds since the loop last came round; infinite where it never ran."""
        return self.runtime.clock.monotonic() - self._round_at

    @property
    def alive(self) -> bool:
        """Whether the loops run, and came round lately."""
        return bool(self.loops) and not any(loop.done() for loop in self.loops) and self.age_s < SILENT_S

    def start(self) -> None:
        """Poll and keep the leases from now until `stop`; nothing where that is done already."""
        if not self.loops and not self.dispatcher.closed:
            self.loops = [
                asyncio.create_task(self.dispatcher.poll(), name="kling-scheduler"),
                asyncio.create_task(self.run(), name="kling-leases"),
            ]

    async def stop(self) -> None:
        """Begin nothing more; what is under way goes on."""
        for loop in self.loops:
            loop.cancel()
        await asyncio.gather(*self.loops, return_exceptions=True)

    async def run(self) -> None:
        """Heartbeat and take over, every second, until this is cancelled; no error ends it."""
        clock, ownership = self.runtime.clock, self.runtime.store.ownership
        last = -HEARTBEAT_S
        while True:
            self.waiters.came.clear()
            self._round_at = clock.monotonic()
            try:
                for task_id in ownership.posted_about():
                    self.dispatcher.posted(task_id)
                self._stop_wished()
                due = clock.monotonic() - last >= HEARTBEAT_S
                if self.waiters or due:
                    self._note(await self.waiters.check())
                if clock.monotonic() - last >= HEARTBEAT_S:
                    last = clock.monotonic()
                    await self._heartbeat()
                elif ownership.woken.is_set():
                    await self.take_over()
            except KlingError as error:
                _log.warning("The record cannot be used now: %s", error.what)
            except Exception:
                # A defect of ours: a process that did nothing more would be taken for dead, and its clips with it.
                _log.exception("A round of the lease loop failed")
            seconds = self.waiters.watch_s or HEARTBEAT_S
            await set_within(ownership.woken, seconds, clock.sleep, self.waiters.came)

    async def take_over(self) -> None:
        """Go on with what nobody living works on."""
        ownership = self.runtime.store.ownership
        ownership.woken.clear()
        leases = await ownership.take_over()
        for lease in leases:
            _log.info("Task %s (%s) is looked after here now", lease.task.id, lease.task.state)
        # Orders being sent under a lease that is void by now; once that has noticed, the next round takes them up.
        self._void |= {lease.task.id for lease in leases if lease.task.id in self.dispatcher.submitting}
        await self.dispatcher.go_on(lease for lease in leases if lease.task.id not in self._void)
        if self._void:
            await ownership.release(self._void)
            self._void.clear()
        for other in self.others:
            await other.take_over()

    def _stop_wished(self) -> None:
        for task_id in self.runtime.store.ownership.wished_stopped():
            if self.stop_wished is not None:
                self.dispatcher.spawn(self.stop_wished(task_id))

    def _note(self, moved: frozenset[str] | None) -> None:
        self._moved = None if moved is None or self._moved is None else self._moved | moved

    async def _heartbeat(self) -> None:
        scheduler, ownership = self.dispatcher.scheduler, self.runtime.store.ownership
        moved, self._moved = self._moved, frozenset()
        if len(scheduler) or len(self.dispatcher.submitting) or any(map(len, self.others)):
            if not await ownership.heartbeat():
                # We slept so long that others took our tasks. Not all of them: an order or a take-over since then is
                # ours, and nobody would give it to us again.
                moved = None
                for other in self.others:
                    await other.let_go()
            if doubtful := (scheduler.ids() if moved is None else scheduler.ids() & moved):
                for task_id in await ownership.lost(doubtful):
                    scheduler.drop(task_id)
        await self.take_over()
