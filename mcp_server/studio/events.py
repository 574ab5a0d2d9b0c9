"""What changes, told as it happens: one stream for each page that is looked at, and nothing kept when it is gone."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response, StreamingResponse

from mcp_server.domain.task import is_task_id
from mcp_server.studio import films, view
from mcp_server.studio.pages import Visit, text
from mcp_server.tasks.follow.waiters import set_within
from mcp_server.tasks.store.base import Filter

if TYPE_CHECKING:
    from mcp_server.studio.pages import Route

AT_MOST: Final = 100
"""Tasks one page may watch."""
LOOK_S: Final = 2.0
"""How often new orders of other processes are looked for."""
QUIET_S: Final = 15.0
"""So long nothing may be said before a line says that this lives."""
STREAM_S: Final = 600.0
"""After so long the browser comes again, with the cookie it then has."""


async def events(visit: Visit) -> Response:
    """The stream for one page: `as` says what it shows, `ids` what of it may change, `newest` what it began with."""
    ids = [task_id for task_id in visit.asked("ids").split(",") if is_task_id(task_id) or task_id.startswith("kf-")]
    telling = _PARTS.get(visit.asked("as"), _cards)
    return StreamingResponse(
        _told(visit, ids[:AT_MOST], telling, visit.asked("newest")),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _told(visit: Visit, ids: list[str], telling: Telling, newest: str) -> AsyncGenerator[str]:
    runner = visit.service.runner
    if visit.service.settings.has_record:
        await runner.start()
    clock, waiters = runner.runtime.clock, runner.waiters
    begun = spoken = clock.monotonic()
    shown: dict[str, int] = {}
    event = waiters.join(ids)
    yield "retry: 2000\n\n"
    try:
        while clock.monotonic() - begun < STREAM_S:
            event.clear()
            said = [fact async for fact in telling(visit, ids)]
            fresh = [fact for fact in said if shown.get(fact["id"]) != hash(fact["html"])]
            shown.update({fact["id"]: hash(fact["html"]) for fact in fresh})
            if newest and (found := await _newest(visit)) != newest:
                newest, fresh = found, [*fresh, {"id": found, "new": True}]
            for fact in fresh:
                yield f"data: {json.dumps(fact)}\n\n"
            if fresh:
                spoken = clock.monotonic()
            elif clock.monotonic() - spoken >= QUIET_S:
                spoken = clock.monotonic()
                yield ": here\n\n"
            await set_within(event, LOOK_S, clock.sleep)
    finally:
        waiters.leave(ids, event)


async def _newest(visit: Visit) -> str:
    found = await visit.service.runner.store.find(Filter(owner=visit.owner, limit=1))
    return found[0].id if found else "none"


async def _cards(visit: Visit, ids: list[str]) -> AsyncGenerator[dict[str, Any]]:
    """Tasks as cards of the grid."""
    for task in await visit.service.look(ids, owner=visit.owner):
        html = text("one_card.html", visit, card=view.card(task))
        yield {"id": task.task_id, "html": html, "over": task.finished_at is not None, "state": task.state}


async def _clip(visit: Visit, ids: list[str]) -> AsyncGenerator[dict[str, Any]]:
    """A task as its own page's head shows it."""
    for task in await visit.service.look(ids[:1], owner=visit.owner):
        html = text("live.html", visit, card=view.card(task), task=task)
        yield {"id": task.task_id, "html": html, "over": task.finished_at is not None, "state": task.state}


async def _film(visit: Visit, ids: list[str]) -> AsyncGenerator[dict[str, Any]]:
    """A film's board; its shots wake the stream by the film's own changes."""
    for film in await visit.service.films.records.many(ids[:1]):
        if film.owner == visit.owner:
            card = await films.card(visit, film)
            yield {"id": film.id, "html": text("board.html", visit, card=card), "over": not card.busy}


Telling = Callable[[Visit, list[str]], AsyncGenerator[dict[str, Any]]]
_PARTS: Final[dict[str, Telling]] = {"card": _cards, "clip": _clip, "film": _film}
ROUTES: Final[tuple[Route, ...]] = (("GET", "/events", events),)
