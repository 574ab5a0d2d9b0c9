"""The real stdin and stdout of this process; imports nothing, because the first answer waits for it."""

from __future__ import annotations

import os
from typing import BinaryIO


class Wire:
    """Two descriptors that are ours alone: a stray print goes to stderr, a child process reads an empty stdin."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink

    @classmethod
    def claim(cls) -> Wire:
        """This process's own, put out of everybody else's reach."""
        made = cls(os.dup(0), os.dup(1))
        empty = os.open(os.devnull, os.O_RDONLY)
        os.dup2(empty, 0)
        os.close(empty)
        os.dup2(2, 1)
        return made

    def write(self, data: bytes) -> None:
        """All of it; BrokenPipeError when nobody reads any more."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.sink, rest) :]

    def files(self) -> tuple[BinaryIO, BinaryIO]:
        """Both as files, without a buffer: a read gives what there is."""
        return os.fdopen(self.source, "rb", buffering=0), os.fdopen(self.sink, "wb", buffering=0)
