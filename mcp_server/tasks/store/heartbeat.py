"""Heartbeats: whether another process lives, and its leases with it.

No clock is compared between processes: a process lives while its heartbeat moves, as seen from here. A process of this
machine that does not exist any more is known at once.
"""

from __future__ import annotations

import os
import socket
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HEARTBEAT_S = 1.0
SILENCE_S = 6.0
"""A heartbeat that stood still this long belongs to a process that is paused, hung or elsewhere and dead."""


@cache
def place() -> str:
    """Where process numbers mean what they mean here: this boot of this machine, this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return socket.gethostname()


@dataclass
class Heartbeats:
    """When each other process was last seen alive, by this process's own clock."""

    monotonic: Callable[[], float]
    _seen: dict[str, tuple[int, float]] = field(default_factory=dict[str, tuple[int, float]])

    def alive(self, row: sqlite3.Row) -> bool:
        """Whether the process of this row is to be left its tasks."""
        if row["place"] == place() and not _exists(row["pid"]):
            return False
        name: str = row["id"]
        beat: int = row["beat"]
        last, since = self._seen.get(name, (-1, 0.0))
        if last != beat:
            self._seen[name] = (beat, self.monotonic())
            return True
        return self.monotonic() - since < SILENCE_S


def _exists(pid: int) -> bool:
    if sys.platform == "win32":
        # There, os.kill with any signal ends the process: the heartbeat has to do.
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
