"""The regular duties of a process: it says that it lives, takes over what others left, wakes those who wait."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Container, Sized
from dataclasses import dataclass, field
from typing import Protocol

from mcp_server.errors import KlingError
from mcp_server.tasks.follow.pace import PollPacing
from mcp_server.tasks.follow.scheduler import Followed, Scheduler
from mcp_server.tasks.follow.waiters import WATCH_S, Waiters
from mcp_server.tasks.store.base import Lease, Record
from mcp_server.tasks.store.heartbeat import BEAT_S

_log = logging.getLogger("kling_video.tasks")

LOOKED_AT_AT_ONCE = 200
"""Up to so many tasks, one that is taken over is looked at at once; among more, if its clip could be ready."""


class UnderWay(Container[str], Sized, Protocol):
    """Ids of orders this process is sending."""


@dataclass
class LeaseLoop:
    """Does them."""

    record: Record
    waiters: Waiters
    table: Scheduler
    pacer: PollPacing
    submitting: UnderWay
    submit: Callable[[Lease], None]
    follow: Callable[[Lease, Callable[[Followed], Awaitable[float]]], Awaitable[None]]
    monotonic: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    _void: set[str] = field(default_factory=set[str], init=False)
    """Tasks this process holds and does not look after, to be given back."""

    async def run(self) -> None:
        """For ever."""
        last = -BEAT_S
        while True:
            try:
                moved = await self.waiters.look() if self.waiters or self.monotonic() - last >= BEAT_S else False
                if self.monotonic() - last >= BEAT_S:
                    last = self.monotonic()
                    await self._beat(moved=moved)
            except KlingError as error:
                _log.warning("The record cannot be used now: %s", error.what)
            except Exception:
                # A defect of ours: a process that did nothing more would be taken for dead, and its clips with it.
                _log.exception("A round of regular duties failed")
            await self.sleep(WATCH_S if len(self.waiters) else BEAT_S)

    async def adopt(self) -> None:
        """Take over what nobody living looks after."""
        claimed = await self.record.claim()
        few = len(self.table) + len(claimed) <= LOOKED_AT_AT_ONCE
        for held in claimed:
            _log.info("Task %s (%s) is looked after here now", held.task.id, held.task.state)
            if held.task.id in self.submitting:
                # Under a hold that is void by now; once that has noticed, the next round takes it up.
                self._void.add(held.task.id)
            elif held.task.state == "submitting":
                self.submit(held)
            else:
                await self.follow(held, _at_once if few else self.pacer.gap_after_absence)
        if self._void:
            await self.record.release(self._void)
            self._void.clear()

    async def _beat(self, *, moved: bool) -> None:
        if len(self.table) or len(self.submitting):
            if not await self.record.beat():
                # We slept so long that others took our tasks; what is still ours comes back with the next claim.
                self.table.clear()
            elif moved:
                await self._let_go()
        await self.adopt()

    async def _let_go(self) -> None:
        held = await self.record.held()
        for task_id in self.table.ids() - held:
            self.table.drop(task_id)


async def _at_once(_: Followed) -> float:
    return 0.0
