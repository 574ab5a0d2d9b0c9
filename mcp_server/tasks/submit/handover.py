"""Between an order's row and its paid call: local media are handed over, and the row knows how far that has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

from mcp_server.domain.task import LocalMedium, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.local_media import Intake
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Lease, LeaseLostError
from mcp_server.tasks.submit.outcome import call_of, hand_over_again_s

_log = logging.getLogger("kling_video.tasks")
T = TypeVar("T")
CHECK_S: Final = 1.0
"""How often it is asked whether the order still stands while files are on their way."""


@dataclass
class LocalMediaHandover:
    """Brings the files of an order to its vendor, each once, before the paid call leaves."""

    runtime: TaskRuntime
    intake: Intake

    async def call(self, lease: Lease) -> HttpCall:
        """The paid call, its media where the vendor can fetch or read them; LeaseLostError when it may not leave."""
        if not lease.task.local_media:
            return call_of(lease.task)
        try:
            return await self._while_leased(lease, self._made(lease))
        except (KlingError, LeaseLostError):
            raise
        except Exception as error:
            # A defect of ours, or a vendor's answer nobody thought of: the order must not hang on it.
            _log.exception("Task %s: what was ordered with could not be handed over", lease.task.id)
            raise KlingError(f"A local file could not be handed over ({type(error).__name__})") from error

    async def _made(self, lease: Lease) -> HttpCall:
        task = lease.task
        # A call that left once is repeated as it was: what it names was handed over, and is not handed over anew.
        if task.sent_at is None:
            account = await self.runtime.account_of(task)
            for medium in task.local_media:
                if medium.handed_as != account.mark:
                    task = await self._handed_over(Lease(task, lease.number), medium, account)
        return replace(call_of(task), json=await self.intake.body(task))

    async def _handed_over(self, lease: Lease, medium: LocalMedium, account: Account) -> Task:
        runtime = self.runtime
        name = runtime.provider(lease.task).name
        tries = 0
        while True:
            tries += 1
            task = await self._say(lease, f"Handing over {medium.name} to {name}")
            runtime.failpoint("submit.handing_over")
            try:
                address = await self.intake.hand_over(account, task, medium)
                break
            except KlingError as error:
                pause = hand_over_again_s(error, tries)
                if pause is None:
                    raise
                await self._say(lease, f"{medium.name} did not arrive ({error.what}); trying again ({tries})")
            await runtime.clock.sleep(pause)
        runtime.failpoint("submit.handed_over")
        if not address:
            return task
        kept = replace(medium, address=address, handed_as=account.mark)
        media = tuple(kept if each.place == medium.place else each for each in lease.task.local_media)
        return await runtime.record(lease, f"{name} has {medium.name}", money=True, local_media=media, note="")

    async def _say(self, lease: Lease, note: str) -> Task:
        return await self.runtime.record(lease, note, note=note)

    async def _while_leased(self, lease: Lease, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; it is broken off when the order is cancelled or another process has it."""
        going = asyncio.create_task(work)
        try:
            while True:
                pause = asyncio.ensure_future(self.runtime.clock.sleep(CHECK_S))
                try:
                    await asyncio.wait({going, pause}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    pause.cancel()
                if going.done():
                    return going.result()
                if not await self._leased(lease):
                    raise LeaseLostError(lease.task.id)
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _leased(self, lease: Lease) -> bool:
        try:
            return await self.runtime.store.still_leased(lease)
        except LocalError:
            # Not known now; whoever records or sends next is told.
            return True
