"""`kling-video task`: one purchase, with everything that is known about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.answers.tasks import fitted_answer
from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks import film_screen
from mcp_server.cli.tasks.watching import says
from mcp_server.errors import paragraph

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer, TaskAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command("task", "Where it stands, what was ordered, what came, what it cost.")
    made.add_argument("task", metavar="TASK")
    made.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait up to this long for its end")
    made.add_argument("--sheet", action="store_true", help="also make a contact sheet (one JPEG) beside the clip")
    made.add_argument("--last-frame", action="store_true", help="also write the last frame as PNG beside the clip")
    made.add_argument("--fit", type=parser.megabytes, metavar="MB", help="also make a copy no larger, just as long")
    made.add_argument("--output-dir", metavar="FOLDER", help="save the clip there, if it is not saved yet")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    screen = Screen(as_json=given.json)

    async def look(service: Service) -> tuple[OrderedAnswer, dict[str, str]]:
        given.task = await service.named(given.task)
        if given.output_dir is not None:
            await service.move(given.task, given.output_dir)
        (task,) = await service.get_any([given.task], wait_s=given.wait)
        pictures: dict[str, str] = {}
        if given.sheet:
            pictures["sheet_path"] = str(await service.sheet(given.task))
        if given.last_frame:
            pictures["last_frame_path"] = str(await service.last_frame(given.task))
        if given.fit is not None:
            screen.note(f"A copy of at most {given.fit:g} MB: the clip is encoded anew …")
            task = fitted_answer(task, await service.fitted(given.task, given.fit), given.fit)
        return task, pictures

    task, pictures = session.run(look)
    if given.json:
        screen.facts(task.facts() | pictures)
    elif isinstance(task, FilmAnswer):
        film_screen.show(screen, task)
        screen.pairs(_named(pictures))
    else:
        screen.pairs([(name, value) for name, value in (*_rows(task), *_named(pictures)) if value])
        for difference in task.differences:
            screen.note(f"! Not as ordered: {difference}", "bold yellow")
        for less in task.fitted_copy.given_up if task.fitted_copy else ():
            screen.note(f"! Given up in the copy: {less}", "yellow")
    return 0


def _rows(task: TaskAnswer) -> list[tuple[str, str]]:
    cost = task.cost
    error = task.error or {}
    state = says(task) if task.finished_at is None else task.state
    return [
        ("task", task.task_id),
        ("state", formatting.shown(f"{state} ({task.status})" if task.status else state)),
        ("clip", formatting.clip(task)),
        ("prompt", task.prompt),
        ("why", task.route),
        ("ordered", _order(task.ordered)),
        ("delivered", _order(task.delivered)),
        ("quoted", f"{formatting.cost(cost.estimated)}  {formatting.reckoning(cost.estimated)}" if cost else ""),
        ("charged", "nothing: a simulation" if task.simulated else formatting.settled(cost.settled) if cost else ""),
        ("file", task.place or ""),
        ("size", formatting.size(task.bytes)),
        ("sha256", task.sha256 or ""),
        ("copy", task.fitted_copy.path if task.fitted_copy else ""),
        ("copy size", formatting.size(task.fitted_copy.bytes) if task.fitted_copy else ""),
        ("link until", formatting.ago(task.expires_at) if task.finished_at else ""),
        ("ordered at", formatting.ago(task.created_at)),
        ("done at", formatting.ago(task.finished_at)),
        ("error", formatting.shown(paragraph(str(error.get("what", "")), str(error.get("why", ""))))),
        ("warnings", "\n".join(map(formatting.shown, task.warnings))),
        ("note", formatting.shown(task.note)),
        ("next", formatting.typed(task.next_step)),
    ]


def _named(pictures: dict[str, str]) -> list[tuple[str, str]]:
    return [(name.removesuffix("_path").replace("_", " "), path) for name, path in pictures.items()]


def _order(facts: dict[str, Any]) -> str:
    """`5 s, 16:9, 1280x720, silent`."""
    said: list[str] = []
    if (seconds := facts.get("duration")) is not None:
        said.append(f"{seconds:g} s")
    if facts.get("aspect_ratio"):
        said.append(str(facts["aspect_ratio"]))
    if facts.get("width"):
        said.append(f"{facts['width']}x{facts['height']}")
    if facts.get("resolution"):
        said.append(str(facts["resolution"]))
    if (audio := facts.get("audio")) is not None:
        said.append("with sound" if audio else "silent")
    return ", ".join(said)
