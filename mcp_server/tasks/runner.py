"""The door to everything between "yes, buy it" and a file on disk.

    runner = TaskRunner(TaskRuntime(store=SqliteStore(path), transport=…, catalog=…, account=…), intake=…)
    await runner.start()                               # go on with what is unfinished; nothing happens without a file
    task, created = await runner.buy(new, wait_s=10)   # written down before anything is sent
    tasks = await runner.wait([task.id], until="all", timeout_s=25)
    await runner.close()                               # hand what is unfinished to the other processes

What is only read stands in `runner.store`; what somebody decides about a task goes to `runner.control`.
Purchases belong to the process, not to the caller: cancelling `buy` or `wait` cancels no purchase.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.metrics import Reading
from mcp_server.providers.local_media import Intake
from mcp_server.tasks.control import TaskControl
from mcp_server.tasks.dispatcher import Dispatcher
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.follow.fetch import ClipFetch
from mcp_server.tasks.follow.lease_loop import LeaseLoop
from mcp_server.tasks.follow.pace import PollPacing
from mcp_server.tasks.follow.poller import Poller
from mcp_server.tasks.follow.scheduler import Scheduler
from mcp_server.tasks.follow.waiters import Waiters, set_within
from mcp_server.tasks.notify.notifier import Notifier
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Budget, Lease, NewTask, TaskStore
from mcp_server.tasks.submit.handover import LocalMediaHandover
from mcp_server.tasks.submit.submitter import Submitter

GRACE_S = 10.0
"""How long `close` waits for vendors' answers to orders that are on their way."""


