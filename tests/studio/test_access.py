"""Who gets into the studio, and what everybody else gets."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from support.browsing import Browser, Studio, browser, studio
from support.films import board
from support.services import hurried, settings

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError
from mcp_server.films.films import FilmOrder
from mcp_server.server.http import build_studio
from mcp_server.studio.sessions import SESSION_S

TOKEN = "a-long-token-that-nobody-guesses"


async def made(opened: Studio, *, prompt: str = "a paper boat", owner: str = "") -> str:
    """A finished rehearsal."""
    task = await opened.service.generate(VideoArguments(prompt=prompt, duration=5), owner=owner)
    (done,) = await opened.service.get([task.task_id], wait_s=400, owner=owner)
    assert done.state == "succeeded"
    return task.task_id


async def test_the_link_opens_it_once_and_the_next_one_is_said(opened: Studio) -> None:
    first = opened.link
    async with httpx.AsyncClient(timeout=60) as mine, httpx.AsyncClient() as other:
        assert (await mine.get(first)).status_code == 200
        assert (await mine.get(f"{opened.address}/")).status_code == 200
        assert (await other.get(first)).status_code == 401
        assert "used before" in (await other.get(first)).text
        assert (await mine.get(first)).status_code == 303, "who is in already just goes on"
        assert opened.link != first
        assert (await other.get(opened.link)).status_code == 200


async def test_the_cookie_is_out_of_scripts_and_other_sites_reach(opened: Studio) -> None:
    async with httpx.AsyncClient(timeout=60) as mine:
        cookie = (await mine.get(opened.link)).headers["set-cookie"]

    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Path=/studio" in cookie


@pytest.mark.parametrize("place", ["/", "/clips/kv-261129-000000000000", "/clips/kv-261129-000000000000/video"])
async def test_without_the_cookie_nothing_is_shown(opened: Studio, place: str) -> None:
    async with browser(opened, entered=False) as stranger:
        assert (await stranger.get(place)).status_code == 401


async def test_a_cookie_that_was_changed_is_none(visitor: Browser) -> None:
    (name,) = visitor.http.cookies
    value = visitor.http.cookies[name]
    for wrong in (value[:-1] + ("0" if value[-1] != "0" else "1"), value.rpartition(".")[0], f"{value}x", ".", "x.y"):
        async with httpx.AsyncClient(cookies={name: wrong}) as other:
            assert (await other.get(f"{visitor.studio.address}/")).status_code == 401


async def test_a_session_ends(tmp_path: Path) -> None:
    clock, skipped = hurried(), 0.0
    moving = replace(clock, now=lambda: clock.now() + skipped)
    async with studio(settings(tmp_path), clock=moving) as opened, browser(opened) as mine:
        assert (await mine.get("/")).status_code == 200
        skipped = SESSION_S
        assert (await mine.get("/")).status_code == 401


async def test_another_host_or_origin_is_turned_away(visitor: Browser) -> None:
    assert (await visitor.get("/", host="evil.example")).status_code == 421
    assert (await visitor.get("/", origin="http://evil.example")).status_code == 403
    assert (await visitor.get("/enter?code=x", host="evil.example:80")).status_code == 421


async def test_every_answer_says_what_a_browser_may_do_with_it(visitor: Browser) -> None:
    for place in ("/", "/nowhere", "/static/studio.css", "/clips/kv-261129-000000000000"):
        headers = (await visitor.get(place)).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"


async def test_a_form_without_its_token_does_nothing(opened: Studio, visitor: Browser) -> None:
    task_id = await made(opened)
    csrf = await visitor.csrf()
    for fields in ({}, {"csrf": ""}, {"csrf": csrf[:-1]}, {"csrf": "é"}):
        for place in (f"/clips/{task_id}/cancel", f"/clips/{task_id}/folder", "/logout"):
            assert (await visitor.post(place, fields)).status_code == 403
    caused = {"sec-fetch-site": "cross-site"}
    assert (await visitor.post("/logout", {"csrf": csrf}, **caused)).status_code == 403
    assert (await visitor.post("/logout", {"csrf": csrf, "more": "x" * 200_000})).status_code == 413


async def test_the_token_of_one_browser_is_worth_nothing_in_another(opened: Studio, visitor: Browser) -> None:
    csrf = await visitor.csrf()
    async with browser(opened) as other:
        assert (await other.post("/logout", {"csrf": csrf})).status_code == 403


async def test_signing_out_forgets_the_browser(visitor: Browser) -> None:
    assert (await visitor.post("/logout", {"csrf": await visitor.csrf()})).status_code == 200
    assert (await visitor.get("/")).status_code == 401


def test_from_outside_nobody_comes_in_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="nobody would be asked for a token"):
        build_studio(settings(tmp_path), host="0.0.0.0", port=8765)


async def test_with_a_token_the_token_is_what_opens_it(tmp_path: Path) -> None:
    async with studio(settings(tmp_path, KLING_HTTP_TOKEN=TOKEN)) as opened:
        async with browser(opened, entered=False) as mine:
            assert "code=" not in opened.said[-1]
            assert 'type="password"' in (await mine.get("/")).text
            assert (await mine.get("/enter?code=")).status_code == 401
            assert (await mine.post("/login", {"token": "wrong"})).status_code == 401
            assert (await mine.post("/login", {"token": TOKEN}, **{"sec-fetch-site": "cross-site"})).status_code == 403
            assert (await mine.post("/login", {"token": TOKEN})).status_code == 200
            assert (await mine.get("/")).status_code == 200


async def test_others_work_is_not_seen(tmp_path: Path) -> None:
    async with studio(settings(tmp_path, KLING_HTTP_TOKEN=TOKEN)) as opened, browser(opened, entered=False) as mine:
        await mine.post("/login", {"token": TOKEN})
        theirs, nobodys = await made(opened, owner="somebody", prompt="their secret"), await made(opened)
        assert "secret" not in (await mine.get("/")).text
        for task_id in (theirs, nobodys):
            assert task_id not in (await mine.get("/")).text
            for what in ("", "/video", "/poster", "/sheet"):
                assert (await mine.get(f"/clips/{task_id}{what}")).status_code == 404
            csrf = await mine.csrf()
            assert (await mine.post(f"/clips/{task_id}/cancel", {"csrf": csrf})).status_code == 404
            assert (await mine.get(f"/order?again={task_id}")).status_code == 422
            assert (await mine.post("/order/price", {"csrf": csrf, "again": task_id})).status_code == 422
            order = {"order": f'{{"again": "{task_id}", "idempotency_key": "k"}}', "shown": "", "csrf": csrf}
            refused = await mine.post("/order", order)
            assert refused.status_code == 404
            assert "secret" not in refused.text


async def test_others_films_are_not_seen(tmp_path: Path) -> None:
    async with studio(settings(tmp_path, KLING_HTTP_TOKEN=TOKEN)) as opened, browser(opened, entered=False) as mine:
        await mine.post("/login", {"token": TOKEN})
        film = await opened.service.films.make(FilmOrder(board=board("cut", title="Their secret")), owner="somebody")
        assert "secret" not in (await mine.get("/films")).text
        for what in ("", "/video", "/sheet", "/redo"):
            assert (await mine.get(f"/films/{film.film_id}{what}")).status_code == 404
        for what in ("/redo", "/redo/price", "/cancel"):
            assert (await mine.post(f"/films/{film.film_id}{what}", {"csrf": await mine.csrf()})).status_code == 404


async def test_whoever_comes_over_the_network_names_no_file_of_the_server(tmp_path: Path) -> None:
    async with studio(settings(tmp_path, KLING_HTTP_TOKEN=TOKEN)) as opened, browser(opened, entered=False) as mine:
        await mine.post("/login", {"token": TOKEN})
        fields = {"csrf": await mine.csrf(), "request": "kling: a boat", "image": "/etc/hostname"}
        refused = await mine.post("/order/price", fields, **{"x-studio-part": "1"})
        assert refused.status_code == 422
        assert "cannot be named over the network" in refused.text
