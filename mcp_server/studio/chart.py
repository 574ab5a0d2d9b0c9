"""Columns of a chart of money over days, as numbers a template writes into an SVG: no script draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Final

from mcp_server.domain.money import money

WIDTH: Final = 960
HIGH: Final = 300
LEFT: Final = 56
RIGHT: Final = 18
TOP: Final = 22
FLOOR: Final = 30
"""Room for the days below."""
_STEPS: Final = (1, 2, 5)
_FAR: Final = 6
"""A budget so many times above the highest column is said and not drawn: it would flatten everything else."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one vendor charged for one model on one day."""

    name: str
    colour: int
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One day."""

    day: str
    quoted: Decimal
    parts: list[Part]

    @property
    def settled(self) -> Decimal:
        return sum((part.amount for part in self.parts), Decimal(0))


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the drawing."""

    x: float
    y: float
    width: float
    height: float
    colour: int = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One day as it is drawn."""

    title: str
    """What is said of it."""
    label: str
    """Below it; empty where the days stand too close for every one to be named."""
    middle: float
    parts: list[Box]
    quoted: Box | None
    whole: Box
    """All of its room, for the pointer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """Everything in it."""

    bars: list[Bar]
    ticks: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    budget: float | None = None
    """Height of the budget's line; None where there is none, or it is far above."""
    above: bool = False
    """Whether the budget is far above."""
    width: int = WIDTH
    height: int = HIGH
    left: int = LEFT
    floor: float = HIGH - FLOOR


def draw(columns: Sequence[Column], budget: Decimal | None) -> Drawing:
    """The drawing of these days."""
    most = max((max(column.quoted, column.settled) for column in columns), default=Decimal(0))
    near = budget is not None and (not most or budget <= most * _FAR)
    top = max(most, budget if near and budget is not None else Decimal(0), Decimal("0.01"))
    step = _step(top)
    top = step * (top / step).to_integral_value(ROUND_CEILING)
    scale = Decimal(HIGH - TOP - FLOOR) / top
    room = (WIDTH - LEFT - RIGHT) / max(len(columns), 1)

    def height(amount: Decimal) -> float:
        return float(round(amount * scale, 2))

    floor = HIGH - FLOOR
    every = -(-len(columns) // 10)
    return Drawing(
        bars=[
            _bar(column, LEFT + room * place, room, height, named=(len(columns) - 1 - place) % every == 0)
            for place, column in enumerate(columns)
        ],
        ticks=[(floor - height(amount), money(amount, "USD")) for amount in _ticks(top, step)],
        budget=floor - height(budget) if near and budget is not None else None,
        above=budget is not None and not near,
    )


def _bar(column: Column, x: float, room: float, height: Callable[[Decimal], float], *, named: bool) -> Bar:
    thick = min(room * 0.72, 64.0)
    start, floor = round(x + (room - thick) / 2, 2), float(HIGH - FLOOR)
    parts, y = list[Box](), floor
    for part in column.parts:
        high = height(part.amount)
        y = round(y - high, 2)
        parts.append(Box(start, y, round(thick, 2), max(high - 1, 0.8), part.colour))
    quoted = height(column.quoted)
    day = date.fromisoformat(column.day)
    said = [f"{day:%A} {day.day} {day:%B}: "]
    said += [f"quoted {money(column.quoted, 'USD')}, charged {money(column.settled, 'USD')}"]
    said += [f"; {part.name} {money(part.amount, 'USD')}" for part in column.parts]
    return Bar(
        title="".join(said),
        label=f"{day.day} {day:%b}" if named else "",
        middle=round(x + room / 2, 2),
        parts=parts,
        quoted=Box(start - 2, round(floor - quoted, 2), round(thick + 4, 2), quoted) if quoted else None,
        whole=Box(round(x, 2), TOP, round(room, 2), floor - TOP),
    )


def _step(top: Decimal) -> Decimal:
    """A round distance of lines, of which three to six fit."""
    unit = Decimal(10) ** (top.adjusted() - 1)
    return next(unit * each * ten for ten in (1, 10, 100) for each in _STEPS if top / (unit * each * ten) <= 5)


def _ticks(top: Decimal, step: Decimal) -> Iterator[Decimal]:
    amount = Decimal(0)
    while amount <= top:
        yield amount
        amount += step
