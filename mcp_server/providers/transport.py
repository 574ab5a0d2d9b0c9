"""The one file that speaks HTTP: one client, few connections, secrets kept, a paid POST sent once.

What it does not know: tasks, money, vendors' words. It sends a call and says one of three things:
here is the answer; it surely was not sent (`UnreachableError`); nobody knows (`LostAnswerError`).
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.request import getproxies, proxy_bypass

import httpx

from mcp_server import __version__
from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.downloads import Line, Taker
from mcp_server.providers.json_bodies import decode, encode
from mcp_server.providers.network import is_loopback
from mcp_server.providers.reading import no_key, not_signed_in, number

TIMEOUT = httpx.Timeout(connect=10, read=60, write=60, pool=None)
"""A vendor that has not answered a submit after a minute is treated as lost, not asked again."""
EXCHANGE_S = 180.0
"""The same for a whole exchange, which a byte every now and then would keep alive for ever: three such minutes."""
SLOWEST_BYTES_S = 50_000
"""What goes out may take longer by its size: about half a megabit, the slowest line a clip is sent over."""
KEEP_S = 30.0
"""How long an idle connection is kept."""
PAID_KEEP_S = 2.0
"""The same for paid calls: one that meets a connection just being closed by the vendor is an answer lost."""
MEDIA = "media"
WRITE_AT_ONCE = 64 * 1024
"""A body goes out in pieces of this size, each with the write timeout to itself: a slow line is not a dead one."""
LATER_S = 300.0
"""A vendor's `Retry-After` is heard up to here."""
GET_ATTEMPTS = 3
GET_PAUSE_S = 0.5
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
THIS_MACHINE = ("127.0.0.1", "localhost", "[::1]")
"""Never asked for through a proxy: the sandbox plays here, and a stand-in for a vendor may."""
KEY_LEAST = 8
"""A shorter key is a test's; looking for it in an answer would find ordinary words."""
TEXT_LIMIT = 4_000
BODY_LIMIT = 8 * 1024 * 1024


_ONE_WORD = re.compile(r"^[!-~]+\Z")
"""What a key looks like: printable ASCII without blanks."""
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,  # raised while the tunnel is asked for, before the vendor hears anything
    httpx.LocalProtocolError,
    httpx.UnsupportedProtocol,
)


class UnreachableError(KlingError):
    """The call surely did not reach the vendor."""

    code = "unreachable"
    exit_code = 75


class LostAnswerError(KlingError):
    """The call went out, or may have, and no answer came back."""

    code = "lost_answer"
    exit_code = 75


@dataclass
class _Gate:
    """One provider's door: so many at once, and closed for a while after a 429."""

    room: asyncio.Semaphore
    closed_until: float = 0.0


