"""Fair share: who took more of the jobs than its even part lets the others have the next one first.

Every worker hears of every job that comes, and whoever asks first gets it. Each counts for itself, so that this costs
the database nothing: one more for a job it took, an even part less for a job that came to anybody.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from mcp_server.clock import Clock

SLACK: Final = 2
"""Jobs more than the even part that nobody waits for."""
PATIENCE_S: Final = 0.25
"""How long the others have to take what came; what is there after that is anybody's."""
MOST: Final = 128
"""Of more than this, in either direction, nothing is remembered."""


@dataclass
class FairShare:
    """What one worker took beside its even part, and whether it waits before it asks for jobs."""

    workers: Callable[[], int]
    """How many live."""
    clock: Clock
    _over: float = field(default=0.0, init=False)
    _idle: bool = field(default=True, init=False)
    """Nothing waited when jobs were last asked for."""
    _waited: bool = field(default=False, init=False)

    def came(self) -> None:
        """A job for anybody was put in."""
        self._over = max(-MOST, self._over - 1 / max(1, self.workers()))

    async def turn(self) -> None:
        """Return when this worker may ask: at once, unless it is ahead and the others may not know of the job yet."""
        self._waited = self._idle and self._over > SLACK and self.workers() > 1
        if self._waited:
            await self.clock.sleep(PATIENCE_S)

    def took(self, count: int) -> None:
        """So many were there. What nobody else wanted does not count: a worker that is wedged would slow the rest."""
        self._idle = not count
        if not self._waited:
            self._over = min(MOST, self._over + count)
