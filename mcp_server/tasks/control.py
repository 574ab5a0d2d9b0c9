"""What a person decides about a task: cancel it, stop following it, go on, settle what was in doubt."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job, State, Task, plausible_job
from mcp_server.errors import KlingError, NotSignedInError, ProviderError, RequestError, UncertainError
from mcp_server.tasks.dispatcher import Dispatcher
from mcp_server.tasks.follow.lease_loop import LeaseLoop
from mcp_server.tasks.follow.waiters import Waiters, set_within
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.settlement import counted, reservation, settled, unmade
from mcp_server.tasks.store.base import Filter


@dataclass(frozen=True, slots=True)
class CancelOutcome:
    """What became of a cancellation."""

    task: Task
    done: bool
    words: str
    """A sentence for the person."""


WISH_S: Final = 8.0
"""So long a worker may take to ask a vendor for somebody who cannot."""
_OVER: Final[Mapping[State, str]] = {
    "succeeded": "There is nothing to stop: the clip is made and saved",
    "failed": "There is nothing to stop: it has failed",
    "cancelled": "It was cancelled before",
    "uncertain": "Nobody knows whether it was bought, so there is nothing to stop; settle it with what the vendor's "
    "dashboard shows",
}


@dataclass
class TaskControl:
    """Carries a decision out durably, whichever process has the task's lease; RequestError where it cannot be."""

    runtime: TaskRuntime
    dispatcher: Dispatcher
    leases: LeaseLoop
    waiters: Waiters

    async def cancel(self, task_id: str, owner: str | None = None) -> CancelOutcome:
        """Stop it where it can be stopped, and say so where it cannot; goes on although the caller is cut off."""
        return await asyncio.shield(self.dispatcher.spawn(self._cancel(task_id, owner)))

    async def answer_wish(self, task_id: str) -> None:
        """Stop a task for somebody who has no key of its vendor, and say what came of it."""
        try:
            outcome = await self._cancel(task_id, None, for_another=True)
            done, words = outcome.done, outcome.words
        except KlingError as error:
            done, words = False, error.story
        with contextlib.suppress(KlingError):
            await self.runtime.store.answer_wish(task_id, words, done=done)

    async def stop_following(self, task_id: str, owner: str | None = None) -> Task:
        """Poll its job no more; the vendor goes on, and bills it."""
        await self.runtime.store.get(task_id, owner)
        return await self._decide(
            task_id, ("queued", "running", "saving"), "following stopped, as asked", stopped_following=True
        )

    async def resume(self, task_id: str, owner: str | None = None) -> Task:
        """Follow it again if following was stopped; else only the task as it stands."""
        task = await self.runtime.store.get(task_id, owner)
        if not task.stopped_following or task.finished:
            return task
        self.leases.start()
        task = await self._decide(
            task_id, ("queued", "running", "saving"), "following again, as asked", stopped_following=False
        )
        await self.leases.take_over()
        return task

    async def move(self, task_id: str, folder: str, owner: str | None = None) -> Task:
        """Save its clip in another folder, which was seen to be writable; tried at once."""
        await self.runtime.store.get(task_id, owner)
        self.leases.start()
        task = await self._decide(
            task_id,
            ("queued", "running", "saving"),
            f"to be saved in {folder}, as asked",
            output_dir=folder,
            stopped_following=False,
            note="",
        )
        await self.leases.take_over()
        return task

    async def settle_uncertain(
        self, task_id: str, *, bought: bool, job_id: str | None = None, owner: str | None = None
    ) -> Task:
        """What the user found in the vendor's dashboard: not bought, bought, or bought as this job (then followed).

        It can be said better as long as the vendor has shown no end.
        """
        task = await self.runtime.store.get(task_id, owner)
        if not task.to_be_settled:
            raise RequestError(f"Task {task_id} is {task.state}; only an uncertain one is settled by hand")
        if bought and job_id is not None:
            return await self._found(task, job_id.strip(), owner)
        error = {
            **_doubt(task),
            "next_step": "Order again if the clip is still wanted",
            "money": "charged" if bought else "not_spent",
            "why": "It was charged, and there is no clip, says the user"
            if bought
            else "It was not bought, says the user",
        }
        settlement = settled(replace(task, settlement=None), None, usd_per_credit=self.runtime.usd_per_credit)
        return await self._decide(
            task_id,
            (task.state,),
            "it was charged, says the user" if bought else "it was not bought, says the user",
            state="failed",
            by_hand=True,
            job_id=None,
            status="",
            error=error,
            reserved_usd=counted(replace(task, reserved_usd=reservation(task)), settlement) if bought else Decimal(0),
            settlement=settlement if bought else None,
        )

    async def _found(self, task: Task, job_id: str, owner: str | None) -> Task:
        """The task followed as this job of the vendor's, once that can be one."""
        if not plausible_job(job_id):
            raise RequestError(
                f"{job_id!r} is no job id of {self.runtime.provider(task).name}",
                next_step="Copy the id from the vendor's dashboard, or settle it with --bought or --not-bought",
            )
        await self._free(task, job_id, owner)
        note = await self._known_to_vendor(task, job_id)
        self.leases.start()
        await self._decide(
            task.id,
            (task.state,),
            f"bought as {job_id}, says the user",
            state="queued",
            by_hand=True,
            job_id=job_id,
            job_links={},
            status="",
            accepted_at=self.runtime.clock.now(),
            error=None,
            note=note,
            settlement=None,
            reserved_usd=reservation(task),
            stopped_following=False,
        )
        await self.leases.take_over()
        return await self.runtime.store.get(task.id)

    async def _known_to_vendor(self, task: Task, job_id: str) -> str:
        """Why the vendor could not say whether it knows the job; empty when it does, a refusal when it does not."""
        facts = self.runtime.provider(task)
        wire, job = self.runtime.wire(facts), Job(id=job_id)
        try:
            call = wire.status(job, self.runtime.catalog.known(task.offer_id))
            account = await self.runtime.account_of(task)
            async with self.runtime.transport.slot(account):
                reply = await self.runtime.transport.send(account, call)
            wire.read_status(job, reply)
        except KlingError as error:
            if isinstance(error, ProviderError) and error.fault == "not_found":
                raise RequestError(
                    f"{facts.name} does not know the job {job_id!r}",
                    why=error.vendor_words,
                    next_step="Look for its id in the vendor's dashboard; a very new job may be known in a moment",
                    money="may_have_been_charged",
                ) from error
            return f"{facts.name} could not be asked whether it knows this job: {error.what}"
        return ""

    async def _cancel(self, task_id: str, owner: str | None, *, for_another: bool = False) -> CancelOutcome:
        task = await self.runtime.store.get(task_id, owner)
        if task.finished:
            return CancelOutcome(task, task.state == "cancelled", _OVER[task.state])
        if task.state == "saving":
            return CancelOutcome(task, False, "The clip is made and paid; it is only being saved")
        if task.state == "submitting":
            if (withdrawn := await self.runtime.store.withdraw(task_id)) is not None:
                self.runtime.changed(withdrawn)
                return CancelOutcome(withdrawn, True, "It was cancelled before anything was sent. Nothing was charged")
            task = await self.runtime.store.get(task_id)
            if task.state == "submitting":
                return CancelOutcome(task, False, "The order is on its way to the vendor; ask again in a moment")
        return await self._ask_vendor(task, for_another=for_another)

    async def _wished(self, task: Task, facts: Provider) -> CancelOutcome:
        """What the worker that follows the task made of the wish to stop it; within a while, or not yet."""
        store, clock = self.runtime.store, self.runtime.clock
        end, changed = clock.monotonic() + WISH_S, self.waiters.join([task.id])
        try:
            while True:
                changed.clear()
                answer, left = await store.wish_answer(task.id), end - clock.monotonic()
                if answer is not None or left <= 0:
                    break
                await set_within(changed, left, clock.sleep)
        finally:
            self.waiters.leave([task.id], changed)
        task = await store.get(task.id)
        if answer is not None:
            return CancelOutcome(task, answer[0], answer[1])
        if task.finished:
            return CancelOutcome(task, task.state == "cancelled", _OVER[task.state])
        words = f"A worker was told to ask {facts.name}, and has not answered; until it did, it goes on and is billed"
        return CancelOutcome(task, False, words)

    async def _free(self, task: Task, job_id: str, owner: str | None) -> None:
        """Nothing, or the refusal of a job that is not this order's: it would be paid once and counted twice."""
        found = await self.runtime.store.find(
            Filter(job_id=job_id, provider=task.provider, simulated=task.simulated, limit=2)
        )
        taken = [other for other in found if other.id != task.id]
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

    async def _ask_vendor(self, task: Task, *, for_another: bool) -> CancelOutcome:
        facts = self.runtime.provider(task)
        wire = self.runtime.wire(facts)
        call = wire.cancel(Job(id=task.job_id or "", status=task.status, links=task.job_links))
        if call is None:
            return CancelOutcome(task, False, f"{facts.name} has no way to cancel: it goes on and is billed")
        try:
            account = await self.runtime.account_of(task)
            self.runtime.failpoint("cancel.before_ask")
            async with self.runtime.transport.slot(account):
                reply = await self.runtime.transport.send(account, call)
            answer = wire.read_cancel(reply)
        except NotSignedInError as error:
            # No key here: a worker has one.
            if not for_another and await self.runtime.store.wish_stopped(task.id):
                return await self._wished(task, facts)
            raise _unheard(error, task, facts) from None
        except KlingError as error:
            raise _unheard(error, task, facts) from None
        self.runtime.failpoint("cancel.answered")
        if not answer.done:
            self.dispatcher.scheduler.hurry(task.id)
            words = (
                f"{facts.name} does not stop it any more ({answer.words}): it goes on and is billed"
                if answer.done is False
                else f"{facts.name} was asked to stop it ({answer.words}); until it says that it did, it may be billed"
            )
            return CancelOutcome(await self.runtime.store.get(task.id), False, words)
        settlement = unmade(task, None, facts, usd_per_credit=self.runtime.usd_per_credit)
        decided = await self.runtime.store.decide(
            task.id,
            ("queued", "running"),
            f"cancelled by the vendor, as asked ({answer.words})",
            state="cancelled",
            status=answer.words,
            settlement=settlement,
            reserved_usd=counted(task, settlement),
        )
        self.dispatcher.scheduler.drop(task.id)
        if decided is None:
            # Somebody recorded its end while we asked.
            task = await self.runtime.store.get(task.id)
            said = f"{facts.name} says {answer.words!r}, but the task is already {task.state}"
            return CancelOutcome(task, task.state == "cancelled", said)
        self.runtime.changed(decided)
        return CancelOutcome(decided, True, f"{facts.name} stopped it")

    async def _decide(self, task_id: str, expected: tuple[Any, ...], what: str, **changes: Any) -> Task:
        task = await self.runtime.store.decide(task_id, expected, what, **changes)
        if task is None:
            task = await self.runtime.store.get(task_id)
            raise RequestError(f"Task {task_id} is {task.state}: this cannot be done with it")
        self.dispatcher.scheduler.drop(task_id)
        self.runtime.changed(task)
        return task


def _doubt(task: Task) -> Mapping[str, Any]:
    """The error of the lost answer, which a job that was named wrongly took away."""
    error = task.error or {}
    if error.get("code") == UncertainError.code:
        return error
    return UncertainError("The answer to the order was lost", money="may_have_been_charged").as_dict()


def _unheard(error: KlingError, task: Task, facts: Provider) -> KlingError:
    """The error of a wish to stop that got no answer: what was ordered is paid for all the same."""
    if not task.simulated:
        error.money = "may_have_been_charged"
        error.next_step = f"Ask again; until {facts.name} says that it is stopped, it goes on and is billed"
    return error
