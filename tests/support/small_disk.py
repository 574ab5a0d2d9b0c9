"""A disk with little room for whoever joins clips: its process may write no file larger than so many bytes.

The system itself refuses (EFBIG), in the joining process alone, wherever that is started from: a `sitecustomize` on the
path of its Python says so.
"""

from __future__ import annotations

import os
from pathlib import Path


class SmallDisk:
    """In force while `path` is on PYTHONPATH, until there is room."""

    def __init__(self, folder: Path, most: int) -> None:
        folder.mkdir()
        self._rule = folder / "sitecustomize.py"
        self._rule.write_text(
            "import resource, sys\n"
            "if sys.orig_argv[-1] == 'join':\n"
            f"    resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, {most}))\n"
        )
        self.path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))

    def make_room(self) -> None:
        self._rule.write_text("")
