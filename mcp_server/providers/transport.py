"""The one file that speaks HTTP: one client, few connections, secrets kept, a paid POST sent once.

What it does not know: tasks, money, vendors' words. It sends a call and says one of three things:
here is the answer; it surely was not sent (`UnreachableError`); nobody knows (`LostAnswerError`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Protocol

import h11
import httpcore
import httpx

from mcp_server.errors import KlingError
from mcp_server.metrics import Metrics
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.connections import Connections, Incoming, Leaves, NotSentError, Outgoing
from mcp_server.providers.downloads import Line, Taker
from mcp_server.providers.http_clients import KEEP_S, MANNERS, Clients, UnusableProxyError, proxy_for, proxy_of
from mcp_server.providers.incoming import believed, without_keys
from mcp_server.providers.json_bodies import encode
from mcp_server.providers.proxied import Proxied
from mcp_server.providers.reading import number, shown
from mcp_server.telemetry import NoTraces, Traces

EXCHANGE_S = 180.0
"""The same for a whole exchange, which a byte every now and then would keep alive for ever: three such minutes."""
SLOWEST_BYTES_S = 50_000
"""What goes out may take longer by its size: about half a megabit, the slowest line a clip is sent over."""
PAID_KEEP_S = 2.0
"""The same for paid calls: one that meets a connection just being closed by the vendor is an answer lost."""
MEDIA = "media"
PAID = ":paid"
LATER_S = 300.0
"""A vendor's `Retry-After` is heard up to here."""
GET_ATTEMPTS = 3
GET_PAUSE_S = 0.5
PROXY_HELP = "Correct HTTPS_PROXY or ALL_PROXY (http://, https:// or socks5://), or set NO_PROXY"
RETRY_STATUS = frozenset({429, 500, 502, 503, 504})
TEXT_LIMIT = 4_000
DECODED_AT_ONCE = 64 * 1024
"""A longer answer is read in a thread."""


_LOST = (
    httpx.HTTPError,
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.RemoteProtocolError,
    h11.ProtocolError,
)


class UnreachableError(KlingError):
    """The call surely did not reach the vendor."""

    code = "unreachable"
    exit_code = 75


class LostAnswerError(KlingError):
    """The call went out, or may have, and no answer came back."""

    code = "lost_answer"
    exit_code = 75


class Door(Protocol):
    """A turn at a vendor's account that other processes share; one that dies keeps none."""

    async def enter(self) -> None:
        """Return when a call may leave."""
        ...

    def leave(self) -> None:
        """The call is over."""
        ...


@dataclass
class _Gate:
    """One provider's door: so many at once, and closed for a while after a 429."""

    room: asyncio.Semaphore
    closed_until: float = 0.0


class _Counted:
    """One call, by kind, outcome and time."""

    def __init__(self, transport: Transport, account: Account, call: HttpCall) -> None:
        kind = "paid" if call.paid else "look" if call.method == "GET" and not call.bare else "other"
        provider = f"{account.facts.id}{' (sandbox)' if account.simulated else ''}"
        self._transport, self._labels = transport, {"provider": provider, "call": kind}
        self._began, self._at = time.monotonic(), transport.now()

    def came(self, outcome: str) -> None:
        """How it ended."""
        metrics, took = self._transport.metrics, time.monotonic() - self._began
        metrics.count("kling_vendor_calls_total", **self._labels, outcome=outcome)
        metrics.took("kling_vendor_call_seconds", took, **self._labels)
        name = f"{self._labels['call']} {self._labels['provider']}"
        self._transport.traces.span(name, self._at, self._at + took, **self._labels, outcome=outcome)


