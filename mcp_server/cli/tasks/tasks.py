"""`kling-video tasks`: earlier purchases, one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen
from mcp_server.domain.task import STATE_WORDS

if TYPE_CHECKING:
    from mcp_server.answers.shapes import FilmAnswer, TaskAnswer


def flags() -> parser.Parser:
    made = parser.command("tasks", "Newest first.")
    made.add_argument("search", nargs="*", metavar="WORDS", help="words of the prompt")
    made.add_argument("--state", type=parser.lower, choices=STATE_WORDS)
    made.add_argument("--provider", type=parser.lower, help="only this vendor's; sandbox for rehearsals")
    made.add_argument("--limit", type=parser.counted, default=20, metavar="NUMBER", help="how many at most (20)")
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
    elif found.tasks or found.films:
        columns = ("task", "when", "state", "what", "price", "prompt")
        # On a terminal `open` and `task` know where the file is.
        more = () if screen.terminal else ("file",)
        films = [(film.created_at or "", _film(film)) for film in found.films]
        tasks = [(task.created_at or "", _row(task, screen)) for task in found.tasks]
        newest = sorted((*films, *tasks), key=lambda one: one[0], reverse=True)
        rows = [row[: len(columns) + len(more)] for _, row in newest]
        screen.table((*columns, *more), rows, right=(4,), dim=3, prose=(3, 5))
    else:
        screen.note(formatting.typed(found.next_step))
    return 0


def _film(film: FilmAnswer) -> tuple[str, ...]:
    """A film beside tasks: its price is the sum of theirs."""
    price = "free" if film.simulated else formatting.cost(film.total)
    what = "film, draft" if film.draft else "film"
    return film.film_id, formatting.ago(film.created_at), film.state, what, price, film.title, film.video_path or ""


def _row(task: TaskAnswer, screen: Screen) -> tuple[str, ...]:
    seller = f"sandbox/{task.plays}" if task.plays else task.provider
    what = f"{seller} {task.model} {task.tier}"
    prompt = formatting.short(task.prompt, 40) if screen.terminal else " ".join(task.prompt.split())
    when, price = formatting.ago(task.created_at), formatting.paid(task)
    return task.task_id, when, task.state, what, price, prompt, task.video_path or ""
