"""Ctrl-C as a wish that is heard between two steps, not as an exception in the middle of one."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupted(Exception):
    """The person pressed Ctrl-C."""


class Interrupt:
    """While it is entered, Ctrl-C is remembered until somebody acts on it."""

    def __init__(self) -> None:
        self._pressed = asyncio.Event()

    def __enter__(self) -> Interrupt:
        self._loop = asyncio.get_running_loop()
        self._before = signal.signal(signal.SIGINT, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    async def unless(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work; Interrupted, with the work stopped, when Ctrl-C comes first."""
        task = asyncio.ensure_future(work)
        pressed = asyncio.ensure_future(self._pressed.wait())
        try:
            await asyncio.wait({task, pressed}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            self._pressed.clear()
            raise Interrupted
        finally:
            for each in (task, pressed):
                each.cancel()
            await asyncio.gather(task, pressed, return_exceptions=True)

    def check(self) -> None:
        """Interrupted, when Ctrl-C was pressed since somebody last acted on it."""
        if self._pressed.is_set():
            self._pressed.clear()
            raise Interrupted

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        # A signal handler runs between two bytecodes, not in the loop: the loop has to be woken.
        self._loop.call_soon_threadsafe(self._pressed.set)
