"""Between an order's row and its paid call: local media are handed over, and the row knows how far that has come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar, Unpack

from mcp_server.domain.catalog import Catalog
from mcp_server.domain.task import LocalMedium, Task
from mcp_server.errors import KlingError, LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.local_media import Intake
from mcp_server.tasks.failpoints import Failpoints
from mcp_server.tasks.store.base import Changes, Lease, LeaseLostError, Record
from mcp_server.tasks.submit import outcome

_log = logging.getLogger("kling_video.tasks")
T = TypeVar("T")
LOOK_S: Final = 1.0
"""How often it is asked whether the order still stands while files are on their way."""


@dataclass
class LocalMediaHandover:
    """Makes the paid call ready to leave."""

    record: Record
    intake: Intake
    catalog: Catalog
    account: Callable[[str, bool], Awaitable[Account]]
    sleep: Callable[[float], Awaitable[None]]
    marks: Failpoints
    changed: Callable[[Task], None]

    async def call(self, held: Lease) -> HttpCall:
        """The paid call, its media where the vendor can fetch or read them; LeaseLostError when it may not leave."""
        if not held.task.local_media:
            return outcome.call_of(held.task)
        try:
            return await self._while_ours(held, self._made(held))
        except (KlingError, LeaseLostError):
            raise
        except Exception as error:
            # A defect of ours, or a vendor's answer nobody thought of: the order must not hang on it.
            _log.exception("Task %s: what was ordered with could not be handed over", held.task.id)
            raise KlingError(f"A local file could not be handed over ({type(error).__name__})") from error

    async def _made(self, held: Lease) -> HttpCall:
        task = held.task
        # A call that left once is repeated as it was: what it names was handed over, and is not handed over anew.
        if task.sent_at is None:
            account = await self.account(task.provider, task.simulated)
            for medium in task.local_media:
                if medium.handed_as != account.mark:
                    task = await self._handed_over(Lease(task, held.claim), medium, account)
        return replace(outcome.call_of(task), json=await self.intake.body(task))

    async def _handed_over(self, held: Lease, medium: LocalMedium, account: Account) -> Task:
        name = self.catalog.providers[held.task.provider].name
        tries = 0
        while True:
            tries += 1
            task = await self._say(held, f"Handing over {medium.name} to {name}")
            self.marks("submit.handing_over")
            try:
                address = await self.intake.hand_over(account, task, medium)
                break
            except KlingError as error:
                pause = outcome.hand_over_again_s(error, tries)
                if pause is None:
                    raise
                await self._say(held, f"{medium.name} did not arrive ({error.what}); trying again ({tries})")
            await self.sleep(pause)
        self.marks("submit.handed_over")
        if not address:
            return task
        kept = replace(medium, address=address, handed_as=account.mark)
        media = tuple(kept if each.place == medium.place else each for each in held.task.local_media)
        task = await noted(self.record, held, f"{name} has {medium.name}", money=True, local_media=media, note="")
        self.changed(task)
        return task

    async def _say(self, held: Lease, note: str) -> Task:
        task = await noted(self.record, held, note, note=note)
        self.changed(task)
        return task

    async def _while_ours(self, held: Lease, work: Coroutine[Any, Any, T]) -> T:
        """The work's result; it is broken off when the order is cancelled or another process has it."""
        going = asyncio.create_task(work)
        try:
            while True:
                pause = asyncio.ensure_future(self.sleep(LOOK_S))
                try:
                    await asyncio.wait({going, pause}, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    pause.cancel()
                if going.done():
                    return going.result()
                if not await self._ours(held):
                    raise LeaseLostError(held.task.id)
        finally:
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)

    async def _ours(self, held: Lease) -> bool:
        try:
            return await self.record.holds(held)
        except LocalError:
            # Not known now; whoever records or sends next is told.
            return True


async def noted(record: Record, held: Lease, what: str, *, money: bool = False, **changes: Unpack[Changes]) -> Task:
    """The task with what its holder found out; LeaseLostError when it is not the holder any more."""
    task = await record.change(held, what, money=money, **changes)
    if task is None:
        raise LeaseLostError(held.task.id)
    return task
