"""Sending a recorded order: at most one paid call, or one purchase under a vendor's key, whatever dies in between."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from mcp_server.domain.task import Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.reading import state_of
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.settlement import ZERO, counted, reservation, taken
from mcp_server.tasks.store.base import Changes, Lease, LeaseLostError
from mcp_server.tasks.submit.handover import LocalMediaHandover
from mcp_server.tasks.submit.lookup import Lookup, Seen
from mcp_server.tasks.submit.outcome import (
    DOUBT_TRIES,
    KEY_LIFE_S,
    LATER_LIMIT_S,
    LATER_TRIES,
    UNREACHABLE_TRIES,
    UNSENT_LIFE_S,
    Bought,
    InDoubt,
    NotBought,
    Outcome,
    after_doubt,
    doubt_told,
    outcome_of,
    refusal_told,
)
from mcp_server.telemetry import working_on

_log = logging.getLogger("kling_video.tasks")


@dataclass
class Submitter:
    """Sends an order until its outcome is known and written down; a paid call leaves only as the store allows it."""

    runtime: TaskRuntime
    handover: LocalMediaHandover
    lookup: Lookup = field(init=False)
    unanswered: set[str] = field(default_factory=set[str], init=False)
    """Tasks whose paid call is on its way right now, or whose answer is not written down yet."""

    def __post_init__(self) -> None:
        self.lookup = Lookup(self.runtime)

    async def submit(self, lease: Lease) -> Task | None:
        """The task after the vendor's answer, still ours; None when another process has the lease now."""
        try:
            with working_on(lease.task.id):
                return await self._submit(lease)
        except _GivenUpError:
            return await self._never_left(lease)
        except LeaseLostError:
            return None
        except KlingError as error:
            # Before the call left, or the store itself failed; the row still says which.
            return await self._give_up(lease, NotBought(error, None, "refused"))

    async def _submit(self, lease: Lease) -> Task | None:
        task = lease.task
        if task.sent_at is None:
            if self._age(task) <= UNSENT_LIFE_S:
                return await self._send(lease, None)
            late = KlingError(
                "The order was never sent: the program ended before it could be",
                next_step="Order again if the clip is still wanted",
            )
            return await self._give_up(lease, NotBought(late, None, "refused"))
        # A process died between sending and recording the answer.
        doubt = InDoubt(KlingError("the program ended before the answer was recorded"))
        if self._may_repeat(task) and await self._same_account(task):
            return await self._send(lease, doubt)
        return await self._uncertain(lease, doubt)

    async def _send(self, lease: Lease, doubt: InDoubt | None) -> Task | None:
        """Send as often as it is right to; `doubt` is what is not known of a call that left before."""
        began, tries, call = self.runtime.clock.now(), 0, None
        while True:
            tries += 1
            try:
                if call is None:
                    call = await self.handover.call(lease)
                outcome = await self._outcome(lease, call, in_doubt=doubt is not None)
            except KlingError:
                # This call did not leave; what became of an earlier one is as open as it was.
                if doubt is None:
                    raise
                return await self._uncertain(lease, doubt)
            match outcome:
                case Bought():
                    return await self._bought(lease, outcome)
                case InDoubt():
                    doubt = outcome
                    if tries >= DOUBT_TRIES or not self._may_repeat(lease.task):
                        return await self._uncertain(lease, outcome)
                    note = f"The answer was lost; asking again under the same key ({tries})"
                    with contextlib.suppress(LocalError):
                        await self.runtime.record(lease, note, note=note)
                    await self.runtime.clock.sleep(min(30.0, 0.5 * 2**tries))
                case NotBought():
                    pause = self._again_after_s(outcome, tries, began)
                    if pause is None:
                        return await self._give_up(lease, outcome)
                    # Surely refused: the row says "not sent" again, so that a crash now leaves no doubt.
                    note = str(outcome.error)
                    await self.runtime.record(lease, note, money=True, sent_at=None, note=note)
                    await self.runtime.clock.sleep(pause)

    async def _outcome(self, lease: Lease, call: HttpCall, *, in_doubt: bool) -> Outcome:
        """What sending it once came to; where a call left before, what is known now of both."""
        outcome = await self._send_once(lease, call, in_doubt=in_doubt)
        return after_doubt(outcome) if in_doubt else outcome

    async def _send_once(self, lease: Lease, call: HttpCall, *, in_doubt: bool) -> Outcome:
        runtime, task = self.runtime, lease.task
        try:
            account = await runtime.account_of(task)
            if in_doubt and not _known_to(await runtime.store.get(task.id), account):
                raise LocalError("Another key is set by now than the one the order was sent with")
            async with runtime.transport.slot(account):
                runtime.failpoint("submit.before_sent")
                self.unanswered.add(task.id)
                if not await runtime.store.sending(lease, runtime.clock.now(), account.mark):
                    raise LeaseLostError(task.id)
                runtime.failpoint("submit.before_send")
                reply = await runtime.transport.send(account, call, leaves=partial(self._leaves, lease))
            runtime.failpoint("submit.answered")
            return Bought(runtime.wire(runtime.provider(task)).read_submit(reply))
        except (LocalError, LeaseLostError):
            raise
        except KlingError as error:
            return outcome_of(error)
        except Exception as error:
            # A defect of ours after the call may have left: whatever it is, it must not buy twice.
            _log.exception("Task %s: the answer to its order could not be read", task.id)
            return InDoubt(KlingError(f"the answer could not be read ({type(error).__name__})"))
        finally:
            self.unanswered.discard(task.id)

    async def _leaves(self, lease: Lease) -> None:
        """Nothing, or the error that keeps the call here: opening the line takes time, and this process may sleep."""
        if not await self.runtime.store.still_leased(lease):
            raise _GivenUpError(lease.task.id)

    async def _never_left(self, lease: Lease) -> None:
        """Who gave the order up could not know that its call was still here; nobody else may have sent it."""
        if lease.task.sent_at is not None or lease.task.call.get("idempotency_key"):
            return
        error = KlingError(
            "The order never left: it was given up while the line to the vendor opened",
            next_step="Order again if the clip is still wanted",
        )
        what = "the call had not left when it was given up"
        changes = Changes(state="failed", error=refusal_told(error), reserved_usd=Decimal(0), note="")
        # Whoever closes waits for this, too: nobody else can know it.
        self.unanswered.add(lease.task.id)
        try:
            await self._until_written(
                lease, what, lambda: self.runtime.store.decide(lease.task.id, ("uncertain",), what, **changes)
            )
        finally:
            self.unanswered.discard(lease.task.id)

    async def _bought(self, lease: Lease, outcome: Bought) -> Task | None:
        job, task = outcome.job, lease.task
        facts = self.runtime.provider(task)
        state = "running" if state_of(facts, job.status) == "running" else "queued"
        changes = Changes(
            state=state,
            accepted_at=self.runtime.clock.now(),
            job_id=job.id,
            job_links=job.links,
            status=job.status,
            note="",
            error=None,
        )
        if (settlement := taken(task, job.charged, usd_per_credit=self.runtime.usd_per_credit)) is not None:
            # More than was quoted counts at once; less only when the job's end has not said otherwise.
            changes |= Changes(settlement=settlement, reserved_usd=max(task.reserved_usd, counted(task, settlement)))
        # Whoever closes waits for this as for the answer itself: it is written down nowhere else yet.
        self.unanswered.add(task.id)
        try:
            accepted = await self._insist(lease, f"the vendor took it as {job.id}", changes)
            self.runtime.failpoint("submit.recorded")
            return accepted or await self._too_late(lease, job.id, changes)
        finally:
            self.unanswered.discard(task.id)

    async def _too_late(self, lease: Lease, job_id: str, changes: Changes) -> None:
        """Another process gave the answer up for lost; here it is after all, for whoever takes the task over next."""
        store, what = self.runtime.store, f"a late answer: {job_id}"

        async def write() -> Task | None:
            while (task := await store.get(lease.task.id)).job_id != job_id:
                written = await store.decide(task.id, (task.state,), what, **_late(task, job_id, changes))
                if written is not None:
                    _log.warning("Task %s: %s", task.id, what)
                    return written
            return None

        await self._until_written(lease, what, write)

    async def _insist(self, lease: Lease, what: str, changes: Changes) -> Task | None:
        """Record what the vendor said; None when another process has the lease."""
        return await self._until_written(
            lease, what, lambda: self.runtime.store.change(lease, what, money=True, **changes)
        )

    async def _until_written(self, lease: Lease, what: str, write: Callable[[], Awaitable[Task | None]]) -> Task | None:
        """However long the disk takes: it exists nowhere else."""
        pause = 0.25
        while True:
            try:
                task = await write()
                break
            except LocalError as error:
                _log.error("Task %s: %s, but it cannot be recorded (%s); trying again", lease.task.id, what, error.what)
                await self.runtime.clock.sleep(pause)
                pause = min(30.0, pause * 2)
        if task is not None:
            self.runtime.changed(task)
        return task

    async def _uncertain(self, lease: Lease, outcome: InDoubt) -> Task | None:
        """In doubt, unless the vendor can be asked and shows the job; it is not ordered again in either case."""
        seen = await self._looked_up(lease)
        if seen is not None and seen.job is not None:
            return await self._bought(lease, Bought(seen.job))
        name = self.runtime.provider(lease.task).name
        told = doubt_told(outcome.error, name, seen.told if seen is not None else "")
        changes = Changes(state="uncertain", error=told, note="")
        return await self._insist(lease, "the answer was lost; not sent again", changes)

    async def _looked_up(self, lease: Lease) -> Seen | None:
        """What looking for it showed; whatever goes wrong there leaves the doubt, and never says "not bought"."""
        try:
            return await self.lookup.search(lease) if await self._same_account(lease.task) else None
        except LeaseLostError:
            raise
        except Exception:
            _log.exception("Task %s: its order could not be looked for", lease.task.id)
            return None

    async def _give_up(self, lease: Lease, outcome: NotBought) -> Task | None:
        changes = Changes(state="failed", error=refusal_told(outcome.error), reserved_usd=Decimal(0), note="")
        return await self._insist(lease, "not bought", changes)

    def _may_repeat(self, task: Task) -> bool:
        return bool(task.call.get("idempotency_key")) and self._age(task) <= KEY_LIFE_S

    def _age(self, task: Task) -> float:
        """Seconds since it was ordered; an order of the future shows by how much the clock was set back at least."""
        return abs(self.runtime.clock.now() - task.created_at)

    async def _same_account(self, task: Task) -> bool:
        """Whether the vendor knows our idempotency key: processes that share a home may have keys of their own."""
        try:
            return _known_to(task, await self.runtime.account_of(task))
        except KlingError:
            return False

    def _again_after_s(self, outcome: NotBought, tries: int, began: float) -> float | None:
        """Seconds until an order that was surely not taken goes out once more; None: it is given up."""
        again = outcome.again_s
        if again is None:
            return None
        if outcome.kind == "unreachable":
            return again * 2 ** (tries - 1) if tries < UNREACHABLE_TRIES else None
        in_time = self.runtime.clock.now() + again - began <= LATER_LIMIT_S
        return again if tries < LATER_TRIES and in_time else None


class _GivenUpError(LeaseLostError):
    """The order was given up between its record and the open line: this call did not leave."""


def _late(task: Task, job_id: str, changes: Changes) -> Changes:
    """What an answer that comes when nobody waits for it any more makes of the task as it stands."""
    if task.state in ("uncertain", "submitting"):
        return changes
    if task.state == "failed" and task.job_id is None:
        # It was said not to be bought, by the user or by what was known then: the vendor says it is.
        counts = max(reservation(task), changes.get("reserved_usd", ZERO))
        return changes | Changes(state="queued", reserved_usd=counts, by_hand=False)
    return Changes(note=f"The vendor took this order as {job_id}, too: look for that job in its dashboard")


def _known_to(task: Task, account: Account) -> bool:
    """Whether this is the account an order went out under; under another its key would buy once more."""
    return task.simulated or task.sent_as in ("", account.mark)
