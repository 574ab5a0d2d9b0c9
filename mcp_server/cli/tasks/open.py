"""`kling-video open`: show a finished clip in the program this machine shows clips with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen
from mcp_server.errors import LocalError, Money, RequestError


def flags() -> parser.Parser:
    made = parser.command("open")
    made.add_argument("task", metavar="TASK")
    made.add_argument("--folder", action="store_true", help="open the folder it lies in")
    return made


def run(argv: list[str]) -> int:
    """Open it; its path is printed in any case."""
    given = flags().parse_args(argv)
    (task,) = session.run(lambda service: service.get([given.task]))
    if task.video_path is None:
        raise RequestError(
            f"Task {task.task_id} is {task.state}: there is no file to open", next_step=task.next_step, money="unknown"
        )
    path = Path(task.video_path)
    if not path.exists():
        raise RequestError(
            f"{path} is not there any more",
            next_step=f"The vendor's copy, while it keeps one: {task.video_url}" if task.video_url else "",
            money="not_spent" if task.simulated else "charged",
        )
    screen = Screen(as_json=given.json)
    if given.json:
        screen.facts({"task_id": task.task_id, "video_path": str(path)})
    else:
        screen.line(str(path))
    show(path.parent if given.folder else path, money="not_spent" if task.simulated else "charged")
    return 0


def show(path: Path, *, money: Money) -> None:
    """Hand it to the desktop, and do not wait for it."""
    if sys.platform == "win32":
        import os

        os.startfile(path)  # noqa: S606 - the user's own file in the user's own program
        return
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener is None:
        raise LocalError("There is no program here to open files with", next_step=f"Open {path} yourself", money=money)
    subprocess.Popen(  # noqa: S603 - the desktop's own opener and a file of ours
        [opener, str(path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
