"""Ctrl-C as a wish that is heard between two steps; a closed terminal and SIGTERM as an end with the same grace."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
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


class Departure:
    """SIGTERM and a closed terminal while a command works: it ends, after the wait for answers that were paid for."""

    SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))

    def __init__(self) -> None:
        self.told = 0
        """The signal that came; 0 when none did."""

    def cancels(self, task: asyncio.Task[Any]) -> Callable[[], None]:
        """Cancel the task at the first signal; what comes after it changes nothing. Returns how to undo this."""
        if threading.current_thread() is not threading.main_thread():
            return lambda: None
        loop = asyncio.get_running_loop()

        def hear(number: int, _frame: FrameType | None) -> None:
            if not self.told:
                self.told = number
                loop.call_soon_threadsafe(task.cancel)
                if number != signal.SIGTERM:
                    _leave_terminal()

        # What nohup had ignored stays so.
        before = {number: signal.getsignal(number) for number in self.SIGNALS}
        heard = [number for number, handler in before.items() if handler is not signal.SIG_IGN]
        for number in heard:
            signal.signal(number, hear)

        def undo() -> None:
            for number in heard:
                signal.signal(number, before[number])

        return undo


def _leave_terminal() -> None:
    """Nobody reads there any more, and a write to a terminal that is gone would end the grace with an error."""
    gone = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        if stream.isatty():
            os.dup2(gone, stream.fileno())
    os.close(gone)
