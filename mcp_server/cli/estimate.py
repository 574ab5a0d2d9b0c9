"""`kling-video estimate`: what a clip would cost, from everybody who sells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.cli import parser, session, words
from mcp_server.cli.screen import Screen

if TYPE_CHECKING:
    from mcp_server.domain.answers import Estimate, OfferLine

WHAT = "Price a clip without ordering it: the offer that would be chosen, and every other one that fits."


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("estimate", WHAT)
    parser.add_video_flags(made)
    return made


def run(argv: list[str]) -> int:
    """Price it; nothing is spent."""
    given = flags().parse_intermixed_args(argv)
    arguments = parser.video_arguments(given)
    screen = Screen(as_json=given.json)
    found = session.run(lambda service: service.estimate(arguments))
    if given.json:
        screen.facts(found.facts())
    else:
        _show(screen, found)
    return 0


def _show(screen: Screen, found: Estimate) -> None:
    screen.line(f"Prompt: {found.prompt}" if found.prompt else "No prompt", "bold")
    screen.line(found.route)
    rows = [_row("→", found.chosen), *(_row(" ", line) for line in found.others)]
    columns = ("", "offer", "order", "price", "how", "key")
    screen.table(columns, rows, right=(3,), dim=4)
    for name, why in found.dropped.items():
        screen.note(f"Left out: {name}: {why}")
    for warning in found.warnings:
        screen.note(f"! {warning}", "yellow")
    screen.note(found.next_step)


def _row(mark: str, line: OfferLine) -> tuple[str, ...]:
    sound = None if line.audio is None else "sound" if line.audio else "silent"
    seconds = None if line.duration is None else f"{line.duration} s"
    order = " ".join(filter(None, (seconds, line.aspect_ratio, line.resolution, sound)))
    return mark, line.offer, order, words.cost(line.cost), words.reckoning(line.cost), "yes" if line.has_key else "no"
