"""Several shots as one multi-shot order, one clip with cuts in it: which may be, and what is said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from mcp_server.domain.film import clips_of
from mcp_server.domain.money import money

if TYPE_CHECKING:
    from mcp_server.domain.catalog import Catalog
    from mcp_server.films.board import Board, BoardShot, Look
    from mcp_server.films.plan import FilmPlan

SHOTS_MAX: Final = 6
"""Of one order where its vendor does not say: Kling's own number (`shots_max` in klingai/offers.toml)."""


def together(board: Board, look: Look, catalog: Catalog) -> Board | None:
    """The board with neighbours in one order, as many as one takes; None where no two can be.

    Only shots of which the author did not say how they begin: who wrote `cut` gets a clip for it.
    """
    longest, most = _room(look, catalog)
    shots: list[BoardShot] = []
    count = seconds = 0
    for shot in board.shots:
        length = shot.duration or 0
        joins = (
            bool(shots)
            and "begin" not in shot.model_fields_set
            and _joinable(shots[-1], board)
            and _joinable(shot, board)
            and shot.image is None
            and shots[-1].end_image is None
            and count < most
            and seconds + length <= longest
        )
        if joins or shot.begin == "multi-shot":
            count, seconds = count + 1, seconds + length
        else:
            count, seconds = 1, length
        shots.append(shot.model_copy(update={"begin": "multi-shot"}) if joins else shot)
    if len(clips_of(shots)) == len(clips_of(board.shots)):
        return None
    return board.model_copy(update={"shots": shots})


def why_together(plan: FilmPlan, why: str) -> Iterator[str]:
    """A sentence for each order of several shots."""
    for clip in clips_of(plan.board.shots):
        if len(clip) > 1:
            yield (
                f"{listed(clip)} are one multi-shot order, one clip with cuts in it: {why}; to redo one of them is to "
                f"buy all {len(clip)} again"
            )


def why_apart(plan: FilmPlan, other: FilmPlan | None) -> Iterator[str]:
    """Why every shot is an order of its own, where that was to be chosen."""
    if sum(shot.ordered for shot in plan.shots) < 2 or any(shot.within for shot in plan.shots):
        return
    said = "each shot is bought apart, so that one can be redone without touching the others"
    if other is not None and other.most_usd is not None and plan.most_usd is not None:
        orders = sum(shot.ordered for shot in other.shots)
        said += f"; as {orders} multi-shot order{'s' * (orders > 1)} they would cost {money(other.most_usd, 'USD')}"
    yield said


def listed(clip: Sequence[BoardShot]) -> str:
    """`a, b and c`."""
    *others, last = [shot.id for shot in clip]
    return f"{', '.join(others)} and {last}" if others else last


def _joinable(shot: BoardShot, board: Board) -> bool:
    """Whether it can be one of several: nobody who sells those takes pictures of people beside them."""
    pictured = any(board.cast[name].pictures for name in shot.cast)
    return shot.clip is None and shot.duration is not None and not pictured


def _room(look: Look, catalog: Catalog) -> tuple[int, int]:
    """The most seconds and shots one order takes, of what this look can mean."""
    offers = [
        offer
        for offer in catalog.offers
        if "shots" in offer.takes
        and not offer.not_sold_because
        and (offer.model == look.model if look.model in catalog.models else not catalog.models[offer.model].by_name)
        and look.tier in (None, offer.tier)
        and look.provider in (None, offer.provider)
    ]
    seconds = max((max(offer.durations) for offer in offers if offer.durations), default=0)
    return seconds, max((offer.shots_max or SHOTS_MAX for offer in offers), default=0)
