"""Spending over time: the chart and the table say what the record says."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from support.browsing import Browser, browser, studio
from support.films import board
from support.mcp_world import vendors

from mcp_server.domain.arguments import VideoArguments
from mcp_server.films.films import FilmOrder
from mcp_server.studio.chart import Column, Part, draw
from mcp_server.tasks.store.base import Budget


def column(day: str, quoted: str, *settled: str) -> Column:
    return Column(
        day=day, quoted=Decimal(quoted), parts=[Part("v m", place, Decimal(one)) for place, one in enumerate(settled)]
    )


def test_columns_are_as_high_as_their_money_and_stand_on_the_floor() -> None:
    drawing = draw([column("2026-11-28", "2", "1", "0.5"), column("2026-11-29", "0")], Decimal(2))
    first, second = drawing.bars
    low, high = first.parts

    assert low.y + low.height == pytest.approx(drawing.floor, abs=1.1)
    assert high.y + high.height == pytest.approx(low.y, abs=1.1)
    assert low.height / high.height == pytest.approx(2, rel=0.05)
    assert first.quoted is not None
    assert first.quoted.y == drawing.budget, "two dollars are as high as two dollars"
    assert (second.parts, second.quoted) == ([], None)
    assert "quoted $2.00, charged $1.50" in first.title


@pytest.mark.parametrize("most", ["0", "0.004", "0.42", "1", "9.99", "12345"])
def test_lines_are_round_and_few_and_reach_over_every_column(most: str) -> None:
    drawing = draw([column("2026-11-29", most, most)], None)
    assert 2 <= len(drawing.ticks) <= 7
    assert drawing.ticks[-1][0] <= drawing.bars[0].whole.y + 0.1
    assert all(box.y >= drawing.bars[0].whole.y - 1 for box in drawing.bars[0].parts)


def test_a_budget_far_above_is_said_and_not_drawn() -> None:
    drawing = draw([column("2026-11-29", "1", "1")], Decimal(500))
    assert (drawing.budget, drawing.above) == (None, True)


async def test_what_was_charged_stands_in_the_chart_and_in_the_table(tmp_path: Path) -> None:
    async with vendors(tmp_path) as sellers, studio(sellers.settings(KLING_DAILY_BUDGET_USD="2")) as opened:
        async with browser(opened) as mine:
            order = VideoArguments(prompt="a boat", provider="runapi", tier="standard", duration=5)
            task = await opened.service.generate(order)
            (done,) = await opened.service.get([task.task_id], wait_s=400)
            assert done.cost is not None
            quoted = done.cost.estimated.usd
            page = (await mine.get("/spend")).text
            week = (await mine.get("/spend?days=7")).text

    assert f"${quoted}" in page
    assert "budget $2.00 a day" in page
    assert 'class="budget"' in page
    assert "runapi · kling-3.0" in page
    assert len(re.findall('class="day"', page)) == 30
    assert len(re.findall('class="day"', week)) == 7
    assert "style=" not in page, "the policy would drop it"


async def test_what_a_film_holds_back_counts_today_and_is_said(tmp_path: Path) -> None:
    async with vendors(tmp_path) as sellers, studio(sellers.settings(KLING_DAILY_BUDGET_USD="2")) as opened:
        films = opened.service.films
        # Begun and not driven: 3 s × $0.084 for each of two shots are held back, and none of it is bought.
        draft = await films.prepare(FilmOrder(board=board("cut", "continue")))
        await films.records.start(draft.film, Budget())
        order = VideoArguments(prompt="a boat", provider="runcomfy", tier="standard", duration=5)
        await opened.service.generate(order)
        spent = await opened.service.spend()
        async with browser(opened) as mine:
            page = (await mine.get("/spend")).text

    assert (spent.quoted_usd, spent.held_by_films_usd) == ("0.42", "0.504")
    assert (spent.today_usd, spent.daily_budget_usd) == ("0.924", "2")
    today = r"<dt>Today</dt><dd>\$0\.924 <small>of \$2\.00 a day</small> <small>\$0\.504 held by films</small>"
    assert re.search(today, page)


async def test_rehearsals_are_no_spending(visitor: Browser) -> None:
    await visitor.studio.service.generate(VideoArguments(prompt="a boat"))
    page = (await visitor.get("/spend?days=1e9")).text
    assert "Nothing was spent in these 30 days" in page
