"""The studio's doors: who comes in, what a form proves, and which page answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route, Router

from mcp_server.errors import KlingError, LocalError
from mcp_server.studio import clips, events, films, orders, spend
from mcp_server.studio.pages import HEADERS, STATIC, Handler, Visit, page, refusal, static, status_of
from mcp_server.studio.sessions import PATH, SAFE, Sessions

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from mcp_server.service import Service

FORM_MAX: Final = 128 * 1024
"""Bytes of a form: the longest prompt, three times over."""
FIELDS_MAX: Final = 60
DECODING: Final = 2
_YEAR: Final = "private, max-age=31536000, immutable"

_PAGES: Final = (*clips.ROUTES, *orders.ROUTES, *films.ROUTES, *spend.ROUTES, *events.ROUTES)


@dataclass(frozen=True, slots=True)
class _Doors:
    """What every request passes before a page answers it."""

    sessions: Sessions
    ready: Callable[[], Awaitable[Service]]
    decoding: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(DECODING))

    def opened(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """The handler, for whoever is signed in; what changes anything needs a form of this very session."""

        async def answer(request: Request) -> Response:
            session = self.sessions.session(request)
            if session is None:
                return self._outside(request)
            form: dict[str, str] = {}
            if request.method not in SAFE:
                found = await _form(request)
                if found is None:
                    return Response("This form is larger than any of the studio's", 413)
                if self.sessions.foreign(request) or not self.sessions.proves(session, found.pop("csrf", "")):
                    return Response("This did not come from a page of this studio. Nothing was done.", 403)
                form = found
            visit = Visit(request, session, await self.ready(), self.decoding, form)
            try:
                return await _played(await handler(visit), visit.service)
            except KlingError as error:
                return refusal(error, visit, status_of(error))

        return answer

    def _outside(self, request: Request) -> Response:
        """Where somebody who is not signed in is told how to come in."""
        if request.method in SAFE and "text/html" in request.headers.get("accept", ""):
            return page("login.html", status=401, by_token=self.sessions.verify is not None, said="")
        return Response("Not signed in to the studio", 401)

    async def enter(self, request: Request) -> Response:
        """The one-time link."""
        cookie = self.sessions.enter(request.query_params.get("code", ""))
        if cookie is not None:
            return self._welcome(cookie)
        if self.sessions.session(request) is not None:
            return RedirectResponse(f"{PATH}/", 303)
        said = "This link was used before, or it is of another day."
        return page("login.html", status=401, by_token=self.sessions.verify is not None, said=said)

    async def sign_in(self, request: Request) -> Response:
        """The server's token, where one is asked for."""
        form = await _form(request)
        if form is None or self.sessions.foreign(request):
            return Response("This did not come from a page of this studio", 403)
        cookie = await self.sessions.sign_in(form.get("token", "").strip())
        if cookie is None:
            said = "This server does not know this token."
            return page("login.html", status=401, by_token=self.sessions.verify is not None, said=said)
        return self._welcome(cookie)

    async def sign_out(self, visit: Visit) -> Response:
        """Forget this browser."""
        response = page("login.html", by_token=self.sessions.verify is not None, said="You are signed out.")
        response.delete_cookie(self.sessions.cookie, path=PATH)
        _ = visit
        return response

    def _welcome(self, cookie: str) -> Response:
        # A page of ours that goes on by itself: a redirect would still count as coming from wherever the link stood,
        # and a browser brings no strict cookie there.
        response = page("welcome.html")
        response.set_cookie(
            self.sessions.cookie, cookie, path=PATH, httponly=True, samesite="strict", secure=self.sessions.secure
        )
        return response


async def _played(response: Response, service: Service) -> Response:
    """The page allowed to play clips from the object store they are in, where they are in one."""
    name = "Content-Security-Policy"
    if (bucket := service.settings.bucket) is not None and name not in response.headers:
        with contextlib.suppress(LocalError):
            origin = await service.objects.origin(bucket)
            response.headers[name] = HEADERS[name].replace("media-src 'self'", f"media-src 'self' {origin}")
    return response


def create_app(sessions: Sessions, ready: Callable[[], Awaitable[Service]]) -> ASGIApp:
    """The studio as an ASGI application, to be mounted at `PATH`."""
    doors = _Doors(sessions, ready)
    router = Router(
        [
            Route("/enter", doors.enter),
            Route("/login", doors.sign_in, methods=["POST"]),
            Route("/logout", doors.opened(doors.sign_out), methods=["POST"]),
            Route("/static/{name}", _static),
            *(Route(place, doors.opened(handler), methods=[method]) for method, place, handler in _PAGES),
        ],
        default=_nowhere,
        redirect_slashes=False,
    )
    return _guarded(router, sessions)


def _guarded(app: ASGIApp, sessions: Sessions) -> ASGIApp:
    """The application behind the check of Host and Origin, with the headers every answer carries."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                given: list[tuple[bytes, bytes]] = message.setdefault("headers", [])
                said = {name.lower() for name, _ in given}
                given += [
                    (name.lower().encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.lower().encode() not in said
                ]
            await send(message)

        refused = await sessions.refused(Request(scope))
        try:
            await (refused or app)(scope, receive, sealed)
        except ClientDisconnect:
            return

    return guard


async def _static(request: Request) -> Response:
    """A file of the studio's own; its address changes with its content."""
    name = str(request.path_params["name"])
    if name not in STATIC:
        return Response("Not found", 404)
    return Response(static(name)[0], media_type=STATIC[name], headers={"Cache-Control": _YEAR})


async def _nowhere(scope: Scope, receive: Receive, send: Send) -> None:
    await Response("There is no such page in the studio", 404)(scope, receive, send)


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a form as browsers send it; None where it is too large."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > FORM_MAX:
            return None
    try:
        return dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX))
    except ValueError:
        return {}
