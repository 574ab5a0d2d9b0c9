"""What happens to whoever joins clips, in its own process alone: a disk with little room, a sudden end.

A `sitecustomize` on the path of that process's Python does it, wherever the process is started from.
"""

from __future__ import annotations

import os
from pathlib import Path


class Joiner:
    """In force while `path` is on PYTHONPATH, until it is left alone."""

    def __init__(self, folder: Path, code: str) -> None:
        folder.mkdir()
        self._rule = folder / "sitecustomize.py"
        self._rule.write_text(f"import sys\nif sys.orig_argv[-1] == 'join':\n    {code}\n")
        self.path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))

    def left_alone(self) -> None:
        self._rule.write_text("")


class SmallDisk(Joiner):
    """No file of the joining process grows beyond so many bytes; the system itself refuses (EFBIG)."""

    def __init__(self, folder: Path, most: int) -> None:
        super().__init__(folder, f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))")

    def make_room(self) -> None:
        self.left_alone()


class SuddenEnd(Joiner):
    """The joining process is killed while its half file lies there, as the system does where memory is short."""

    def __init__(self, folder: Path, films: Path) -> None:
        kill = "os.kill(os.getpid(), 9)"
        watch = f"any((any(pathlib.Path({str(films)!r}).glob('.*.part')) and {kill}) for _ in iter(int, 1))"
        super().__init__(
            folder, f"import os, pathlib, threading; threading.Thread(target=lambda: {watch}, daemon=True).start()"
        )
