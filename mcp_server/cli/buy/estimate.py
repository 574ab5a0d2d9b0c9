"""`kling-video estimate`: what a clip would cost, from everybody who sells it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp_server.answers.shapes import FilmAnswer
from mcp_server.cli import formatting, parser, session
from mcp_server.cli.buy import live_prices
from mcp_server.cli.screen import Screen
from mcp_server.cli.tasks import film_screen
from mcp_server.errors import NoOfferError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import Estimate, OfferLine
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.service import Service

WHAT = "The offer that would be chosen, and every other one that fits; nothing is ordered."


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("estimate", WHAT)
    parser.add_video_flags(made)
    made.add_argument("--live", action="store_true", help="also ask vendors that tell today's price for nothing")
    return made


def run(argv: list[str]) -> int:
    """Price it; nothing is spent."""
    given = flags().parse_intermixed_args(argv)
    arguments = parser.video_arguments(given)
    screen = Screen(as_json=given.json)
    found, today = session.run(lambda service: _priced(service, arguments, ask=given.live))
    if isinstance(found, FilmAnswer):
        return _show_film(screen, found)
    if given.json:
        screen.facts(found.facts() | ({"live": [one.facts() for one in today]} if given.live else {}))
        return 0
    _show(screen, found)
    for sentence in live_prices.told(today) if given.live else ():
        screen.note(sentence)
    return 0


async def _priced(
    service: Service, arguments: VideoArguments, *, ask: bool
) -> tuple[Estimate | FilmAnswer, list[live_prices.Live]]:
    try:
        draft = await service.prepare(arguments, buying=False)
    except NoOfferError:
        if (film := await service.film_price(arguments)) is None:
            raise
        return film, []
    return service.priced(draft), await live_prices.asked(service, draft.plan) if ask else []


def _show_film(screen: Screen, film: FilmAnswer) -> int:
    """The film that a long order is, as `kling-video film` shows it before it asks."""
    if screen.as_json:
        screen.facts(film.facts())
        return 0
    screen.line(film.title, "bold")
    screen.table(film_screen.COLUMNS, film_screen.rows(film), right=film_screen.RIGHT, prose=(3, 5))
    screen.line(f"Price {film_screen.price(film)}")
    for warning in film_screen.warnings(film):
        screen.note(f"! {warning}", "yellow")
    screen.note(film.note)
    screen.note(formatting.typed(film.next_step))
    return 0


def _show(screen: Screen, found: Estimate) -> None:
    screen.line(f"Prompt: {found.prompt}" if found.prompt else "No prompt", "bold")
    screen.line(found.route)
    rows = [_row("→", found.chosen), *(_row(" ", line) for line in found.others)]
    columns = ("", "offer", "order", "price", "how", "key")
    screen.table(columns, rows, right=(3,), dim=4, prose=(2, 4))
    if found.total is not None:
        screen.line(f"All {found.count}: {formatting.cost(found.total)}")
    for name, why in found.dropped.items():
        screen.note(f"Left out: {name}: {why}")
    for warning in found.warnings:
        screen.note(f"! {warning}", "yellow")
    screen.note(formatting.typed(found.next_step))


def _row(mark: str, line: OfferLine) -> tuple[str, ...]:
    sound = None if line.audio is None else "sound" if line.audio else "silent"
    seconds = None if line.duration is None else f"{line.duration} s"
    order = " ".join(filter(None, (seconds, line.aspect_ratio, line.resolution, sound)))
    return (
        mark,
        line.offer,
        order,
        formatting.cost(line.cost),
        formatting.reckoning(line.cost),
        "yes" if line.has_key else "no",
    )
