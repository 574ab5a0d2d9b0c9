"""`kling-video wait`: wait for tasks, and get their files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command(
        "wait", "Their paths are printed on standard output. Ctrl-C stops the waiting, not the tasks."
    )
    made.add_argument("tasks", nargs="+", metavar="TASK")
    made.add_argument("--any", action="store_true", help="until the first one ends")
    made.add_argument("--notify", action="store_true", help="show a notice on the desktop when each has ended")
    made.add_argument("--timeout", type=float, metavar="SECONDS", help="give up waiting after this long (exit code 75)")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    screen = Screen(as_json=given.json)
    from mcp_server.cli.interrupt import Interrupt, Interrupted
    from mcp_server.cli.tasks.watching import follow

    until = "any" if given.any else "all"

    async def wait(service: Service) -> int:
        given.tasks = [await service.named(name) for name in given.tasks]
        await service.go_on(given.tasks)
        with Interrupt() as interrupt:
            try:
                found = await follow(
                    service, given.tasks, screen=screen, interrupt=interrupt, until=until, timeout_s=given.timeout
                )
            except Interrupted:
                screen.note("Not waiting any more; the tasks go on.", gap=True)
                return formatting.INTERRUPTED
        over = [task for task in found if task.finished_at is not None]
        if given.notify:
            from mcp_server.cli.tasks import desktop

            desktop.notify(screen, over)
        _show(screen, found, over)
        waited_for = over if given.any and over else found
        return max(formatting.exit_code(task) for task in waited_for)

    return session.run(wait)


def _show(screen: Screen, found: list[OrderedAnswer], over: list[OrderedAnswer]) -> None:
    from mcp_server.cli.buy.purchase import tell

    if screen.as_json:
        screen.facts({"tasks": [task.facts() for task in found]})
        return
    for task in over:
        tell(screen, task)