@dataclass
class Transport:
    """HTTP for the whole process."""

    now: Callable[[], float]
    """Seconds since the epoch."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    exchange_s: float = EXCHANGE_S
    """How long one exchange may take, however busily it goes on; what is sent along adds to it."""
    shared_door: Callable[[Account], Door] | None = None
    """Where other processes call under the same account, whose calls count together."""
    metrics: Metrics = field(default_factory=Metrics)
    traces: Traces = field(default_factory=NoTraces)
    _gates: dict[str, _Gate] = field(default_factory=dict[str, "_Gate"])
    _made: Clients = field(default_factory=Clients)
    _direct: Connections = field(init=False)
    _proxied: Proxied = field(init=False)
    _file_line: Line | None = None

    def __post_init__(self) -> None:
        self._direct = Connections(self._made.trust)
        self._proxied = Proxied(self._made)

    @asynccontextmanager
    async def slot(self, account: Account) -> AsyncGenerator[None]:
        """A turn at this provider: waits for room and for a `Retry-After` to pass."""
        gate = self._gate(account)
        door = self.shared_door(account) if self.shared_door is not None and not account.simulated else None
        async with gate.room:
            while (wait := gate.closed_until - self.now()) > 0:
                if wait > LATER_S + 1:
                    # So long a wait was never asked for: the clock was set back.
                    gate.closed_until = 0.0
                    break
                await self.sleep(wait)
            if door is None:
                yield
                return
            await door.enter()
            try:
                yield
            finally:
                door.leave()

    async def send(
        self, account: Account, call: HttpCall, *, leaves: Callable[[], Awaitable[None]] | None = None
    ) -> HttpReply:
        """Send once. Never repeats; whoever may repeat (a GET, an idempotent POST) says so by calling again.

        `leaves` is asked when the line is open and the first byte is next; what it raises keeps the call here.
        """
        shown_key = account.proof(call, self.now())
        request = self._request(account, call, shown_key)
        keys = (*account.secrets, shown_key) if account.secrets else ()
        limit_s = self.exchange_s + len(request.content) / SLOWEST_BYTES_S
        counted = _Counted(self, account, call)
        try:
            async with asyncio.timeout(limit_s):
                answer = await self._exchange(_purpose(account, call), request, leaves)
            counted.came(str(answer.status) if answer.status == 429 else f"{answer.status // 100}xx")
        except NotSentError as error:
            counted.came("unreachable")
            raise UnreachableError(
                f"{account.facts.name} could not be reached ({_reason(error.__cause__ or error, keys)})",
                next_step="Check the network and proxy settings, then try again",
            ) from None
        except (*_LOST, TimeoutError) as error:
            counted.came("lost")
            reason = f"not within {limit_s:.0f} s" if isinstance(error, TimeoutError) else ""
            reason = reason or _reason(error, keys)
            raise LostAnswerError(
                f"{account.facts.name} did not answer ({reason})",
                money="may_have_been_charged" if call.paid else "not_spent",
            ) from None
        reply = await self._reply(answer, keys, paid=call.paid)
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
        headers: dict[str, str] = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if etag:
                headers["If-Range"] = etag
        try:
            pinned, host, extensions = _pinned(url, addresses)
            await self._files().fetch(pinned, headers | host, extensions, taker, proxy=proxy_for(url))
        except UnusableProxyError as error:
            raise LostAnswerError(_unusable(error), next_step=PROXY_HELP) from None
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise LostAnswerError(f"The download broke off ({_reason(error)})") from None

    def proxied(self, url: str) -> bool:
        """Whether a proxy of the environment stands between us and this address."""
        return proxy_for(url) is not None

    async def aclose(self) -> None:
        """Close the connections."""
        self._direct.close()
        await self._proxied.aclose()
        if self._file_line is not None:
            self._file_line.close()
            self._file_line = None

    async def _exchange(self, purpose: str, request: Outgoing, leaves: Leaves | None) -> Incoming:
        keep_s = PAID_KEEP_S if purpose.endswith(PAID) else KEEP_S
        proxy = proxy_of(request.url.scheme, request.url.host)
        if proxy is None:
            return await self._direct.exchange(purpose, keep_s, request, leaves)
        try:
            return await self._proxied.exchange(purpose, keep_s, proxy, request, leaves)
        except UnusableProxyError as error:
            raise UnreachableError(_unusable(error), next_step=PROXY_HELP) from None

    def _files(self) -> Line:
        if self._file_line is None:
            self._file_line = Line(self._made.file_client)
        return self._file_line

    def _gate(self, account: Account) -> _Gate:
        name = f"{account.facts.id}:{account.simulated}"
        if name not in self._gates:
            self._gates[name] = _Gate(asyncio.Semaphore(account.facts.concurrency))
        return self._gates[name]

    def _request(self, account: Account, call: HttpCall, shown_key: str) -> Outgoing:
        headers = {**MANNERS, "Accept": "application/json", **call.headers}
        url = call.path if call.bare else account.url(call.path, call.host)
        if shown_key:
            headers[account.facts.key_header] = f"{account.facts.key_scheme} {shown_key}".lstrip()
        content = call.content or b""
        if call.json is not None:
            content = encode(call.json)
            headers["Content-Type"] = "application/json"
        if content or call.method != "GET":
            headers["Content-Length"] = str(len(content))
        try:
            there = _parsed(url, tuple(call.params.items()))
        except httpx.InvalidURL as error:
            raise UnreachableError(f"{account.facts.name} has no such address ({error})") from None
        return Outgoing(call.method, there, call.addresses[0] if call.addresses else "", headers, content)

    async def _reply(self, answer: Incoming, keys: Sequence[str], *, paid: bool) -> HttpReply:
        headers = {name: shown(without_keys(value, keys)) for name, value in answer.headers.items()}
        if "retry-after" in headers:
            headers["retry-after"] = _seconds(headers["retry-after"], self.now())
        long = len(answer.text) > DECODED_AT_ONCE
        body, text = await asyncio.to_thread(believed, answer.text, keys) if long else believed(answer.text, keys)
        return HttpReply(status=answer.status, body=body, text=text[:TEXT_LIMIT], headers=headers, paid=paid)


@lru_cache(maxsize=512)
def _parsed(url: str, params: tuple[tuple[str, str], ...]) -> httpx.URL:
    made = httpx.URL(url)
    return made.copy_merge_params(dict(params)) if params else made


def _purpose(account: Account, call: HttpCall) -> str:
    """Which connections a call may share."""
    if call.bare:
        return MEDIA
    return f"{account.facts.id}:{account.simulated}{PAID if call.paid else ''}"


def _pinned(url: str, addresses: Sequence[str]) -> tuple[str, dict[str, str], dict[str, Any]]:
    """The address at one of these machines, with the header and the extension that keep its name for the other end."""
    if not addresses:
        return url, {}, {}
    parts = httpx.URL(url)
    there = str(parts.copy_with(host=addresses[0]))
    return there, {"Host": parts.netloc.decode()}, {"sni_hostname": parts.host}


def _seconds(value: str, now: float) -> str:
    """`Retry-After` as seconds, whether it came as seconds or as a date."""
    if number(value) is not None:
        return value
    try:
        then = parsedate_to_datetime(value)
        wait = (then.replace(tzinfo=then.tzinfo or UTC) - datetime.fromtimestamp(now, UTC)).total_seconds()
    except (ValueError, TypeError, OverflowError, IndexError):
        # The parser of dates is not made for what nobody would write.
        return ""
    return str(max(0.0, round(wait, 3)))


def _unusable(error: UnusableProxyError) -> str:
    # A proxy's address may have its password in it.
    return f"The proxy of this environment cannot be used ({type(error.__cause__).__name__})"


def _reason(error: BaseException, keys: Sequence[str] = ()) -> str:
    """What went wrong, without addresses that may carry a signature; a broken header is quoted, and may quote a key."""
    name = type(error).__name__
    said = without_keys(str(error), keys).split("http", maxsplit=1)[0].strip()
    return f"{name}: {said}"[:200] if said else name
