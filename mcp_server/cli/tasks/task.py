"""`kling-video task`: one purchase, with everything that is known about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_server.cli import formatting, parser, session
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks.watching import says
from mcp_server.errors import paragraph

if TYPE_CHECKING:
    from mcp_server.answers.shapes import TaskAnswer
    from mcp_server.service import Service


def flags() -> parser.Parser:
    made = parser.command("task", "Where it stands, what was ordered, what came, what it cost.")
    made.add_argument("task", metavar="TASK")
    made.add_argument("--wait", type=float, default=0.0, metavar="SECONDS", help="wait up to this long for its end")
    made.add_argument("--sheet", action="store_true", help="also make a contact sheet (one JPEG) beside the clip")
    made.add_argument("--last-frame", action="store_true", help="also write the last frame as PNG beside the clip")
    made.add_argument("--output-dir", metavar="FOLDER", help="save the clip there, if it is not saved yet")
    return made


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    screen = Screen(as_json=given.json)

    async def look(service: Service) -> tuple[TaskAnswer, dict[str, str]]:
        if given.output_dir is not None:
            await service.move(given.task, given.output_dir)
        (task,) = await service.get([given.task], wait_s=given.wait)
        pictures: dict[str, str] = {}
        if given.sheet:
            pictures["sheet_path"] = str(await service.sheet(given.task))
        if given.last_frame:
            pictures["last_frame_path"] = str(await service.last_frame(given.task))
        return task, pictures

    task, pictures = session.run(look)
    if given.json:
        screen.facts(task.facts() | pictures)
    else:
        screen.pairs([(name, value) for name, value in (*_rows(task), *_named(pictures)) if value])
        for difference in task.differences:
            screen.note(f"! Not as ordered: {difference}", "bold yellow")
    return 0


def _rows(task: TaskAnswer) -> list[tuple[str, str]]:
    cost = task.cost
    error = task.error or {}
    state = says(task) if task.finished_at is None else task.state
    return [
        ("task", task.task_id),
        ("state", f"{state} ({task.status})" if task.status else state),
        ("clip", formatting.clip(task)),
        ("prompt", task.prompt),
        ("why", task.route),
        ("ordered", _order(task.ordered)),
        ("delivered", _order(task.delivered)),
        ("quoted", f"{formatting.cost(cost.estimated)}  {formatting.reckoning(cost.estimated)}" if cost else ""),
        ("charged", "nothing: a simulation" if task.simulated else formatting.settled(cost.settled) if cost else ""),
        ("file", task.video_path or ""),
        ("size", formatting.size(task.bytes)),
        ("sha256", task.sha256 or ""),
        ("link until", formatting.ago(task.expires_at) if task.finished_at else ""),
        ("ordered at", formatting.ago(task.created_at)),
        ("done at", formatting.ago(task.finished_at)),
        ("error", paragraph(str(error.get("what", "")), str(error.get("why", "")))),
        ("warnings", "\n".join(task.warnings)),
        ("note", task.note),
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
