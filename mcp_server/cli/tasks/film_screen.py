"""A film as people read it: its board with prices, its shots as they are made, its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import formatting
from mcp_server.errors import paragraph

if TYPE_CHECKING:
    from mcp_server.answers.shapes import FilmAnswer, ShotAnswer
    from mcp_server.cli.screen import Screen

COLUMNS = ("shot", "begins", "s", "from", "price", "state")
RIGHT = (2, 4)
_SAYS = {
    "submitting": "ordering",
    "queued": "in the queue",
    "running": "rendering",
    "succeeded": "ready",
    "used": "there",
    "uncertain": "perhaps charged",
    "planned": "to be bought",
}


def plan(screen: Screen, film: FilmAnswer) -> None:
    """The priced board, beside the answer."""
    screen.note(film.title, "bold")
    for line in lines(film):
        screen.note(line)
    screen.note(f"Price {price(film)}")
    for warning in warnings(film):
        screen.note(f"! {warning}", "yellow")


def warnings(film: FilmAnswer) -> list[str]:
    """What is worth knowing about its shots, then about all of it."""
    return [*(f"{shot.shot}: {warning}" for shot in film.shots for warning in shot.warnings), *film.warnings]


def price(film: FilmAnswer) -> str:
    """`$2.10 for all of it, $0.42 of it still to be bought; the final is $8.40`."""
    parts = [f"{formatting.cost(film.total)} for all of it: {film.total.arithmetic}"]
    if film.to_buy is not None:
        parts.append(f"{formatting.cost(film.to_buy)} of it still to be bought")
    if film.final_total is not None:
        parts.append(f"this is the draft, the final is {formatting.cost(film.final_total)}")
    if film.simulated:
        parts.append("a simulation: nothing is charged")
    return "; ".join(parts)


def how_to_buy(film: FilmAnswer) -> str:
    """What a person types to have it filmed."""
    limit = film.total.usd or film.total.usd_at_most
    if film.simulated:
        return f"`kling-video film {film.film_id} --yes` rehearses it for free."
    said = "--accept-unknown-price" if limit is None else f"--max-cost-usd {limit}"
    return f"`kling-video film {film.film_id} {said}` films it."


def rows(film: FilmAnswer) -> list[tuple[str, ...]]:
    """A row for each shot."""
    return [
        (
            shot.shot,
            shot.begin,
            "" if shot.duration is None else str(shot.duration),
            " ".join(filter(None, (shot.provider, shot.model, shot.tier))) or "a clip that is there",
            formatting.cost(shot.cost) if shot.cost else "",
            formatting.short(shot_says(shot), 60),
        )
        for shot in film.shots
    ]


def lines(film: FilmAnswer) -> list[str]:
    """The rows as lines of columns."""
    table = [COLUMNS, *rows(film)]
    widths = [max(len(row[index]) for row in table) for index in range(len(COLUMNS))]
    return [
        "  ".join(
            cell.rjust(width) if index in RIGHT else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def shot_says(shot: ShotAnswer) -> str:
    """`rendering 40%`, `waits for street, …`, `ready`."""
    said = _SAYS.get(shot.state, shot.state)
    if shot.progress is not None and shot.state in ("queued", "running"):
        said += f" {shot.progress}%"
    return shot.why or said


def says(film: FilmAnswer) -> str:
    """`filming, 2 of 5 shots made`, `joining 40%, about 0:12 left`."""
    if film.state == "filming":
        return f"filming, {film.made} of {len(film.shots)} shots made"
    if film.state == "joining":
        left = "" if film.remaining_s is None else f", about {formatting.clock(film.remaining_s)} left"
        return f"joining {film.progress or 0}%{left}"
    return "ready" if film.state == "succeeded" else film.state


def tell(screen: Screen, film: FilmAnswer) -> int:
    """How it ended: the file on standard output, everything else beside it; the exit code."""
    if screen.as_json:
        screen.facts(film.facts())
        return formatting.exit_code(film)
    if film.state != "succeeded":
        for line in lines(film):
            screen.note(line)
        screen.note(_ending(film), "bold red")
        return formatting.exit_code(film)
    if film.place:
        screen.line(film.place)
    length = f"{film.duration:g} s" if film.duration is not None else ""
    cost = "simulated, nothing charged" if film.simulated else formatting.cost(film.total)
    parts = [length, f"{len(film.shots)} shots", formatting.size(film.bytes), cost]
    screen.note(f"Ready: {' · '.join(filter(None, parts))}", "green")
    for check in film.failed_checks:
        screen.note(f"! Not as it should be: {check}", "bold yellow")
    for note in film.notes:
        screen.note(note)
    if film.sheet_path:
        screen.note(f"Every shot and seam: {film.sheet_path}")
    return 0


def _ending(film: FilmAnswer) -> str:
    error = film.error or {}
    what = str(error.get("what") or f"Film {film.film_id} is {film.state}")
    return formatting.typed(paragraph(what, str(error.get("why", "")), str(error.get("next_step", "")), ""))


def pairs(film: FilmAnswer) -> list[tuple[str, str]]:
    """All that is known of it, by name."""
    error = film.error or {}
    return [
        ("film", film.film_id),
        ("title", film.title),
        ("state", says(film)),
        ("price", price(film)),
        ("file", film.place or ""),
        ("sheet", film.sheet_path or ""),
        ("length", f"{film.duration:g} s" if film.duration is not None else ""),
        ("size", formatting.size(film.bytes)),
        ("sha256", film.sha256 or ""),
        ("begun at", formatting.ago(film.created_at)),
        ("done at", formatting.ago(film.finished_at)),
        ("error", formatting.shown(paragraph(str(error.get("what", "")), str(error.get("why", ""))))),
        ("failed checks", "\n".join(film.failed_checks)),
        ("warnings", "\n".join(map(formatting.shown, film.warnings))),
        ("note", formatting.shown(film.note)),
        ("next", formatting.typed(film.next_step)),
    ]


def show(screen: Screen, film: FilmAnswer) -> None:
    """The film with each of its shots, as the answer."""
    screen.pairs([(name, value) for name, value in pairs(film) if value])
    more = (*COLUMNS, "task")
    found = [(*row, shot.task_id) for row, shot in zip(rows(film), film.shots, strict=True)]
    screen.table(more, found, right=RIGHT, prose=(3, 5))