@dataclass
class TaskRunner:
    """Buys, and lets this process work on what was bought until it ends."""

    runtime: TaskRuntime
    intake: Intake
    """Hands over the local media of an order before it leaves."""
    budget: Budget = field(default_factory=Budget)
    saver: Saver | None = None
    examine: Callable[[Task, Artifact], Awaitable[Artifact]] | None = None
    notifier: Notifier | None = None
    """Tells of ends elsewhere, where somebody wants that."""

    def __post_init__(self) -> None:
        runtime = self.runtime
        runtime.listeners.append(runtime.store.ownership.told)
        self.waiters = Waiters(runtime)
        scheduler = Scheduler(runtime)
        self.pacing = PollPacing(runtime, scheduler)
        poller = Poller(runtime, self.pacing, ClipFetch(runtime, self.saver or Saver(runtime), self.examine))
        submitter = Submitter(runtime, LocalMediaHandover(runtime, self.intake))
        self.dispatcher = Dispatcher(runtime, submitter, poller, scheduler)
        self.leases = LeaseLoop(runtime, self.waiters, self.dispatcher)
        self.control = TaskControl(runtime, self.dispatcher, self.leases, self.waiters)
        self.leases.stop_wished = self.control.answer_wish
        runtime.metrics.gauges.append(self._gauges)

    @property
    def alive(self) -> bool:
        """Whether the loops that look after tasks run, and came round lately."""
        return self.leases.alive

    def _gauges(self) -> list[Reading]:
        sending = self.dispatcher.submitter.unanswered
        return [
            ("kling_tasks_followed", {}, len(self.dispatcher.scheduler)),
            ("kling_orders_sending", {}, len(self.dispatcher.submitting)),
            ("kling_orders_unanswered", {}, len(sending)),
            ("kling_loop_age_seconds", {}, self.leases.age_s),
        ]

    @property
    def store(self) -> TaskStore:
        """Where the tasks are written down."""
        return self.runtime.store

    async def start(self) -> None:
        """Work on unfinished tasks nobody living works on, from now until `close`."""
        self.leases.start()
        if self.notifier is not None and not self.dispatcher.closed:
            self.notifier.start()

    async def buy(self, new: NewTask, *, wait_s: float = 10.0) -> tuple[Task, bool]:
        """The task, as it stands when the vendor has answered or `wait_s` has passed; False when the key knew it.

        BudgetError and KeyConflictError come before anything was recorded or sent.
        """
        (task,), created = await self.buy_all([new], wait_s=wait_s)
        return task, created

    async def buy_all(self, order: Sequence[NewTask], *, wait_s: float = 10.0) -> tuple[list[Task], bool]:
        """The same for the variations of one order: all of them are recorded before the first is sent, or none."""
        if self.dispatcher.closed:
            raise LocalError("This program is ending", next_step="Order again in a moment")
        await self.start()
        leases, created = await asyncio.shield(self.dispatcher.spawn(self._order(order)))
        ids = [lease.task.id for lease in leases]
        under_way = {task_id: work for task_id in ids if (work := self.dispatcher.submitting.get(task_id)) is not None}
        if under_way and wait_s > 0:
            await asyncio.wait(under_way.values(), timeout=wait_s)
        if created and not under_way and not self.store.ownership.at_once:
            # Another process sends it; this one is told.
            return await self._watched(
                ids, lambda tasks: all(task.state != "submitting" for task in tasks), wait_s
            ), True
        sent = {task_id: work.result() for task_id, work in under_way.items() if work.done() and not work.cancelled()}
        return [sent.get(task_id) or await self.store.get(task_id) for task_id in ids], created

    async def buy_with(self, record: Callable[[], Awaitable[Lease | None]]) -> Lease | None:
        """One purchase that its owner writes down itself, then sent; None where there is nothing to send.

        It goes on when the caller is cut off, as `buy` does.
        """
        if self.dispatcher.closed:
            raise LocalError("This program is ending", next_step="Order again in a moment")

        async def order() -> Lease | None:
            self.runtime.failpoint("buy.before_record")
            lease = await record()
            self.runtime.failpoint("buy.recorded")
            if lease is not None:
                self.dispatcher.submit(lease)
            return lease

        return await asyncio.shield(self.dispatcher.spawn(order()))

    async def wait(
        self,
        ids: Iterable[str],
        *,
        until: Literal["any", "all"] = "all",
        timeout_s: float = 25.0,
        on_progress: Callable[[Task], Awaitable[None]] | None = None,
    ) -> list[Task]:
        """The tasks once any or all of them are finished, or when the time is up; in the order asked for."""

        def over(tasks: Sequence[Task]) -> bool:
            ended = [task.finished or task.stopped_following for task in tasks]
            return not ended or (any(ended) if until == "any" else all(ended))

        await self.start()
        return await self._watched(ids, over, timeout_s, on_progress)

    async def _watched(
        self,
        ids: Iterable[str],
        over: Callable[[Sequence[Task]], bool],
        timeout_s: float,
        on_progress: Callable[[Task], Awaitable[None]] | None = None,
    ) -> list[Task]:
        """The tasks once it is over, or when the time is up."""
        wanted, clock = list(dict.fromkeys(ids)), self.runtime.clock
        event = self.waiters.join(wanted)
        end = clock.monotonic() + timeout_s
        shown: dict[str, tuple[object, ...]] = {}
        try:
            while True:
                event.clear()
                tasks = {task.id: task for task in await self.store.many(wanted)}
                if on_progress is not None:
                    for task in tasks.values():
                        face = (task.state, task.status, task.progress, task.queue_position, task.note)
                        if shown.get(task.id) != face:
                            shown[task.id] = face
                            await on_progress(task)
                left = end - clock.monotonic()
                if left <= 0 or over(list(tasks.values())):
                    return [tasks[task_id] for task_id in wanted if task_id in tasks]
                await set_within(event, left, clock.sleep)
        finally:
            self.waiters.leave(wanted, event)

    async def close(self, grace_s: float = GRACE_S) -> None:
        """Wait a little for answers that cost money, then give the rest to the other processes."""
        if self.dispatcher.closed:
            return
        self.dispatcher.closed = True
        await self.leases.stop()
        with contextlib.suppress(KlingError):
            await self.store.ownership.leave(self.dispatcher.submitting.keys())
        await self.dispatcher.close(grace_s)
        if self.notifier is not None:
            await self.notifier.close()
        with contextlib.suppress(KlingError):
            await self.store.ownership.release()
        await self.store.close()

    async def _order(self, order: Sequence[NewTask]) -> tuple[list[Lease], bool]:
        self.runtime.failpoint("buy.before_record")
        leases, created = await self.store.create_all(order, self.budget)
        self.runtime.failpoint("buy.recorded")
        for lease in leases if created and self.store.ownership.at_once else ():
            self.dispatcher.submit(lease)
        return leases, created
