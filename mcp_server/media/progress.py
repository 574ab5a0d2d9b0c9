"""How far a long piece of media work is, and how long the rest takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_EVERY_S: Final = 0.25
_TELLS: Final = 0.02
"""Of the whole: before it the first pictures of a cold start would speak for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is."""

    done: float
    """From 0 to 1."""
    remaining_s: float | None
    """How long the rest takes if it goes on like this; None while nothing tells."""
    step: str
    """`measuring`, `joining`, `checking` or `encoding`."""


class Work:
    """Counts what was done and says so, a few times a second at most."""

    def __init__(self, say: Callable[[Progress], None] | None = None) -> None:
        self._say = say
        self._began = self._said = time.monotonic()
        self._step, self._from, self._to, self._ticks, self._count = "", 0.0, 1.0, 1, 0

    def begin(self, step: str, to: float, ticks: int) -> None:
        """A new step from where the last one ended, up to this part of the whole, in so many ticks."""
        start = self._to if self._step else 0.0
        self._step, self._from, self._to, self._ticks, self._count = step, start, to, max(1, ticks), 0
        self._tell()

    def tick(self) -> None:
        """One of the step's ticks is done."""
        self._count += 1
        if time.monotonic() - self._said >= _EVERY_S:
            self._tell()

    def _tell(self) -> None:
        if self._say is None:
            return
        self._said = now = time.monotonic()
        done = self._from + (self._to - self._from) * min(1.0, self._count / self._ticks)
        rest = (now - self._began) * (1 - done) / done if done > _TELLS else None
        self._say(Progress(done=round(done, 4), remaining_s=None if rest is None else round(rest, 1), step=self._step))
