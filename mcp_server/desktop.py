"""The desktop of this machine, where it has one: files shown in the program it shows them with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from mcp_server.errors import LocalError, Money


def opener() -> str | None:
    """The program that opens files here; None where there is none."""
    if sys.platform == "win32":
        return "startfile"
    return shutil.which("open" if sys.platform == "darwin" else "xdg-open")


def show(place: Path | str, *, money: Money = "not_spent") -> None:
    """Hand a file, a folder or an address to the desktop, and do not wait for it."""
    if sys.platform == "win32":
        import os

        os.startfile(place)  # noqa: S606 - the user's own file in the user's own program
        return
    program = opener()
    if program is None:
        raise LocalError("There is no program here to open files with", next_step=f"Open {place} yourself", money=money)
    subprocess.Popen(  # noqa: S603 - the desktop's own opener and a file of ours
        [program, str(place)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
