"""Pages from templates: all that a template writes is escaped, and headers say what a browser may do with it."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from mcp_server import __version__, media
from mcp_server.answers import wording
from mcp_server.errors import MONEY_SENTENCE, BudgetError, KlingError, RequestError, UnknownTaskError, sentence
from mcp_server.studio.sessions import PATH

if TYPE_CHECKING:
    import asyncio

    from starlette.requests import Request

    from mcp_server.service import Service
    from mcp_server.studio.sessions import Session

FOLDER: Final = Path(__file__).parent
STATIC: Final[Mapping[str, str]] = {
    "studio.css": "text/css; charset=utf-8",
    "studio.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
"""Every file a browser may ask for by its name."""
HEADERS: Final[Mapping[str, str]] = {
    # Nothing but this server's own files: no script in a page, no style in a tag, nobody else's frame or form.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # With `no-referrer` a browser would say `Origin: null` of our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cache-Control": "no-store",
}
"""On every answer, unless it says otherwise itself."""
PLACES: Final = ("/", "/films", "/spend", "/order")
"""What the bar leads to."""
PART: Final = "x-studio-part"
"""The header by which our script asks for the inner part of a page alone."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    session: Session
    service: Service
    decoding: asyncio.Semaphore
    """Pictures are made for so many at a time, for each is a process that decodes."""
    form: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def owner(self) -> str:
        return self.session.owner

    @property
    def at_home(self) -> bool:
        """Whether the browser is on the machine the files are on."""
        return not self.session.owner

    @property
    def part(self) -> bool:
        """Whether only the inner part is wanted."""
        return PART in self.request.headers

    def asked(self, name: str) -> str:
        """A word of the address; empty when it is not there."""
        return self.request.query_params.get(name, "").strip()


Handler = Callable[[Visit], Awaitable[Response]]
Route = tuple[Literal["GET", "POST"], str, Handler]
"""A method, a place below the studio's path, and what answers there."""


def page(
    name: str, visit: Visit | None = None, *, status: int = 200, headers: Mapping[str, str] | None = None, **facts: Any
) -> Response:
    """A page, or its part where that is asked for."""
    return HTMLResponse(text(name, visit, **facts), status, headers)


def text(name: str, visit: Visit | None = None, **facts: Any) -> str:
    """A template filled in."""
    shared = {"visit": visit, "csrf": visit.session.csrf if visit else "", "part": bool(visit and visit.part)}
    return _environment().get_template(name).render({**shared, **facts})


def refusal(error: KlingError, visit: Visit | None, status: int, *, part: bool = False) -> Response:
    """An error in its own words: what, why, what to do now, and whether money moved."""
    why = said(" ".join(sentence(words) for words in (error.why, error.next_step) if words))
    name = "refusal_part.html" if part or (visit is not None and visit.part) else "refusal.html"
    money = MONEY_SENTENCE[error.money]
    return page(name, visit, status=status, what=said(error.what), why=f"{why[:1].upper()}{why[1:]}", money=money)


def said(text: str) -> str:
    """Words for agents as they are said on a page, where a limit is a field and no argument."""
    return wording.typed(text.replace("more than max_cost_usd ", "more than the limit of $"))


def status_of(error: KlingError) -> int:
    """The HTTP status of a refusal."""
    if isinstance(error, UnknownTaskError):
        return 404
    if isinstance(error, BudgetError):
        return 402
    return 422 if isinstance(error, RequestError) else 503


@cache
def static(name: str) -> tuple[bytes, str]:
    """A file that travels with the studio, and the mark of its content."""
    data = (FOLDER / "static" / name).read_bytes()
    return data, hashlib.sha256(data).hexdigest()[:12]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shared: dict[str, Any] = {
        "root": PATH,
        "places": PLACES,
        "pictures": media.available(),
        "version": __version__,
        "static": _address,
    }
    made.globals.update(shared)
    made.filters |= {"cost": wording.cost, "reckoning": wording.reckoning, "said": said}
    return made


def _address(name: str) -> str:
    """Where a file of the studio is; what a browser keeps of it ends with the version."""
    return f"{PATH}/static/{name}?{static(name)[1]}"
