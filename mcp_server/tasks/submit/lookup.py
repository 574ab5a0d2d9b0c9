"""Looking a lost order up at its vendor: that costs nothing, and is never a reason to order again."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from mcp_server.domain.task import Job, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Filter, Lease
from mcp_server.tasks.submit.outcome import call_of

if TYPE_CHECKING:
    from mcp_server.providers.base import Finder

_log = logging.getLogger("kling_video.tasks")
PAUSES_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0)
"""Before each look: two minutes together. No vendor says how soon an order shows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What looking for an order came to."""

    job: Job | None
    """The one job that is surely it."""
    told: str
    """What was seen otherwise, as a sentence."""


@dataclass
class Lookup:
    """Asks a vendor whether it has an order whose answer was lost, as long as that may take to show."""

    runtime: TaskRuntime
    _claimed: dict[tuple[str, ...], str] = field(default_factory=dict[tuple[str, ...], str], init=False)
    """Vendor and job → the task that follows it from now on."""

    async def search(self, lease: Lease) -> Seen | None:
        """What was seen; None where the vendor cannot be asked."""
        task = await self.runtime.store.get(lease.task.id)
        facts = self.runtime.provider(task)
        if not facts.lookup or task.sent_at is None:
            return None
        note = f"The answer was lost; looking for the order at {facts.name}"
        with contextlib.suppress(LocalError):
            await self.runtime.record(lease, note, note=note)
        answered, before = 0, frozenset[str]()
        for pause in PAUSES_S:
            await self.runtime.clock.sleep(pause)
            found = await self._look(task)
            answered += found is not None
            mine = {job.id: job for job in found or () if not await self._known(task, job)}
            # Seen twice: by then the answer to an order just like it, which was under way, is written down.
            again, before = before & mine.keys(), frozenset(mine)
            if again and len(mine) == 1:
                self._claimed[task.provider, *again] = task.id
                return Seen(next(iter(mine.values())), "")
            if again:
                return Seen(None, f"{len(mine)} jobs there may be it ({', '.join(mine)}), and none surely is")
        if not answered:
            return Seen(None, f"{facts.name} could not be asked whether it has it")
        return Seen(
            None,
            f"{facts.name} did not show it in {sum(PAUSES_S):.0f} seconds, which does not say that it is not there",
        )

    async def _look(self, task: Task) -> Sequence[Job] | None:
        """Every job that may be this order; None when nobody answered."""
        facts = self.runtime.provider(task)
        wire = cast("Finder", self.runtime.wire(facts))
        try:
            account = await self.runtime.account_of(task)
            async with self.runtime.transport.slot(account):
                reply = await self.runtime.transport.send(account, wire.find(call_of(task)))
            return wire.read_find(call_of(task), task.sent_at or 0.0, reply)
        except KlingError as error:
            _log.info("Task %s: looking for it failed (%s)", task.id, error.what)
        except Exception:
            # A defect of ours, or an answer nobody thought of: the order is in doubt as before.
            _log.exception("Task %s: looking for it failed", task.id)
        return None

    async def _known(self, task: Task, job: Job) -> bool:
        """Whether this job is another task's, or about to be."""
        if self._claimed.get((task.provider, job.id), task.id) != task.id:
            return True
        wanted = Filter(job_id=job.id, provider=task.provider, simulated=task.simulated, limit=2)
        return any(other.id != task.id for other in await self.runtime.store.find(wanted))
