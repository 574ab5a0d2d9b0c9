"""The lease loop: a process says by its heartbeat that it lives, and takes over what dead processes left."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from mcp_server.errors import KlingError
from mcp_server.tasks.dispatcher import Dispatcher
from mcp_server.tasks.follow.waiters import WATCH_S, Waiters
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.heartbeat import HEARTBEAT_S

_log = logging.getLogger("kling_video.tasks")


@dataclass
class LeaseLoop:
    """Keeps this process's leases alive, lets go of those it lost, and wakes waiters when another process wrote."""

    runtime: TaskRuntime
    waiters: Waiters
    dispatcher: Dispatcher
    loops: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]], init=False)
    _void: set[str] = field(default_factory=set[str], init=False)
    """Tasks this process has the lease of and does not work on, to be given back."""

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
        clock = self.runtime.clock
        last = -HEARTBEAT_S
        while True:
            try:
                due = clock.monotonic() - last >= HEARTBEAT_S
                moved = await self.waiters.check() if self.waiters or due else False
                if clock.monotonic() - last >= HEARTBEAT_S:
                    last = clock.monotonic()
                    await self._heartbeat(moved=moved)
            except KlingError as error:
                _log.warning("The record cannot be used now: %s", error.what)
            except Exception:
                # A defect of ours: a process that did nothing more would be taken for dead, and its clips with it.
                _log.exception("A round of the lease loop failed")
            await clock.sleep(WATCH_S if len(self.waiters) else HEARTBEAT_S)

    async def take_over(self) -> None:
        """Go on with what nobody living works on."""
        leases = await self.runtime.store.take_over()
        for lease in leases:
            _log.info("Task %s (%s) is looked after here now", lease.task.id, lease.task.state)
        # Orders being sent under a lease that is void by now; once that has noticed, the next round takes them up.
        self._void |= {lease.task.id for lease in leases if lease.task.id in self.dispatcher.submitting}
        await self.dispatcher.go_on(lease for lease in leases if lease.task.id not in self._void)
        if self._void:
            await self.runtime.store.release(self._void)
            self._void.clear()

    async def _heartbeat(self, *, moved: bool) -> None:
        scheduler = self.dispatcher.scheduler
        if len(scheduler) or len(self.dispatcher.submitting):
            if not await self.runtime.store.heartbeat():
                # We slept so long that others took our tasks; what is still ours comes back with the next take-over.
                scheduler.clear()
            elif moved:
                leased = await self.runtime.store.leased()
                for task_id in scheduler.ids() - leased:
                    scheduler.drop(task_id)
        await self.take_over()
