"""Sending a recorded order: at most one paid call, or one purchase under a vendor's key, whatever dies in between."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Unpack

from mcp_server.domain.catalog import Catalog, Provider
from mcp_server.domain.task import Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall, Wire
from mcp_server.providers.reading import state_of
from mcp_server.providers.transport import Transport
from mcp_server.tasks import settlement as money
from mcp_server.tasks.failpoints import Failpoints
from mcp_server.tasks.store.base import Changes, Lease, LeaseLostError, Record
from mcp_server.tasks.submit import outcome as buying
from mcp_server.tasks.submit.handover import LocalMediaHandover, noted
from mcp_server.tasks.submit.outcome import Bought, InDoubt, NotBought, Outcome

_log = logging.getLogger("kling_video.tasks")


@dataclass
class Submitter:
    """Sends orders."""

    record: Record
    transport: Transport
    catalog: Catalog
    wire: Callable[[Provider], Wire]
    account: Callable[[str, bool], Awaitable[Account]]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    marks: Failpoints
    changed: Callable[[Task], None]
    handing: LocalMediaHandover
    out: set[str] = field(default_factory=set[str])
    """Tasks whose paid call is on its way right now."""
    usd_per_credit: Decimal | None = None

    async def submit(self, held: Lease) -> Task | None:
        """The task after the vendor's answer, still ours; None when it is somebody else's to look after now."""
        try:
            return await self._submit(held)
        except LeaseLostError:
            return None
        except KlingError as error:
            # Before the call left, or the record itself failed; the row still says which.
            return await self._give_up(held, NotBought(error, None, "refused"))

    async def _submit(self, held: Lease) -> Task | None:
        task = held.task
        doubt: InDoubt | None = None
        began = self.now()
        if task.sent_at is not None:
            # A process died between sending and recording the answer.
            died = KlingError("the program ended before the answer was recorded")
            doubt = InDoubt(died)
            if not self._may_repeat(task) or not await self._same_account(task):
                return await self._uncertain(held, doubt)
        elif self._age(task) > buying.UNSENT_LIFE_S:
            late = KlingError(
                "The order was never sent: the program ended before it could be",
                next_step="Order again if the clip is still wanted",
            )
            return await self._give_up(held, NotBought(late, None, "refused"))
        try:
            call = await self.handing.call(held)
        except KlingError:
            if doubt is None:
                raise
            return await self._uncertain(held, doubt)
        tries = 0
        while True:
            tries += 1
            try:
                outcome = await self._send_once(held, call, in_doubt=doubt is not None)
            except LocalError:
                # This call did not leave; what became of an earlier one is as open as it was.
                if doubt is None:
                    raise
                return await self._uncertain(held, doubt)
            if doubt is not None:
                outcome = buying.after_doubt(outcome)
            match outcome:
                case Bought():
                    return await self._bought(held, outcome)
                case InDoubt():
                    doubt = outcome
                    if tries >= buying.DOUBT_TRIES or not self._may_repeat(held.task):
                        return await self._uncertain(held, outcome)
                    with contextlib.suppress(LocalError):
                        await self._say(held, note=f"The answer was lost; asking again under the same key ({tries})")
                    await self.sleep(min(30.0, 0.5 * 2**tries))
                case NotBought(again_s=again) if again is not None and self._patient(outcome, tries, began, again):
                    # Surely refused: the row says "not sent" again, so that a crash now leaves no doubt.
                    await self._say(held, money=True, sent_at=None, note=str(outcome.error))
                    await self.sleep(again if outcome.kind == "later" else again * 2 ** (tries - 1))
                case NotBought():
                    return await self._give_up(held, outcome)

    async def _send_once(self, held: Lease, call: HttpCall, *, in_doubt: bool) -> Outcome:
        task = held.task
        facts = self.catalog.providers[task.provider]
        try:
            account = await self.account(task.provider, task.simulated)
            if in_doubt and not _known_to(await self.record.get(task.id), account):
                raise LocalError("Another key is set by now than the one the order was sent with")
            async with self.transport.slot(account):
                self.marks("submit.before_sent")
                self.out.add(task.id)
                if not await self.record.sending(held, self.now(), account.mark):
                    raise LeaseLostError(task.id)
                self.marks("submit.before_send")
                reply = await self.transport.send(account, call)
            self.marks("submit.answered")
            return Bought(self.wire(facts).read_submit(reply))
        except (LocalError, LeaseLostError):
            raise
        except KlingError as error:
            return buying.of_error(error)
        except Exception as error:
            # A defect of ours after the call may have left: whatever it is, it must not buy twice.
            _log.exception("Task %s: the answer to its order could not be read", task.id)
            return InDoubt(KlingError(f"the answer could not be read ({type(error).__name__})"))
        finally:
            self.out.discard(task.id)

    async def _bought(self, held: Lease, outcome: Bought) -> Task | None:
        job = outcome.job
        facts = self.catalog.providers[held.task.provider]
        state = "running" if state_of(facts, job.status) == "running" else "queued"
        changes = Changes(
            state=state,
            accepted_at=self.now(),
            job_id=job.id,
            job_links=job.links,
            status=job.status,
            note="",
            error=None,
        )
        if (taken := money.taken(held.task, job.charged, usd_per_credit=self.usd_per_credit)) is not None:
            # More than was quoted counts at once; less only when the job's end has not said otherwise.
            counted = max(held.task.reserved_usd, money.counted(held.task, taken))
            changes |= Changes(settlement=taken, reserved_usd=counted)
        # Whoever closes waits for this as for the answer itself: it is written down nowhere else yet.
        self.out.add(held.task.id)
        try:
            task = await self._insist(held, f"the vendor took it as {job.id}", changes)
            self.marks("submit.recorded")
            return task or await self._too_late(held, job.id, changes)
        finally:
            self.out.discard(held.task.id)

    async def _too_late(self, held: Lease, job_id: str, changes: Changes) -> None:
        """Another process gave the answer up for lost; here it is after all, for whoever claims the task next."""
        what = f"a late answer: {job_id}"
        await self._until_written(
            held,
            what,
            lambda: self.record.decide(held.task.id, ("uncertain", "submitting"), what, **changes),
        )

    async def _insist(self, held: Lease, what: str, changes: Changes) -> Task | None:
        """Record what the vendor said; None when another process holds the task."""
        return await self._until_written(held, what, lambda: self.record.change(held, what, money=True, **changes))

    async def _until_written(self, held: Lease, what: str, write: Callable[[], Awaitable[Task | None]]) -> Task | None:
        """However long the disk takes: it exists nowhere else."""
        pause = 0.25
        while True:
            try:
                task = await write()
                break
            except LocalError as error:
                _log.error("Task %s: %s, but it cannot be recorded (%s); trying again", held.task.id, what, error.what)
                await self.sleep(pause)
                pause = min(30.0, pause * 2)
        if task is not None:
            self.changed(task)
        return task

    async def _uncertain(self, held: Lease, outcome: InDoubt) -> Task | None:
        name = self.catalog.providers[held.task.provider].name
        changes = Changes(state="uncertain", error=buying.uncertain(outcome.error, name), note="")
        return await self._insist(held, "the answer was lost; not sent again", changes)

    async def _give_up(self, held: Lease, outcome: NotBought) -> Task | None:
        changes = Changes(state="failed", error=buying.refused(outcome.error), reserved_usd=Decimal(0), note="")
        return await self._insist(held, "not bought", changes)

    async def _say(self, held: Lease, *, money: bool = False, **changes: Unpack[Changes]) -> None:
        what = changes.get("note", "")
        self.changed(await noted(self.record, held, what, money=money, **changes))

    def _may_repeat(self, task: Task) -> bool:
        return bool(task.call.get("idempotency_key")) and self._age(task) <= buying.KEY_LIFE_S

    def _age(self, task: Task) -> float:
        """Seconds since it was ordered; an order of the future shows by how much the clock was set back at least."""
        return abs(self.now() - task.created_at)

    async def _same_account(self, task: Task) -> bool:
        """Whether the vendor knows our idempotency key: processes that share a home may have keys of their own."""
        try:
            account = await self.account(task.provider, task.simulated)
        except KlingError:
            return False
        return _known_to(task, account)

    def _patient(self, outcome: NotBought, tries: int, began: float, again: float) -> bool:
        if outcome.kind == "unreachable":
            return tries < buying.UNREACHABLE_TRIES
        return tries < buying.LATER_TRIES and self.now() + again - began <= buying.LATER_LIMIT_S


def _known_to(task: Task, account: Account) -> bool:
    """Whether this is the account an order went out under; under another its key would buy once more."""
    return task.simulated or task.sent_as in ("", account.mark)
