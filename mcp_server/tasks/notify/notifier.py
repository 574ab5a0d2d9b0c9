"""The notifier: takes what is due from the outbox and sends it its way, beside whatever else this process does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from mcp_server.clock import Clock
from mcp_server.domain.task import Task
from mcp_server.errors import KlingError
from mcp_server.tasks.store.notices import Notice, Outbox

_log = logging.getLogger("kling_video.notify")
LOOK_S: Final = 1.0
GRACE_S: Final = 5.0
"""How long a command that ends waits for its last notices; what is left is told by the next process."""


class Way(Protocol):
    """One channel."""

    @property
    def hold_s(self) -> float:
        """For how long a line is this process's alone; 0 where a second try could be a second notice."""
        ...

    async def tell(self, task: Task, notice: Notice) -> tuple[str, float | None]:
        """What came of it, and after how many seconds to try again; None when it is over."""
        ...


@dataclass
class Notifier:
    """Tells of ends on every channel, each at its own pace."""

    outbox: Outbox
    find: Callable[[str], Awaitable[Task]]
    ways: Mapping[str, Way]
    clock: Clock = field(default_factory=Clock)
    _loops: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]], init=False)
    _turns: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock], init=False)

    def start(self) -> None:
        """From now until `close`; nothing where that is done already."""
        if not self._loops:
            self._loops = [asyncio.create_task(self._run(name), name=f"kling-notify-{name}") for name in self.ways]

    async def close(self, grace_s: float = GRACE_S) -> None:
        """Tell what is due, for a moment; a command or a post that is under way is waited for as long."""
        if not self._loops:
            return
        with contextlib.suppress(TimeoutError, KlingError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*map(self._all, self.ways))
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        self._loops = []

    async def _run(self, channel: str) -> None:
        while True:
            try:
                await self._all(channel)
            except KlingError as error:
                _log.warning("Notices cannot be read now: %s", error.what)
            except Exception:
                _log.exception("A notice could not be told")
            await self.clock.sleep(LOOK_S)

    async def _all(self, channel: str) -> None:
        """Everything that is due on this channel."""
        way = self.ways[channel]
        async with self._turns.setdefault(channel, asyncio.Lock()):
            while (notice := await self.outbox.take(channel, hold_s=way.hold_s)) is not None:
                outcome, again_s = await way.tell(await self.find(notice.task_id), notice)
                if again_s is None:
                    await self.outbox.done(notice, outcome)
                else:
                    _log.warning("%s of %s by %s: %s", notice.state, notice.task_id, channel, outcome)
                    await self.outbox.later(notice, again_s, outcome)
