"""A notice on the desktop when a task that was waited for has ended, where the system has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli import formatting
from mcp_server.cli.tasks.watching import says

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.cli.screen import Screen

_APPLE = ("on run words", "display notification (item 2 of words) with title (item 1 of words)", "end run")
_WINDOWS = (
    "Add-Type -AssemblyName System.Windows.Forms; $shown = New-Object System.Windows.Forms.NotifyIcon; "
    "$shown.Icon = [System.Drawing.SystemIcons]::Information; $shown.Visible = $true; "
    "$shown.ShowBalloonTip(5000, $env:KLING_NOTICE_TITLE, $env:KLING_NOTICE_TEXT, 'Info'); "
    "Start-Sleep 6; $shown.Dispose()"
)
"""PowerShell would run words behind a command as a part of it: they come in variables."""
_TEXT = 160


def notify(screen: Screen, tasks: Iterable[OrderedAnswer]) -> None:
    """One notice for each task that is over; a line beside the answer where there is nothing to show it."""
    for task in tasks:
        if task.finished_at is None:
            continue
        title, text = f"Kling: {says(task)}", formatting.shown(formatting.short(_about(task), _TEXT))
        words = command(title, text)
        if words is None:
            screen.note("There is nothing here to show a notice with; --notify needs notify-send, macOS or Windows.")
            return
        subprocess.Popen(  # noqa: S603 - the desktop's own program; what is shown are its arguments, never its script
            words,
            env={**os.environ, "KLING_NOTICE_TITLE": title, "KLING_NOTICE_TEXT": text},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


def _about(found: OrderedAnswer) -> str:
    return (found.title if isinstance(found, FilmAnswer) else found.prompt) or found.id


def command(title: str, text: str) -> list[str] | None:
    """What shows a notice on this system; None where nothing does."""
    if sys.platform == "win32":
        program = shutil.which("powershell")
        return [program, "-NoProfile", "-Command", _WINDOWS] if program else None
    if sys.platform == "darwin":
        program = shutil.which("osascript")
        script = [part for line in _APPLE for part in ("-e", line)]
        return [program, *script, title, text] if program else None
    program = shutil.which("notify-send")
    # What begins with a dash is text here, too.
    return [program, "--app-name=kling-video", "--", title, text] if program else None
