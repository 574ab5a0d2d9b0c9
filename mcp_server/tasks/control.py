"""What somebody other than the follower decides about a task: stop it, leave it, go on, settle what was in doubt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from mcp_server.domain.catalog import Catalog, Provider
from mcp_server.domain.task import Job, State, Task
from mcp_server.errors import KlingError, RequestError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import Wire
from mcp_server.providers.transport import Transport
from mcp_server.tasks import settlement as money
from mcp_server.tasks.failpoints import Failpoints
from mcp_server.tasks.follow.scheduler import Scheduler
from mcp_server.tasks.store.base import Filter, Record


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a wish to stop."""

    task: Task
    done: bool
    words: str
    """A sentence for the person."""


_OVER: Final[Mapping[State, str]] = {
    "succeeded": "There is nothing to stop: the clip is made and saved",
    "failed": "There is nothing to stop: it has failed",
    "cancelled": "It was cancelled before",
    "uncertain": "Nobody knows whether it was bought, so there is nothing to stop; settle it with what the vendor's "
    "dashboard shows",
}


@dataclass
class TaskControl:
    """Carries such decisions out."""

    record: Record
    transport: Transport
    catalog: Catalog
    wire: Callable[[Provider], Wire]
    account: Callable[[str, bool], Awaitable[Account]]
    now: Callable[[], float]
    marks: Failpoints
    table: Scheduler
    changed: Callable[[Task], None]
    start: Callable[[], Awaitable[None]]
    adopt: Callable[[], Awaitable[None]]
    """Take over what nobody holds, now and not at the next beat."""
    usd_per_credit: Decimal | None

    async def cancel(self, task_id: str, owner: str | None = None) -> Cancelled:
        """Stop it where it can be stopped, and say so where it cannot."""
        task = await self.record.get(task_id, owner)
        if task.finished:
            return Cancelled(task, task.state == "cancelled", _OVER[task.state])
        if task.state == "saving":
            return Cancelled(task, False, "The clip is made and paid; it is only being saved")
        if task.state == "submitting":
            if (withdrawn := await self.record.withdraw(task_id)) is not None:
                self.changed(withdrawn)
                return Cancelled(withdrawn, True, "It was cancelled before anything was sent. Nothing was charged")
            task = await self.record.get(task_id)
            if task.state == "submitting":
                return Cancelled(task, False, "The order is on its way to the vendor; ask again in a moment")
        return await self._ask_vendor(task)

    async def stop_following(self, task_id: str, owner: str | None = None) -> Task:
        """Look after it no more; the vendor goes on, and bills it."""
        await self.record.get(task_id, owner)
        return await self._decide(
            task_id, ("queued", "running", "saving"), "following stopped, as asked", stopped_following=True
        )

    async def resume(self, task_id: str, owner: str | None = None) -> Task:
        """Look after it again."""
        task = await self.record.get(task_id, owner)
        if not task.stopped_following or task.finished:
            return task
        await self.start()
        task = await self._decide(
            task_id, ("queued", "running", "saving"), "following again, as asked", stopped_following=False
        )
        await self.adopt()
        return task

    async def settle_uncertain(
        self, task_id: str, *, bought: bool, job_id: str | None = None, owner: str | None = None
    ) -> Task:
        """What the user found in the vendor's dashboard: not bought, bought, or bought as this job (then followed)."""
        task = await self.record.get(task_id, owner)
        if task.state != "uncertain":
            raise RequestError(f"Task {task_id} is {task.state}; only an uncertain one is settled by hand")
        if bought and job_id:
            await self._free(task, job_id, owner)
            await self.start()
            task = await self._decide(
                task_id,
                ("uncertain",),
                f"bought as {job_id}, says the user",
                state="queued",
                job_id=job_id,
                accepted_at=self.now(),
                error=None,
            )
            await self.adopt()
            return task
        error = {
            **(task.error or {}),
            "next_step": "Order again if the clip is still wanted",
            "money": "charged" if bought else "not_spent",
            "why": "It was charged, and there is no clip, says the user"
            if bought
            else "It was not bought, says the user",
        }
        settlement = money.settled(task, None, usd_per_credit=self.usd_per_credit)
        return await self._decide(
            task_id,
            ("uncertain",),
            "it was charged, says the user" if bought else "it was not bought, says the user",
            state="failed",
            error=error,
            reserved_usd=money.counted(task, settlement) if bought else Decimal(0),
            settlement=settlement if bought else None,
        )

    async def _free(self, task: Task, job_id: str, owner: str | None) -> None:
        """Nothing, or the refusal of a job that is not this order's: it would be paid once and counted twice."""
        taken = await self.record.find(Filter(job_id=job_id, provider=task.provider, simulated=task.simulated, limit=1))
        if taken and taken[0].owner == task.owner:
            raise RequestError(
                f"The job {job_id!r} is task {taken[0].id}",
                next_step="Name the job whose answer was lost, or say that it was not bought",
            )
        if taken or owner:
            # Everybody who comes over the network orders through the same accounts: any job may be another's.
            raise RequestError(
                f"The job {job_id!r} cannot be taken for task {task.id}",
                why="whose job it is cannot be told from here",
                next_step="Whoever keeps this server settles it with `kling-video settle`",
            )

    async def _ask_vendor(self, task: Task) -> Cancelled:
        facts = self.catalog.providers[task.provider]
        wire = self.wire(facts)
        call = wire.cancel(Job(id=task.job_id or "", status=task.status, links=task.job_links))
        if call is None:
            return Cancelled(task, False, f"{facts.name} has no way to cancel: it goes on and is billed")
        try:
            account = await self.account(task.provider, task.simulated)
            self.marks("cancel.before_ask")
            async with self.transport.slot(account):
                reply = await self.transport.send(account, call)
            answer = wire.read_cancel(reply)
        except KlingError as error:
            raise _unheard(error, task, facts) from None
        self.marks("cancel.answered")
        if not answer.done:
            self.table.hurry(task.id)
            words = f"{facts.name} does not stop it any more ({answer.words}): it goes on and is billed"
            return Cancelled(await self.record.get(task.id), False, words)
        settlement = money.unmade(task, None, facts, usd_per_credit=self.usd_per_credit)
        decided = await self.record.decide(
            task.id,
            ("queued", "running"),
            f"cancelled by the vendor, as asked ({answer.words})",
            state="cancelled",
            status=answer.words,
            settlement=settlement,
            reserved_usd=money.counted(task, settlement),
        )
        self.table.drop(task.id)
        if decided is None:
            # Somebody recorded its end while we asked.
            task = await self.record.get(task.id)
            said = f"{facts.name} says {answer.words!r}, but the task is already {task.state}"
            return Cancelled(task, task.state == "cancelled", said)
        self.changed(decided)
        return Cancelled(decided, True, f"{facts.name} stopped it")

    async def _decide(self, task_id: str, expected: tuple[Any, ...], what: str, **changes: Any) -> Task:
        task = await self.record.decide(task_id, expected, what, **changes)
        if task is None:
            task = await self.record.get(task_id)
            raise RequestError(f"Task {task_id} is {task.state}: this cannot be done with it")
        self.table.drop(task_id)
        self.changed(task)
        return task


def _unheard(error: KlingError, task: Task, facts: Provider) -> KlingError:
    """The error of a wish to stop that got no answer: what was ordered is paid for all the same."""
    if not task.simulated:
        error.money = "may_have_been_charged"
        error.next_step = f"Ask again; until {facts.name} says that it is stopped, it goes on and is billed"
    return error
