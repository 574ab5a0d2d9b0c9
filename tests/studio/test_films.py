"""A film's board: its shots as they stand, the joined film, one shot redone at its price, and once."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.browsing import Browser, browser, hidden, studio
from support.films import board
from support.mcp_world import Vendors, vendors

from mcp_server.films.films import FilmOrder


@dataclass
class Filmed:
    """A finished film, and a browser at its studio."""

    browser: Browser
    sellers: Vendors
    film_id: str

    @property
    def orders(self) -> int:
        return sum(bool(line["accepted"]) for line in self.sellers.submits())

    async def ended(self) -> str:
        (film,) = await self.browser.studio.service.films.get([self.film_id], wait_s=2_000)
        assert film.finished_at is not None, film
        return film.state


@pytest.fixture
async def filmed(tmp_path: Path) -> AsyncGenerator[Filmed]:
    async with vendors(tmp_path, rendering=True) as sellers, studio(sellers.settings()) as opened:
        async with browser(opened) as mine:
            order = FilmOrder(board=board("cut", "continue"), max_cost_usd=50)  # type: ignore[arg-type]
            film = await opened.service.films.make(order, buying=True)
            made = Filmed(mine, sellers, film.film_id)
            assert await made.ended() == "succeeded"
            yield made


async def test_the_board_is_a_strip_of_its_shots(filmed: Filmed) -> None:
    listed = (await filmed.browser.get("/films")).text
    page = (await filmed.browser.get(f"/films/{filmed.film_id}")).text
    middle = await filmed.browser.get(f"/films/{filmed.film_id}/video", range="bytes=0-99")

    assert f"/studio/films/{filmed.film_id}" in listed
    for words in ("a paper boat, picture 1", "a paper boat, picture 2", "goes on from the last frame", "Boat", "Redo"):
        assert words in page
    assert (middle.status_code, len(middle.content)) == (206, 100)
    assert (await filmed.browser.get(f"/films/{filmed.film_id}/sheet")).headers["content-type"] == "image/jpeg"


async def test_a_shot_in_one_order_with_another_says_that_both_are_bought_again(tmp_path: Path) -> None:
    look = {"provider": "klingai", "tier": "standard", "audio": False}
    async with vendors(tmp_path) as sellers, studio(sellers.settings()) as opened, browser(opened) as mine:
        order = FilmOrder(board=board("cut", {"begin": "multi-shot"}, "cut", look=look))
        film = await opened.service.films.make(order)
        strip = (await mine.get(f"/films/{film.film_id}")).text
        page = (await mine.get(f"/films/{film.film_id}/redo?shot=s2")).text
        alone = (await mine.get(f"/films/{film.film_id}/redo?shot=s3")).text

    assert "a cut, in one order with it" in strip
    assert "s1, s2 are one order: all 2 of" in page and "This one shot of" in alone


async def test_one_shot_is_redone_at_the_price_that_was_shown_and_once(filmed: Filmed) -> None:
    before = filmed.orders
    page = (await filmed.browser.get(f"/films/{filmed.film_id}/redo?shot=s2")).text
    assert "Buy for $0.252" in page or "Buy for $0.25" in page
    fields = {**hidden(page)}

    first = await filmed.browser.post(f"/films/{filmed.film_id}/redo", fields)
    second = await filmed.browser.post(f"/films/{filmed.film_id}/redo", fields)

    assert first.status_code == 303
    assert second.status_code in (409, 422)
    assert await filmed.ended() == "succeeded"
    third = await filmed.browser.post(f"/films/{filmed.film_id}/redo", fields)
    assert third.status_code == 409, "what was shown was of another time"
    assert filmed.orders == before + 1


async def test_a_shot_gets_new_words(filmed: Filmed) -> None:
    fields = {"csrf": await filmed.browser.csrf(), "shot": "s2", "prompt": "a lighthouse"}
    panel = await filmed.browser.post(f"/films/{filmed.film_id}/redo/price", fields, **{"x-studio-part": "1"})
    assert panel.status_code == 200
    done = await filmed.browser.post(f"/films/{filmed.film_id}/redo", hidden(panel.text))
    assert done.status_code == 303
    assert await filmed.ended() == "succeeded"
    assert "a lighthouse" in (await filmed.browser.get(f"/films/{filmed.film_id}")).text


async def test_without_the_forms_token_nothing_is_filmed(filmed: Filmed) -> None:
    before = filmed.orders
    fields = hidden((await filmed.browser.get(f"/films/{filmed.film_id}/redo?shot=s2")).text)
    del fields["csrf"]
    assert (await filmed.browser.post(f"/films/{filmed.film_id}/redo", fields)).status_code == 403
    assert filmed.orders == before


@pytest.mark.parametrize("name", ["kf-261129-000000000000", "..%2f..", "kv-261129-000000000000"])
async def test_a_film_that_is_not_there_is_not_there(visitor: Browser, name: str) -> None:
    for what in ("", "/video", "/sheet", "/redo?shot=a"):
        assert (await visitor.get(f"/films/{name}{what}")).status_code == 404
