"""Named points between "yes" and a file on disk, at which a drill can kill the process or make it stand still."""

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

FILM_POINTS: Final = (
    "film.before_record",
    "film.recorded",
    "film.started",
    "film.before_shot",
    "film.shot_recorded",
    "film.shots_made",
    "film.before_join",
    "film.measuring",
    "film.joining",
    "film.checking",
    "film.joined",
    "film.finished",
)
"""In the order a film passes them, beside those of its tasks. At `film.checking` its file is written and unnamed."""


@dataclass
class Failpoints:
    """Kills this process, without a chance to tidy up, where `crash_at` says; else does nothing.

    `crash_at` is a point, or `point:3` for the third time it is passed; at `stop=point` the process stands still, as a
    closed laptop does, until somebody lets it go on (SIGCONT); at `all=point` its whole process group dies, the
    processes it started for media work among them, as when the power goes.
    """

    crash_at: str = ""
    _passed: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        what, _, point = self.crash_at.rpartition("=")
        name, _, count = point.partition(":")
        if name and name not in (*POINTS, *FILM_POINTS):
            raise ValueError(f"there is no point {name!r}")
        if what not in ("", "stop", "all"):
            raise ValueError(f"nobody can {what!r} at a point")
        self._signal = getattr(signal, "SIGSTOP" if what == "stop" else "SIGKILL", signal.SIGTERM)
        self._whom = 0 if what == "all" else os.getpid()
        self._name = name
        self._count = int(count or 1)

    def __call__(self, point: str) -> None:
        if not self._name or point != self._name:
            return
        self._passed += 1
        if self._passed == self._count:
            os.kill(self._whom, self._signal)
