"""The door to everything between "yes, buy it" and a file on disk.

    desk = TaskRunner(record=SqliteStore(path, now=time.time), transport=…, account=…, catalog=…, intake=…)
    await desk.start()                               # look after what is unfinished; nothing happens without a record
    task, created = await desk.buy(new, wait_s=10)   # recorded before anything is sent
    tasks = await desk.wait([task.id], until="all", timeout_s=25)
    await desk.close()                               # hand what is unfinished to the other processes

Purchases belong to the process, not to the caller: cancelling `buy` or `wait` cancels no purchase.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeVar

from mcp_server import providers
from mcp_server.domain.catalog import Catalog, Provider
from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import Wire
from mcp_server.providers.local_media import Intake
from mcp_server.providers.transport import Transport
from mcp_server.tasks.control import Cancelled, TaskControl
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.failpoints import Failpoints
from mcp_server.tasks.follow.lease_loop import LeaseLoop
from mcp_server.tasks.follow.pace import PollPacing
from mcp_server.tasks.follow.poller import Poller, lane_of
from mcp_server.tasks.follow.scheduler import SAVES_AT_ONCE, SAVING, Followed, Scheduler
from mcp_server.tasks.follow.waiters import Waiters, set_within
from mcp_server.tasks.store.base import Budget, Event, Filter, Lease, NewTask, Record, Spent, day_of
from mcp_server.tasks.submit.handover import LocalMediaHandover
from mcp_server.tasks.submit.submitter import Submitter

_log = logging.getLogger("kling_video.tasks")
T = TypeVar("T")
GRACE_S = 10.0
"""How long `close` waits for vendors' answers to orders that are on their way."""


