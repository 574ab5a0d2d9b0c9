"""`kling-video open`: show a finished clip in the program this machine shows clips with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen
from mcp_server.desktop import show
from mcp_server.errors import RequestError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command("open")
    made.add_argument("task", metavar="TASK")
    made.add_argument("--folder", action="store_true", help="open the folder it lies in")
    return made


def run(argv: list[str]) -> int:
    """Open it; its path is printed in any case."""
    given = flags().parse_args(argv)

    async def look(service: Service) -> tuple[OrderedAnswer, Path | None]:
        (task,) = await service.get_any([await service.named(given.task)])
        here = task.place is not None and task.video_path is None
        return task, await service.file(task.id) if here else Path(task.video_path) if task.video_path else None

    task, path = session.run(look)
    if path is None:
        raise RequestError(
            f"{task.id} is {task.state}: there is no file to open", next_step=task.next_step, money="unknown"
        )
    url = None if isinstance(task, FilmAnswer) else task.video_url
    if not path.exists():
        raise RequestError(
            f"{path} is not there any more",
            next_step=f"The vendor's copy, while it keeps one: {url}" if url else "",
            money="not_spent" if task.simulated else "charged",
        )
    screen = Screen(as_json=given.json)
    if given.json:
        screen.facts({"task_id": task.id, "video_path": str(path)})
    else:
        screen.line(str(path))
    show(path.parent if given.folder else path, money="not_spent" if task.simulated else "charged")
    return 0
