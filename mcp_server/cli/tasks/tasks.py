"""`kling-video tasks`: earlier purchases, one a line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen
from mcp_server.domain.task import STATE_WORDS

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer


def flags() -> parser.Parser:
    made = parser.command("tasks", "Newest first.")
    made.add_argument("search", nargs="*", metavar="WORDS", help="words of the prompt")
    made.add_argument("--state", choices=STATE_WORDS)
    made.add_argument("--provider", help="only this vendor's; sandbox for rehearsals")
    made.add_argument("--limit", type=int, default=20, metavar="NUMBER", help="how many at most (20)")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_intermixed_args(argv)
    search = " ".join(given.search) or None
    found = session.run(
        lambda service: service.tasks(search=search, state=given.state, provider=given.provider, limit=given.limit)
    )
    screen = Screen(as_json=given.json)
    if given.json:
        screen.facts(found.facts())
    elif found.tasks:
        columns = ("task", "when", "state", "what", "price", "prompt", "file")
        screen.table(columns, [_row(task, screen) for task in found.tasks], right=(4,), dim=3)
    else:
        screen.note(formatting.typed(found.next_step))
    return 0


def _row(task: TaskAnswer, screen: Screen) -> tuple[str, ...]:
    seller = f"sandbox/{task.plays}" if task.plays else task.provider
    what = f"{seller} {task.model} {task.tier}"
    prompt, file = " ".join(task.prompt.split()), task.video_path or ""
    if screen.terminal:
        # The folder is the same for nearly all; `task` and `open` know it.
        prompt, file = formatting.short(prompt, 40), Path(file).name
    return task.task_id, formatting.ago(task.created_at), task.state, what, formatting.paid(task), prompt, file
