"""HTTP lines with limits: how many there are, how long a request may take to arrive, and how often that is told."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

LINES: Final = 500
"""Lines at once, held streams among them; fewer where the process may have fewer files."""
HEADER_S: Final = 10.0
BODY_S: Final = 120.0
"""The largest body over a slow line."""
IDLE_S: Final = 75.0
"""Longer than balancers keep a line that nobody uses: closed here first, it would take their next call with it."""
CROWDED_IDLE_S: Final = 5.0
"""The same where half of the lines there may be are taken."""
_log = logging.getLogger("kling_video.http")


def lines_at_most() -> int:
    """Half of the files this process may open: a server without one more loops over its own refusals (CPython 3.11)."""
    try:
        import resource
    except ImportError:
        return LINES
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return LINES if soft == resource.RLIM_INFINITY else max(8, min(LINES, soft // 2))


class LimitedLine(H11Protocol):
    """uvicorn's HTTP, which by itself waits for ever for the first byte of a request and for each next one."""

    lines = LINES
    header_s = HEADER_S
    body_s = BODY_S
    idle_s = IDLE_S
    crowded_idle_s = CROWDED_IDLE_S
    _owed: asyncio.TimerHandle | None = None
    _owes: Any = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.lines:
            _log.warning("More than %d lines at once: one was closed", self.lines)
            transport.abort()
            return
        self.timeout_keep_alive = self.idle_s if 2 * len(self.connections) <= self.lines else self.crowded_idle_s
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Give the client its time for what it owes; a byte more buys no more of it."""
        state = self.conn.their_state
        if state is self._owes:
            return
        self._stop()
        if state in (h11.IDLE, h11.SEND_BODY):
            self._owes = state
            self._owed = self.loop.call_later(self.header_s if state is h11.IDLE else self.body_s, self._late)

    def _stop(self) -> None:
        self._owes = None
        if self._owed is not None:
            self._owed.cancel()
            self._owed = None

    def _late(self) -> None:
        _log.warning("A request did not arrive in time: its line was closed")
        if not self.transport.is_closing():
            self.transport.abort()


class Counted(logging.Filter):
    """A log that counts instead of repeating: the first few of a kind in a minute, then how many more there were."""

    FEW = 5
    WINDOW_S = 60.0

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this one is written."""
        kind, now = (record.name, str(record.msg)[:200]), time.monotonic()
        since, count = self._seen.get(kind, (now, 0))
        left_out = count - self.FEW
        if now - since > self.WINDOW_S:
            since, count = now, 0
            if left_out > 0:
                record.msg = f"{record.msg} ({left_out} more were not written)"
        if len(self._seen) > 1_000:
            self._seen.clear()
        self._seen[kind] = (since, count + 1)
        return count < self.FEW


def count_repeats() -> None:
    """Every handler that writes for this process counts from now on."""
    counted = Counted()
    named = [logging.getLogger(name) for name in ("", "uvicorn", "uvicorn.error", "uvicorn.access", "mcp")]
    last = [logging.lastResort] if logging.lastResort is not None else []
    for handler in dict.fromkeys([*(handler for logger in named for handler in logger.handlers), *last]):
        handler.addFilter(counted)