@dataclass
class Transport:
    """HTTP for the whole process."""

    now: Callable[[], float]
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    exchange_s: float = EXCHANGE_S
    """How long one exchange may take, however busily it goes on; what is sent along adds to it."""
    _gates: dict[str, _Gate] = field(default_factory=dict[str, "_Gate"])
    # One small pool per vendor and purpose: httpcore goes through its whole pool for every request.
    _clients: dict[str, httpx.AsyncClient] = field(default_factory=dict[str, httpx.AsyncClient])
    _trust: ssl.SSLContext | None = None
    _file_line: Line | None = None

    @asynccontextmanager
    async def slot(self, account: Account) -> AsyncGenerator[None]:
        """A turn at this provider: waits for room and for a `Retry-After` to pass."""
        gate = self._gate(account)
        async with gate.room:
            while (wait := gate.closed_until - self.now()) > 0:
                if wait > LATER_S + 1:
                    # So long a wait was never asked for: the clock was set back.
                    gate.closed_until = 0.0
                    break
                await self.sleep(wait)
            yield

    async def send(self, account: Account, call: HttpCall) -> HttpReply:
        """Send once. Never repeats; whoever may repeat (a GET, an idempotent POST) says so by calling again."""
        client = self._client(_purpose(account, call), PAID_KEEP_S if call.paid else KEEP_S)
        request = self._request(client, account, call)
        limit_s = self.exchange_s + int(request.headers.get("content-length", 0)) / SLOWEST_BYTES_S
        try:
            async with asyncio.timeout(limit_s):
                response = await client.send(request, stream=True)
                try:
                    text = await _body(response)
                finally:
                    await response.aclose()
        except _NOT_SENT as error:
            raise UnreachableError(
                f"{account.facts.name} could not be reached ({_reason(error)})",
                next_step="Check the network and proxy settings, then try again",
            ) from None
        except (httpx.HTTPError, TimeoutError) as error:
            reason = f"not within {limit_s:.0f} s" if isinstance(error, TimeoutError) else _reason(error)
            raise LostAnswerError(
                f"{account.facts.name} did not answer ({reason})",
                money="may_have_been_charged" if call.paid else "not_spent",
            ) from None
        reply = self._reply(response, _without_key(text, account))
        if reply.status == 429 and (wait := number(reply.headers.get("retry-after", ""))) is not None:
            gate = self._gate(account)
            gate.closed_until = max(gate.closed_until, self.now() + min(float(wait), LATER_S))
        return reply

    async def ask(self, account: Account, call: HttpCall) -> HttpReply:
        """A question that costs nothing, asked up to three times."""
        if call.paid:
            raise AssertionError("a paid call is sent, never asked")
        for attempt in range(1, GET_ATTEMPTS + 1):
            last = attempt == GET_ATTEMPTS
            try:
                async with self.slot(account):
                    reply = await self.send(account, call)
            except (UnreachableError, LostAnswerError):
                if last:
                    raise
            else:
                if last or reply.status not in RETRY_STATUS or call.method != "GET":
                    return reply
            await self.sleep(GET_PAUSE_S * 2 ** (attempt - 1))
        raise AssertionError("unreachable")

    async def download(
        self, url: str, taker: Taker, *, start: int = 0, etag: str = "", addresses: Sequence[str] = ()
    ) -> None:
        """A file from a media host: without our key, without following redirects (each is checked by the caller).

        With `addresses`, one of these machines is asked and no other: a name that was checked cannot turn into
        another machine between the check and the connection.
        """
        headers = {"Accept-Encoding": "identity"}
        extensions: dict[str, Any] = {}
        if addresses:
            parts = httpx.URL(url)
            headers["Host"] = parts.netloc.decode()
            extensions["sni_hostname"] = parts.host
            url = str(parts.copy_with(host=addresses[0]))
        if start:
            headers["Range"] = f"bytes={start}-"
            if etag:
                headers["If-Range"] = etag
        try:
            await self._files().fetch(url, headers, extensions, taker)
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise LostAnswerError(f"The download broke off ({_reason(error)})") from None

    def proxied(self, url: str) -> bool:
        """Whether a proxy of the environment stands between us and this address."""
        parts = httpx.URL(url)
        if is_loopback(parts.host) or (parts.host and proxy_bypass(parts.host)):
            return False
        return parts.scheme in (proxies := getproxies()) or "all" in proxies

    async def aclose(self) -> None:
        """Close the connections."""
        while self._clients:
            await self._clients.popitem()[1].aclose()
        if self._file_line is not None:
            self._file_line.close()
            self._file_line = None

    def _client(self, purpose: str, keep_s: float) -> httpx.AsyncClient:
        if purpose not in self._clients:
            self._clients[purpose] = httpx.AsyncClient(**self._manners(keep_s))
        return self._clients[purpose]

    def _files(self) -> Line:
        if self._file_line is None:
            self._file_line = Line(lambda: httpx.Client(**self._manners(KEEP_S)))
        return self._file_line

    def _manners(self, keep_s: float) -> dict[str, Any]:
        if self._trust is None:
            self._trust = httpx.create_ssl_context()
            # They write whole addresses (httpx) and headers (httpcore): signatures and keys are in them.
            for name in ("httpx", "httpcore"):
                logging.getLogger(name).setLevel(logging.WARNING)
        return {
            "verify": self._trust,
            "timeout": TIMEOUT,
            "limits": httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=keep_s),
            "headers": {"User-Agent": f"kling-video/{__version__}"},
            "follow_redirects": False,
            "trust_env": True,
            "mounts": {f"all://{host}": None for host in THIS_MACHINE},
        }

    def _gate(self, account: Account) -> _Gate:
        name = f"{account.facts.id}:{account.simulated}"
        if name not in self._gates:
            self._gates[name] = _Gate(asyncio.Semaphore(account.facts.concurrency))
        return self._gates[name]

    def _request(self, client: httpx.AsyncClient, account: Account, call: HttpCall) -> httpx.Request:
        headers = {"Accept": "application/json", **call.headers}
        url = call.path
        if not call.bare:
            url = account.url(call.path, call.host)
        if not (call.bare or call.public):
            if account.secret is None:
                raise not_signed_in(account.facts)
            if not _ONE_WORD.match(account.secret.value):
                # The client would refuse it as a header, and quote it.
                raise no_key(account.facts, account.secret.origin)
            headers["Authorization"] = f"Bearer {account.secret.value}"
        content = call.content
        if call.json is not None:
            content = encode(call.json)
            headers["Content-Type"] = "application/json"
        request = client.build_request(
            call.method, url, content=content, headers=headers, params=dict(call.params) or None
        )
        if content is not None and len(content) > WRITE_AT_ONCE:
            request.stream = _Pieces(content)
        return request

    def _reply(self, response: httpx.Response, text: str) -> HttpReply:
        headers = _lower(response.headers)
        if "retry-after" in headers:
            headers["retry-after"] = _seconds(headers["retry-after"], self.now())
        return HttpReply(status=response.status_code, body=decode(text), text=text[:TEXT_LIMIT], headers=headers)


@dataclass(frozen=True)
class _Pieces(httpx.AsyncByteStream):
    """A long body on its way out."""

    content: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.content), WRITE_AT_ONCE):
            yield self.content[start : start + WRITE_AT_ONCE]


def _purpose(account: Account, call: HttpCall) -> str:
    """Which connections a call may share."""
    if call.bare:
        return MEDIA
    return f"{account.facts.id}:{account.simulated}{':paid' if call.paid else ''}"


async def _body(response: httpx.Response) -> str:
    """The answer's text; an answer without an end is cut, not swallowed."""
    parts: list[bytes] = []
    size = 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > BODY_LIMIT:
            break
        parts.append(part)
    return b"".join(parts).decode("utf-8", "replace")


def _without_key(text: str, account: Account) -> str:
    """What the vendor says, without our key: some quote it when they refuse it, and words go into answers and files."""
    key = "" if account.simulated or account.secret is None else account.secret.value
    return text.replace(key, "[the key]") if len(key) >= KEY_LEAST else text


def _lower(headers: httpx.Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _seconds(value: str, now: float) -> str:
    """`Retry-After` as seconds, whether it came as seconds or as a date."""
    if number(value) is not None:
        return value
    try:
        then = parsedate_to_datetime(value)
    except ValueError:
        return ""
    return str(max(0.0, round((then - datetime.fromtimestamp(now, UTC)).total_seconds(), 3)))


def _reason(error: Exception) -> str:
    """What went wrong, without addresses that may carry a signature."""
    name = type(error).__name__
    said = str(error).split("http", maxsplit=1)[0].strip()
    return f"{name}: {said}"[:200] if said else name
