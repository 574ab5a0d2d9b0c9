"""The part of a process that orders, reads and waits beside workers that follow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from mcp_server.domain.task import Task
from mcp_server.tasks.store.base import Lease
from mcp_server.tasks.store.postgres.notices import Notices


@dataclass
class Orders:
    """`Ownership` without any: it has no leases, and takes nothing over."""

    notices: Notices | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @property
    def at_once(self) -> bool:
        return False

    @property
    def workers(self) -> int:
        return 1

    async def take_over(self) -> list[Lease]:
        return []

    async def lost(self, task_ids: Set[str]) -> set[str]:
        return set(task_ids)

    async def moved(self) -> frozenset[str] | None:
        return None if self.notices is None else await self.notices.take()

    def posted_about(self) -> frozenset[str]:
        return frozenset()

    def wished_stopped(self) -> frozenset[str]:
        return frozenset()

    async def heartbeat(self) -> bool:
        return True

    async def set_aside(self, lease: Lease, why: str) -> None:
        """Nothing: there is no lease to give away."""

    def told(self, task: Task) -> None:
        """Nothing: there is no job to let go."""

    async def leave(self, keep: Set[str]) -> None:
        """Nothing: there is nothing to give back."""

    async def release(self, task_ids: Iterable[str] | None = None) -> None:
        if task_ids is None and self.notices is not None:
            await self.notices.close()