@dataclass
class TaskRunner:
    """Buys, follows, saves and remembers."""

    record: Record
    transport: Transport
    account: Callable[[str, bool], Awaitable[Account]]
    """Provider id and `simulated` → how to reach it; may have to start the sandbox first."""
    catalog: Catalog
    intake: Intake
    """Hands over the local media of an order before it leaves."""
    now: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wire: Callable[[Provider], Wire] = providers.wire
    budget: Budget = field(default_factory=Budget)
    usd_per_credit: Decimal | None = None
    crash_at: str = ""
    """A point of `marks.POINTS` at which a drill wants this process dead."""
    saver: Saver | None = None
    examine: Callable[[Task, Artifact], Awaitable[Artifact]] | None = None
    """Looks into a saved file before the task counts as succeeded; must not raise."""
    _work: set[asyncio.Task[Any]] = field(default_factory=set[asyncio.Task[Any]], init=False)
    _keepers: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]], init=False)
    _submitting: dict[str, asyncio.Task[Any]] = field(default_factory=dict[str, asyncio.Task[Any]], init=False)
    _closed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.marks = Failpoints(self.crash_at)
        self._waiters = Waiters(self.record)
        self._handing = LocalMediaHandover(
            record=self.record,
            intake=self.intake,
            catalog=self.catalog,
            account=self.account,
            sleep=self.sleep,
            marks=self.marks,
            changed=self._changed,
        )
        self._submitter = Submitter(
            record=self.record,
            transport=self.transport,
            catalog=self.catalog,
            wire=self.wire,
            account=self.account,
            now=self.now,
            sleep=self.sleep,
            marks=self.marks,
            changed=self._changed,
            usd_per_credit=self.usd_per_credit,
            handing=self._handing,
        )
        self._pacer = PollPacing(
            record=self.record, catalog=self.catalog, now=self.now, monotonic=self.monotonic, crowd=self._share
        )
        self._looker = Poller(
            record=self.record,
            transport=self.transport,
            catalog=self.catalog,
            wire=self.wire,
            account=self.account,
            saver=self.saver or Saver(transport=self.transport, now=self.now, marks=self.marks),
            now=self.now,
            monotonic=self.monotonic,
            marks=self.marks,
            changed=self._changed,
            pacer=self._pacer,
            usd_per_credit=self.usd_per_credit,
            examine=self.examine,
        )
        self._table = Scheduler(step=self._looker.step, turns=self._turns, monotonic=self.monotonic, sleep=self.sleep)
        self._keeper = LeaseLoop(
            record=self.record,
            waiters=self._waiters,
            table=self._table,
            pacer=self._pacer,
            submitting=self._submitting,
            submit=self._submit,
            follow=self._follow,
            monotonic=self.monotonic,
            sleep=self.sleep,
        )
        self._decider = TaskControl(
            record=self.record,
            transport=self.transport,
            catalog=self.catalog,
            wire=self.wire,
            account=self.account,
            now=self.now,
            marks=self.marks,
            table=self._table,
            changed=self._changed,
            start=self.start,
            adopt=self._keeper.adopt,
            usd_per_credit=self.usd_per_credit,
        )

    async def start(self) -> None:
        """Look after unfinished tasks nobody living looks after, from now until `close`."""
        if not self._keepers and not self._closed:
            self._keepers = [
                asyncio.create_task(self._table.run(), name="kling-timetable"),
                asyncio.create_task(self._keeper.run(), name="kling-keeper"),
            ]

    async def buy(self, new: NewTask, *, wait_s: float = 10.0) -> tuple[Task, bool]:
        """The task, as it stands when the vendor has answered or `wait_s` has passed; False when the key knew it.

        BudgetError and KeyConflictError come before anything was recorded or sent.
        """
        if self._closed:
            raise LocalError("This program is ending", next_step="Order again in a moment")
        await self.start()
        held, created = await asyncio.shield(self._spawn(self._order(new)))
        under_way = self._submitting.get(held.task.id)
        if under_way is not None and wait_s > 0:
            await asyncio.wait({under_way}, timeout=wait_s)
            if under_way.done() and not under_way.cancelled() and (task := under_way.result()) is not None:
                return task, created
        return await self.record.get(held.task.id), created

    async def get(self, task_id: str, owner: str | None = None) -> Task:
        """The task as it stands, from the record alone; UnknownTaskError."""
        return await self.record.get(task_id, owner)

    async def find(self, wanted: Filter) -> list[Task]:
        """Tasks by what they are."""
        return await self.record.find(wanted)

    async def history(self, task_id: str) -> list[Event]:
        """What happened to a task, oldest first."""
        return await self.record.history(task_id)

    async def wait(
        self,
        ids: Iterable[str],
        *,
        until: Literal["any", "all"] = "all",
        timeout_s: float = 25.0,
        on_progress: Callable[[Task], Awaitable[None]] | None = None,
    ) -> list[Task]:
        """The tasks once any or all of them are finished, or when the time is up; in the order asked for."""
        wanted = list(dict.fromkeys(ids))
        await self.start()
        event = self._waiters.join(wanted)
        end = self.monotonic() + timeout_s
        shown: dict[str, tuple[object, ...]] = {}
        try:
            while True:
                event.clear()
                tasks = {task.id: task for task in await self.record.many(wanted)}
                if on_progress is not None:
                    for task in tasks.values():
                        face = (task.state, task.status, task.progress, task.queue_position, task.note)
                        if shown.get(task.id) != face:
                            shown[task.id] = face
                            await on_progress(task)
                over = [task.finished or task.stopped_following for task in tasks.values()]
                left = end - self.monotonic()
                if left <= 0 or not over or (any(over) if until == "any" else all(over)):
                    return [tasks[task_id] for task_id in wanted if task_id in tasks]
                await set_within(event, left, self.sleep)
        finally:
            self._waiters.leave(wanted, event)

    async def cancel(self, task_id: str, owner: str | None = None) -> Cancelled:
        """Stop it where it can be stopped, and say so where it cannot."""
        return await asyncio.shield(self._spawn(self._decider.cancel(task_id, owner)))

    async def stop_following(self, task_id: str, owner: str | None = None) -> Task:
        """Look after it no more; the vendor goes on, and bills it."""
        return await self._decider.stop_following(task_id, owner)

    async def resume(self, task_id: str, owner: str | None = None) -> Task:
        """Look after it again."""
        return await self._decider.resume(task_id, owner)

    async def settle_uncertain(
        self, task_id: str, *, bought: bool, job_id: str | None = None, owner: str | None = None
    ) -> Task:
        """What the user found in the vendor's dashboard: not bought, bought, or bought as this job (then followed)."""
        return await self._decider.settle_uncertain(task_id, bought=bought, job_id=job_id, owner=owner)

    async def spend(self, days: int = 30, owner: str | None = None) -> list[Spent]:
        """What was quoted, settled and counted, by day, provider and model."""
        return await self.record.spent(day_of(self.now() - (days - 1) * 86_400), owner)

    async def poll_after_s(self, task: Task) -> float:
        """A sensible time to come back."""
        return await self._pacer.poll_after_s(task)

    async def expected_s(self, task: Task) -> float | None:
        """How long such clips usually take, as far as the record has seen some."""
        return await self._pacer.expected_s(task)

    async def close(self, grace_s: float = GRACE_S) -> None:
        """Wait a little for answers that cost money, then give the rest to the other processes."""
        if self._closed:
            return
        self._closed = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        self._table.clear()
        self._table.cancel()
        await self._answers(grace_s)
        for work in list(self._work):
            work.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)
        await self._table.settle()
        with contextlib.suppress(KlingError):
            await self.record.release()
        await self.record.close()

    async def _answers(self, grace_s: float) -> None:
        """Wait for the answers to paid calls that are on their way; nothing else is worth waiting for."""
        end = self.monotonic() + grace_s
        while self._submitter.out and self.monotonic() < end:
            waiting = [self._submitting[task_id] for task_id in self._submitter.out if task_id in self._submitting]
            await asyncio.wait(waiting, timeout=min(0.2, grace_s)) if waiting else await asyncio.sleep(0.01)

    async def _order(self, new: NewTask) -> tuple[Lease, bool]:
        self.marks("buy.before_record")
        held, created = await self.record.create(new, self.budget)
        self.marks("buy.recorded")
        if created:
            self._submit(held)
        return held, created

    def _submit(self, held: Lease) -> None:
        async def work() -> Task | None:
            task = await self._submitter.submit(held)
            if task is not None and not task.finished:
                await self._follow(Lease(task, held.claim))
            return task

        self._submitting[held.task.id] = self._spawn(work())
        self._submitting[held.task.id].add_done_callback(lambda _: self._submitting.pop(held.task.id, None))

    async def _follow(self, held: Lease, wait: Callable[[Followed], Awaitable[float]] | None = None) -> None:
        task = held.task
        followed = Followed(task.id, held.claim, lane_of(task), task, self.monotonic())
        after_s = await (wait or self._pacer.gap)(followed)
        if not self._closed:
            self._table.add(followed, after_s)

    def _turns(self, followed: Followed) -> int:
        if followed.lane == SAVING:
            return SAVES_AT_ONCE
        return self.catalog.providers[followed.task.provider].concurrency

    def _share(self, lane: str) -> int:
        return self._table.share(lane)

    def _changed(self, task: Task) -> None:
        self._waiters.tell(task.id)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        made = asyncio.create_task(work)
        self._work.add(made)
        made.add_done_callback(self._work.discard)
        return made
