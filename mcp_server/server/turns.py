"""How a process that serves shares its time between its threads and the loop that answers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

SWITCH_S: Final = 0.0005
"""A thread that reads, unpacks or downloads keeps Python to itself for so long. By itself it is ten times as long, and
the loop waits anew after every call of the system: with four clips under way, a fifth of a second for one answer."""


def share() -> None:
    """Let the loop have its turn at once, whatever the threads do."""
    sys.setswitchinterval(SWITCH_S)


def settled() -> None:
    """What is loaded by now stays: no collection looks through all of it again, which takes a tenth of a second."""
    gc.freeze()


@contextmanager
def loading() -> Generator[None]:
    """What is imported and made here stays: looking through it while it is made, or ever after, finds nothing."""
    gc.disable()
    try:
        yield
    finally:
        settled()
        gc.enable()
