"""What changed elsewhere, as the database tells it: who waits for a task asks nothing meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from mcp_server.domain.task import Task
from mcp_server.tasks.store.postgres.connections import Connection, libpq, run

CHANNEL: Final = "kling_tasks"
EVERYTHING: Final = "*"
"""Instead of a task's id: any of them may have changed."""
POSTED: Final = "posted"
"""Instead of the process that changed it: its vendor posted about the task, and nothing has changed yet."""
WISHED: Final = "wished"
"""The same: somebody wants it stopped."""
AGAIN_S: Final = 1.0
_log = logging.getLogger("kling_video.tasks")


def visible(before: Task, after: Task) -> bool:
    """Whether a change is one that somebody who waits, or holds the lease, has to see."""
    return _face(before) != _face(after)


async def tell(connection: Connection, task_id: str, process: str = "") -> None:
    """Let every other process hear of it once this is committed."""
    await run(connection, "SELECT pg_notify(%s, %s)", [CHANNEL, f"{task_id} {process}"])


def _face(task: Task) -> tuple[object, ...]:
    return (
        *(task.state, task.status, task.progress, task.queue_position),
        *(task.note, task.job_id, task.stopped_following, task.output_dir),
    )


@dataclass
class Notices:
    """Ids of tasks that other processes changed, gathered from the database's own channel."""

    url: str = field(repr=False)
    process: str
    called: Callable[[str, str], None] = field(default=lambda _task, _what: None)
    """Told of every task that a vendor posted about, or somebody wants stopped, and which of the two it is."""
    _moved: set[str] = field(default_factory=set[str], init=False)
    _deaf: bool = field(default=True, init=False)
    """Something was not heard, or more changed than is named one by one."""
    _hears: bool = field(default=False, init=False)
    _listening: asyncio.Task[None] | None = field(default=None, init=False)

    async def take(self) -> frozenset[str] | None:
        """What changed since this was last asked; None where it is not known."""
        if self._listening is None:
            self._listening = asyncio.create_task(self._run(), name="kling-notices")
        moved, self._moved = frozenset(self._moved), set()
        deaf, self._deaf = self._deaf, not self._hears
        return None if deaf else moved

    def doubt(self) -> None:
        """Any task may have changed."""
        self._deaf = True

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.gather(self._listening, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(psycopg.Error, OSError):
                await self._listen()
            if self._hears:
                _log.warning("Changes of other processes are not heard; asking the database until they are")
            self._hears, self._deaf = False, True
            await asyncio.sleep(AGAIN_S)

    async def _listen(self) -> None:
        async with await psycopg.AsyncConnection.connect(**libpq(self.url), autocommit=True) as connection:
            await connection.execute(f"LISTEN {CHANNEL}".encode())
            # What changed between the last notice and this line was told to nobody.
            self._hears, self._deaf = True, True
            async for notice in connection.notifies():
                task_id, _, process = notice.payload.partition(" ")
                if task_id == EVERYTHING:
                    self._deaf = True
                elif process in (POSTED, WISHED):
                    self.called(task_id, process)
                elif process != self.process:
                    self._moved.add(task_id)
