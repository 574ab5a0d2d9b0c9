"""`TaskRuntime`: what every part that works on purchases shares, as one value that is made once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Unpack

from mcp_server import providers
from mcp_server.clock import Clock
from mcp_server.domain.catalog import Catalog, Provider
from mcp_server.domain.task import Task
from mcp_server.errors import LocalError
from mcp_server.metrics import Metrics
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import Wire
from mcp_server.providers.transport import Transport
from mcp_server.tasks.failpoints import Failpoints
from mcp_server.tasks.store.base import Changes, Lease, LeaseLostError, TaskStore


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRuntime:
    """The surroundings of a purchase: where it is written down, how its vendor is reached, what time it is."""

    store: TaskStore
    transport: Transport
    catalog: Catalog
    account: Callable[[str, bool], Awaitable[Account]]
    """Provider id and `simulated` → how to reach it; may have to start the sandbox first."""
    wire: Callable[[Provider], Wire] = providers.wire
    clock: Clock = field(default_factory=Clock)
    failpoint: Callable[[str], None] = field(default_factory=Failpoints)
    """Passed by name; a crash drill kills the process at one."""
    usd_per_credit: Decimal | None = None
    metrics: Metrics = field(default_factory=Metrics)
    """What this process counts of its work."""
    listeners: list[Callable[[Task], None]] = field(default_factory=list[Callable[[Task], None]])
    """Told of every new state that this process records."""

    def provider(self, task: Task) -> Provider:
        """The facts of the provider whose protocol the task is bought with; LocalError when it is not known here."""
        facts = self.catalog.providers.get(task.provider)
        if facts is None:
            raise LocalError(
                f"Task {task.id} was bought from {task.provider!r}, which this version of kling-video does not know",
                next_step="Update kling-video; whatever was ordered goes on at its vendor",
                money="unknown",
            )
        return facts

    async def account_of(self, task: Task) -> Account:
        """How the task's provider is reached now, which may be under another key than it was bought with."""
        return await self.account(task.provider, task.simulated)

    async def record(self, lease: Lease, what: str = "", *, money: bool = False, **changes: Unpack[Changes]) -> Task:
        """The task with what its holder found out, written and told; LeaseLostError when the lease is not ours now."""
        task = await self.store.change(lease, what, money=money, **changes)
        if task is None:
            raise LeaseLostError(lease.task.id)
        self.changed(task)
        return task

    def changed(self, task: Task) -> None:
        """Tell the listeners that this process recorded a new state of the task."""
        if task.finished:
            self.metrics.count("kling_tasks_ended_total", provider=task.provider, state=task.state)
            self.metrics.count("kling_ended_usd_total", float(task.reserved_usd), provider=task.provider)
            ended = task.finished_at or self.clock.now()
            facts = {"provider": task.provider, "model": task.model, "state": task.state, "task_id": task.id}
            self.transport.traces.span("task", task.created_at, ended, **facts)
        for listener in self.listeners:
            listener(task)
