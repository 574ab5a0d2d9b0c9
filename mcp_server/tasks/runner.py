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
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.local_media import Intake
from mcp_server.tasks.control import TaskControl
from mcp_server.tasks.dispatcher import Dispatcher
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.follow.lease_loop import LeaseLoop
from mcp_server.tasks.follow.pace import PollPacing
from mcp_server.tasks.follow.poller import Poller
from mcp_server.tasks.follow.scheduler import Scheduler
from mcp_server.tasks.follow.waiters import Waiters, set_within
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

    def __post_init__(self) -> None:
        runtime = self.runtime
        self.waiters = Waiters(runtime)
        scheduler = Scheduler(runtime)
        self.pacing = PollPacing(runtime, scheduler)
        poller = Poller(runtime, self.pacing, self.saver or Saver(runtime), self.examine)
        submitter = Submitter(runtime, LocalMediaHandover(runtime, self.intake))
        self.dispatcher = Dispatcher(runtime, submitter, poller, scheduler)
        self.leases = LeaseLoop(runtime, self.waiters, self.dispatcher)
        self.control = TaskControl(runtime, self.dispatcher, self.leases)

    @property
    def store(self) -> TaskStore:
        """Where the tasks are written down."""
        return self.runtime.store

    async def start(self) -> None:
        """Work on unfinished tasks nobody living works on, from now until `close`."""
        self.leases.start()

    async def buy(self, new: NewTask, *, wait_s: float = 10.0) -> tuple[Task, bool]:
        """The task, as it stands when the vendor has answered or `wait_s` has passed; False when the key knew it.

        BudgetError and KeyConflictError come before anything was recorded or sent.
        """
        if self.dispatcher.closed:
            raise LocalError("This program is ending", next_step="Order again in a moment")
        await self.start()
        lease, created = await asyncio.shield(self.dispatcher.spawn(self._order(new)))
        under_way = self.dispatcher.submitting.get(lease.task.id)
        if under_way is not None and wait_s > 0:
            await asyncio.wait({under_way}, timeout=wait_s)
            if under_way.done() and not under_way.cancelled() and (task := under_way.result()) is not None:
                return task, created
        return await self.store.get(lease.task.id), created

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
        clock = self.runtime.clock
        await self.start()
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
                over = [task.finished or task.stopped_following for task in tasks.values()]
                left = end - clock.monotonic()
                if left <= 0 or not over or (any(over) if until == "any" else all(over)):
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
        await self.dispatcher.close(grace_s)
        with contextlib.suppress(KlingError):
            await self.store.release()
        await self.store.close()

    async def _order(self, new: NewTask) -> tuple[Lease, bool]:
        self.runtime.failpoint("buy.before_record")
        lease, created = await self.store.create(new, self.budget)
        self.runtime.failpoint("buy.recorded")
        if created:
            self.dispatcher.submit(lease)
        return lease, created
