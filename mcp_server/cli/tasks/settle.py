"""`kling-video settle`: say what the vendor's dashboard shows about an order whose answer was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command("settle", "With the job id the vendor's dashboard shows, the clip is followed again.")
    made.add_argument("task", metavar="TASK")
    found = made.add_mutually_exclusive_group(required=True)
    found.add_argument("--not-bought", action="store_true", help="the vendor has no such job: nothing was charged")
    found.add_argument("--bought", action="store_true", help="it was charged, and there is no clip to fetch")
    found.add_argument(
        "--job", metavar="ID", help="it was bought as this job of the vendor's: follow it, fetch the clip"
    )
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    screen = Screen(as_json=given.json)

    async def settle(service: Service) -> TaskAnswer:
        return await service.settle(await service.named(given.task), bought=not given.not_bought, job_id=given.job)

    task = session.run(settle)
    if given.json:
        screen.facts(task.facts())
    else:
        screen.line(f"{task.task_id}  {task.state}  {formatting.typed(task.next_step)}")
    return 0
