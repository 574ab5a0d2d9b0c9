"""Who may use the studio: a one-time link or the server's token opens it, a cookie keeps it open."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PATH: Final = "/studio"
SESSION_S: Final = 12 * 3600.0
"""How long a browser stays signed in; a link or a token opens it again."""
SAFE: Final = frozenset(("GET", "HEAD"))
_OWN: Final = frozenset(("same-origin", "none"))
"""What a browser says of a request that no other site's page caused."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose clips are shown."""

    owner: str
    """As tasks carry it; empty for the person at this machine."""
    until: float | None = None
    """When the token ends."""


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that is signed in."""

    owner: str
    csrf: str
    """What every form of its pages brings along."""


@dataclass
class Sessions:
    """The door of one studio. Sessions are signed with a secret of this process: they end with it, and none is kept."""

    address: str
    """Where the studio is reached."""
    refused: Callable[[Request], Awaitable[Response | None]]
    """The answer to a Host or Origin that is not this server's."""
    now: Callable[[], float]
    verify: Callable[[str], Awaitable[Caller | None]] | None = None
    """Whose token this is; None where no token is asked for and the link is the only way in."""
    announce: Callable[[str], None] = print
    _secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _code: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def link(self) -> str:
        """Opens the studio once."""
        return f"{self.address}/enter?code={self._code}"

    @property
    def cookie(self) -> str:
        """The cookie's name: cookies know no ports, and two studios may run here."""
        return f"kling-studio-{urlsplit(self.address).port or 443}"

    @property
    def secure(self) -> bool:
        return self.address.startswith("https://")

    def enter(self, code: str) -> str | None:
        """The cookie for whoever has the link, once: the next browser needs the next link, which is then said."""
        if self.verify is not None or not hmac.compare_digest(code.encode(), self._code.encode()):
            return None
        self._code = secrets.token_urlsafe(24)
        self.announce(f"The studio is open in a browser. For another one, once: {self.link}")
        return self._signed("", self.now() + SESSION_S)

    async def sign_in(self, token: str) -> str | None:
        """The cookie for whoever brings a token of this server."""
        caller = await self.verify(token) if self.verify is not None and token else None
        if caller is None:
            return None
        end = self.now() + SESSION_S
        return self._signed(caller.owner, end if caller.until is None else min(end, caller.until))

    def session(self, request: Request) -> Session | None:
        """Who this request's cookie says it is; None where there is none of this studio, or it is over."""
        text, _, mark = request.cookies.get(self.cookie, "").rpartition(".")
        if not text or not hmac.compare_digest(mark.encode(), self._mark("session", text).encode()):
            return None
        said = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if said["until"] <= self.now():
            return None
        return Session(said["owner"], self._mark("form", text))

    def foreign(self, request: Request) -> bool:
        """Whether a browser says that another site's page caused this request."""
        return request.headers.get("sec-fetch-site", "none") not in _OWN

    def proves(self, session: Session, sent: str) -> bool:
        """Whether a form came from a page of this session."""
        return hmac.compare_digest(sent.encode(), session.csrf.encode())

    def _signed(self, owner: str, until: float) -> str:
        said = json.dumps({"owner": owner, "until": until, "nonce": secrets.token_hex(8)})
        text = base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")
        return f"{text}.{self._mark('session', text)}"

    def _mark(self, what: str, text: str) -> str:
        return hmac.new(self._secret, f"{what}:{text}".encode(), hashlib.sha256).hexdigest()
