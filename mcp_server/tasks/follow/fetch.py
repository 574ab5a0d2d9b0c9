"""A clip of a followed task as a file that was looked into; one that is not whole or does not play is fetched again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from mcp_server.domain.task import Artifact, Task
from mcp_server.errors import KlingError
from mcp_server.tasks.download.saver import IncompleteClipError, Saver
from mcp_server.tasks.follow.scheduler import Followed
from mcp_server.tasks.runtime import TaskRuntime

_log = logging.getLogger("kling_video.tasks")

INCOMPLETE_FOR_S: Final = 600.0
"""How long a host that gives the same broken bytes is hoped to have others: it may be writing them still."""
INCOMPLETE_TIMES: Final = 3


@dataclass
class ClipFetch:
    """Saves and looks; what it returns is as whole as the host has it."""

    runtime: TaskRuntime
    saver: Saver
    examine: Callable[[Task, Artifact], Awaitable[Artifact]] | None = None
    """Looks into a saved file before the task is called done; must not raise."""

    async def clip(self, followed: Followed) -> Artifact:
        """The file, where it was ordered to; IncompleteClipError where it breaks off."""
        return await self.saver.stored(followed.lease, await self._saved(followed))

    async def _saved(self, followed: Followed) -> Artifact:
        """The file on this machine, after a second try where the first does not play."""
        task, now = followed.task, self.runtime.clock.monotonic()
        account = await self.runtime.account_of(task)
        # The same bytes for so long are all there is: they are kept, with what is wrong.
        as_it_is = followed.incomplete.lasted(now, INCOMPLETE_FOR_S, INCOMPLETE_TIMES)
        artifact = await self._looked_into(task, await self.saver.save(followed.lease, account, as_it_is=as_it_is))
        if not artifact.delivered.get("unreadable") or followed.fetched_again:
            return artifact
        followed.fetched_again = True
        await self.saver.tidy(task)
        try:
            again = await self.saver.save(followed.lease, account, as_it_is=as_it_is, instead_of=artifact)
        except KlingError as error:
            _log.info("Task %s: a file that does not play was fetched again, in vain: %s", task.id, error.what)
            return artifact
        return artifact if again is artifact else await self._looked_into(task, again)

    def came_incomplete(self, followed: Followed, error: IncompleteClipError) -> None:
        """Count a fetch that broke off; other bytes than the last time begin the count anew."""
        if error.sha256 != followed.incomplete_sha256:
            followed.incomplete_sha256 = error.sha256
            followed.incomplete.ends()
        followed.incomplete.goes_on(self.runtime.clock.monotonic())

    async def _looked_into(self, task: Task, artifact: Artifact) -> Artifact:
        return artifact if self.examine is None else await self.examine(task, artifact)
