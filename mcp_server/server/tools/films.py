"""The tool that makes films: planned and priced first, bought as a whole within one limit."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.errors import ArgumentError, RequestError
from mcp_server.server.tools.replies import task_reply

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from mcp_server.films.board import Board
    from mcp_server.films.films import FilmOrder
    from mcp_server.server.tools.arguments import MakeFilmArguments
    from mcp_server.server.tools.tool import Call


async def make_film(call: Call) -> CallToolResult:
    """A film planned, or bought as far as it is not: what it may cost is said in the call, for all of its shots."""
    wanted: MakeFilmArguments = call.arguments
    order = _order(wanted, call.owner)
    buying = wanted.max_cost_usd is not None or wanted.accept_unknown_price
    films = (await call.services.ready()).films
    return task_reply(await films.make(order, owner=call.owner, buying=buying))


def _order(wanted: MakeFilmArguments, owner: str) -> FilmOrder:
    from mcp_server.films.films import FilmOrder

    return FilmOrder(
        board=_board(wanted, owner),
        film_id=wanted.film_id,
        redo=tuple(wanted.redo or ()),
        draft=wanted.draft,
        max_cost_usd=None if wanted.max_cost_usd is None else Decimal(str(wanted.max_cost_usd)),
        accept_unknown_price=wanted.accept_unknown_price,
        output_dir=wanted.output_dir,
    )


def _board(wanted: MakeFilmArguments, owner: str) -> Board | None:
    """The board as it came: as an object, as JSON text, or in a file of this machine."""
    from mcp_server.films import board

    if not wanted.board_file:
        return wanted.board
    if wanted.board_file.lstrip().startswith("{"):
        try:
            return board.from_arguments(json.loads(wanted.board_file))
        except (ValueError, RecursionError) as error:
            raise ArgumentError("`board` is no JSON", why=str(error), next_step="Give it as an object") from error
    if owner:
        raise RequestError(
            "A board in a file of the server cannot be named over the network", next_step="Give `board` as an object"
        )
    return board.from_file(Path(wanted.board_file).expanduser())
