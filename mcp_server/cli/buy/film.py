"""`kling-video film`: a board priced as a whole, filmed shot by shot, joined to one file."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen
from mcp_server.domain.task import names_film

if TYPE_CHECKING:
    from mcp_server.films.films import FilmOrder

WHAT = (
    "Without a limit it is planned and priced, and you are asked. The film's path is printed on standard output, all\n"
    "else on standard error. Called again it goes on where it was: no shot is bought twice."
)
EXAMPLE = "Example: kling-video film board.toml --max-cost-usd 3"


def flags() -> parser.Parser:
    """The command's flags."""
    made = parser.command("film", WHAT, epilog=EXAMPLE)
    add = made.add_argument
    add("board", metavar="BOARD|FILM", help="a .toml or .json file, or the id of a film to go on with")
    add("--film", metavar="FILM", help="the film whose new wording the board is")
    add("--redo", action="append", default=[], metavar="SHOT", help="buy this shot again; repeatable")
    add("--draft", action=argparse.BooleanOptionalAction, default=None, help="the cheapest silent version first")
    add("--max-cost-usd", type=_dollars, metavar="USD", help="buy, if all of it costs no more")
    add("--accept-unknown-price", action="store_true", help="buy at an unpublished price")
    add("--output-dir", metavar="FOLDER", help="folder for the files")
    parser.add_buying_flags(made)
    return made


def run(argv: list[str]) -> int:
    """Plan, and buy where that is agreed to."""
    given = flags().parse_args(argv)
    order = _order(given)
    from mcp_server.cli.buy.film_purchase import FilmPurchase

    screen = Screen(as_json=given.json)
    return session.run(
        lambda service: FilmPurchase(
            service=service, screen=screen, order=order, yes=given.yes, wait=not given.no_wait, notify=given.notify
        ).run()
    )


def _order(given: argparse.Namespace) -> FilmOrder:
    from mcp_server.films import board
    from mcp_server.films.films import FilmOrder

    goes_on = names_film(given.board)
    return FilmOrder(
        board=None if goes_on else board.from_file(Path(given.board).expanduser()),
        film_id=given.board if goes_on else given.film,
        redo=tuple(given.redo),
        draft=given.draft,
        max_cost_usd=given.max_cost_usd,
        accept_unknown_price=given.accept_unknown_price,
        output_dir=given.output_dir,
    )


def _dollars(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a sum of dollars")
    return found
