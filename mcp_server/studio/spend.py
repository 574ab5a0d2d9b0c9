"""Spending over time: what was quoted and what was charged, by day, vendor and model, beside the day's budget."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from mcp_server.domain.money import money
from mcp_server.studio import chart
from mcp_server.studio.pages import Visit, page

if TYPE_CHECKING:
    from mcp_server.answers.shapes import SpendLine
    from mcp_server.studio.pages import Route

SPANS: Final = (7, 30, 90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seller:
    """What one vendor took for one model."""

    provider: str
    model: str
    colour: int
    tasks: int
    quoted: Decimal
    settled: Decimal
    unknown: int


async def spend(visit: Visit) -> Response:
    """The chart, the same as a table, and where vendors charge something else than they say."""
    asked = visit.asked("days")
    days = int(asked) if asked.isdecimal() and int(asked) in SPANS else 30
    found = await visit.service.spend(days=days, owner=visit.owner)
    colours = {name: number for number, name in enumerate(visit.service.catalog.providers)}
    sellers = _sellers(found.lines, colours)
    today = visit.service.today
    shown = [today - timedelta(days=back) for back in range(days - 1, -1, -1)]
    budget = visit.service.settings.daily_budget_usd
    drawn = chart.draw(_columns(found.lines, [day.isoformat() for day in shown], colours), budget)
    return page(
        "spend.html",
        visit,
        days=days,
        spans=SPANS,
        found=found,
        sellers=sellers,
        chart=drawn,
        budget=None if budget is None else money(budget, "USD"),
        dollars=_dollars,
    )


def _columns(lines: list[SpendLine], days: list[str], colours: dict[str, int]) -> list[chart.Column]:
    of_day: dict[str, list[SpendLine]] = defaultdict(list)
    for line in lines:
        of_day[line.day].append(line)
    return [
        chart.Column(
            day=day,
            quoted=sum((Decimal(line.quoted_usd) for line in of_day[day]), Decimal(0)),
            parts=[
                chart.Part(f"{line.provider} {line.model}", colours.get(line.provider, 0), Decimal(line.settled_usd))
                for line in sorted(of_day[day], key=lambda line: (line.provider, line.model))
                if Decimal(line.settled_usd)
            ],
        )
        for day in days
    ]


def _sellers(lines: list[SpendLine], colours: dict[str, int]) -> list[Seller]:
    """Vendors and models, the dearest first."""
    found: dict[tuple[str, str], list[SpendLine]] = defaultdict(list)
    for line in lines:
        found[line.provider, line.model].append(line)
    made = [
        Seller(
            provider=provider,
            model=model,
            colour=colours.get(provider, 0),
            tasks=sum(line.tasks for line in some),
            quoted=sum((Decimal(line.quoted_usd) for line in some), Decimal(0)),
            settled=sum((Decimal(line.settled_usd) for line in some), Decimal(0)),
            unknown=sum(line.unknown for line in some),
        )
        for (provider, model), some in found.items()
    ]
    return sorted(made, key=lambda seller: (-max(seller.quoted, seller.settled), seller.provider, seller.model))


def _dollars(amount: Decimal | str) -> str:
    return money(Decimal(amount), "USD")


ROUTES: Final[tuple[Route, ...]] = (("GET", "/spend", spend),)
