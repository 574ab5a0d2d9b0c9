"""Named points between "yes" and a file on disk, at which a drill can kill the process."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from typing import Final

POINTS: Final = (
    "buy.before_record",
    "buy.recorded",
    "submit.handing_over",
    "submit.handed_over",
    "submit.before_sent",
    "submit.before_send",
    "submit.answered",
    "submit.recorded",
    "follow.before_look",
    "follow.answered",
    "follow.recorded",
    "save.before_fetch",
    "save.some_bytes",
    "save.fetched",
    "save.synced",
    "save.named",
    "save.settled",
    "cancel.before_ask",
    "cancel.answered",
)
"""In the order a purchase passes them."""


@dataclass
class Failpoints:
    """Kills this process, without a chance to tidy up, where `crash_at` says; else does nothing.

    `crash_at` is a point, or `point:3` for the third time it is passed.
    """

    crash_at: str = ""
    _passed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        name, _, count = self.crash_at.partition(":")
        if name and name not in POINTS:
            raise ValueError(f"there is no point {name!r}")
        self._name = name
        self._count = int(count or 1)

    def __call__(self, point: str) -> None:
        if not self._name or point != self._name:
            return
        self._passed += 1
        if self._passed == self._count:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
