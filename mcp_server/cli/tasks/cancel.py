"""`kling-video cancel`: stop tasks where their vendors can."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen
from mcp_server.errors import KlingError, paragraph

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command("cancel", "Where it cannot, that is said. Exit code 69 when one goes on.")
    made.add_argument("tasks", nargs="+", metavar="TASK")
    made.add_argument(
        "--stop-following", action="store_true", help="do not even try: only look after it no more (it is still billed)"
    )
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    found, errors = session.run(lambda service: _cancelled(service, given.tasks, stop_following=given.stop_following))
    if errors and not found:
        raise errors[0]
    _show(Screen(as_json=given.json), found, errors)
    if errors:
        return errors[0].exit_code
    stopped = all(task.state == "cancelled" or getattr(task, "followed", None) is False for task in found)
    return 0 if stopped else 69


async def _cancelled(
    service: Service, tasks: list[str], *, stop_following: bool
) -> tuple[list[OrderedAnswer], list[KlingError]]:
    found: list[OrderedAnswer] = []
    errors: list[KlingError] = []
    for task in dict.fromkeys(tasks):
        try:
            found.append(await service.stop(await service.named(task), stop_following=stop_following))
        except KlingError as error:
            # The others are still to be stopped: they go on and are billed.
            errors.append(error)
    return found, errors


def _show(screen: Screen, found: list[OrderedAnswer], errors: list[KlingError]) -> None:
    from mcp_server.cli.buy.purchase import what_it_cost

    if screen.as_json:
        told = {"errors": [error.as_dict() for error in errors]} if errors else {}
        screen.facts({"tasks": [task.facts() for task in found], **told})
        return
    for task in found:
        if isinstance(task, FilmAnswer):
            screen.line(f"{task.id}  {task.state}  {task.note}")
            continue
        screen.line(f"{task.task_id}  {task.state}  {paragraph(task.note, '', what_it_cost(task))}")
    for error in errors:
        screen.note(formatting.typed(str(error)))
