"""What every vendor's protocol does alike: look at the key, play the faults that are armed, write the journal."""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from mcp_server import catalog
from mcp_server.sandbox import faults, posts
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.sandbox import Sandbox

DROP: Final = "kling_sandbox.drop"
"""The ASGI extension by which the server lets a handler close the connection."""
PAIR_SECRET: Final = "-secret-key-of-the-sandbox"  # noqa: S105 - of accounts without money
"""What an access key of the sandbox has for its secret key: itself and this."""
CALLBACK_SECRET: Final = "c2FuZGJveCBjYWxsYmFjayBzZWNyZXQ="  # noqa: S105 - of accounts without money
"""What posts are signed with where a vendor's console shows that."""
BODY_LIMIT: Final = 64 * 1024 * 1024
PAGE: Final = "<!doctype html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>"
CONTENT_WORDS: Final = "The prompt was refused by content moderation"
LINK_LIFE_S: Final = 7 * 24 * 3600.0


class RefusedError(Exception):
    """The vendor says no, with this answer."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


class Dropped(Response):
    """No answer at all: the connection closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        drop: Callable[[], None] | None = scope.get("extensions", {}).get(DROP)
        if drop is None:
            raise ConnectionResetError("the sandbox closed the connection without an answer")
        drop()
        while (await receive())["type"] != "http.disconnect":
            pass


@dataclass(slots=True, kw_only=True)
class Exchange:
    """One request and what the journal will say of it."""

    request: Request
    action: str
    account: str = ""
    job: str = ""
    accepted: bool = False
    fault: str = ""
    facts: dict[str, Any] = field(default_factory=dict[str, Any])


Handler = Callable[[Exchange], Awaitable[Response]]


class Vendor(ABC):
    """One vendor's protocol, under its id as a prefix."""

    refunds_failures: bool
    """Whether a failed job costs nothing; where that is not documented, it is charged here."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox = sandbox
        self.name = name

    @abstractmethod
    def routes(self) -> list[BaseRoute]:
        """Every address of this vendor."""

    @abstractmethod
    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        """This vendor's envelope for a refusal: auth, no_money, bad_input, rate_limited, server, not_found and more."""

    @abstractmethod
    def word(self, job: SandboxJob, now: float) -> str:
        """The vendor's own word for how the job stands."""

    def route(
        self, path: str, action: str, handler: Handler, *, methods: tuple[str, ...] = ("GET",), signed_in: bool = True
    ) -> Route:
        """An address whose handler is asked after the key and the faults, and whose answer is journaled."""

        async def endpoint(request: Request) -> Response:
            exchange = Exchange(request=request, action=action)
            response = await self._serve(exchange, handler, signed_in=signed_in)
            self._note(exchange, response)
            return response

        return Route(path, endpoint, methods=list(methods))

    async def _serve(self, exchange: Exchange, handler: Handler, *, signed_in: bool) -> Response:
        try:
            await self._slow(exchange)
            early = self._take(exchange, _BEFORE)
            if early is not None:
                return self._early(*early)
            if signed_in:
                exchange.account = self._signed_in(exchange.request)
            response = await handler(exchange)
        except RefusedError as refused:
            return refused.response
        late = self._take(exchange, _AFTER) if response.status_code < 300 else None
        return response if late is None else self._late(*late)

    def key_sent(self, request: Request) -> bool:
        """Whether a key came, good or not."""
        return catalog.load().providers[self.name].key_header.lower() in request.headers

    def key_of(self, request: Request) -> str:
        """The key as its documents say that it comes; empty where none came so."""
        facts = catalog.load().providers[self.name]
        scheme, _, key = f" {request.headers.get(facts.key_header, '')}".rpartition(" ")
        return key if scheme.strip().lower() == facts.key_scheme.lower() else ""

    def _signed_in(self, request: Request) -> str:
        key = self.key_of(request)
        account = self.sandbox.account(key) if key else None
        if account is None:
            raise RefusedError(self.refusal("auth", "Invalid API key"))
        return account

    def _take(self, exchange: Exchange, kinds: Mapping[str, tuple[str, ...]]) -> tuple[str, str] | None:
        taken = self.sandbox.take_fault(self.name, kinds.get(exchange.action, ()))
        if taken is not None:
            exchange.fault = taken[0]
        return taken

    async def _slow(self, exchange: Exchange) -> None:
        taken = self._take(exchange, _SLOW)
        if taken is not None:
            await self.sandbox.sleep(faults.seconds(taken[1], 5))

    def _early(self, kind: str, value: str) -> Response:
        match kind.removeprefix("status_"):
            case "429":
                after = f"{faults.seconds(value, 1):g}"
                response = self.refusal("rate_limited", "Too many requests, please slow down")
                response.headers["Retry-After"] = after
                return response
            case "500" | "500_before_accept":
                return self.refusal("server", "Internal server error", status=faults.http_status(value, 500))
            case "no_money":
                return self.refusal("no_money", "Insufficient balance", inside_200=value == "200")
            case "content_refused":
                return self.refusal("content_policy", CONTENT_WORDS)
            case "html":
                return HTMLResponse(PAGE)
            case _:
                return Dropped()

    def _late(self, kind: str, value: str) -> Response:
        match kind:
            case "500_after_accept":
                return self.refusal("server", "Internal server error", status=faults.http_status(value, 500))
            case "html":
                return HTMLResponse(PAGE)
            case _:
                return Dropped()

    def _note(self, exchange: Exchange, response: Response) -> None:
        request = exchange.request
        self.sandbox.store.note(
            {
                "at": self.sandbox.now(),
                "vendor": self.name,
                "action": exchange.action,
                "method": request.method,
                # Without the query: a signed link's signature is a secret.
                "path": request.url.path,
                "status": None if isinstance(response, Dropped) else response.status_code,
                "job": exchange.job,
                "accepted": exchange.accepted,
                "fault": exchange.fault,
                "facts": exchange.facts,
            }
        )

    async def body(self, exchange: Exchange) -> dict[str, Any]:
        """The JSON object that was sent."""
        raw = await read(exchange.request)
        try:
            sent: Any = json.loads(raw)
        except ValueError:
            raise RefusedError(self.refusal("bad_input", "The request body is not valid JSON")) from None
        if not isinstance(sent, dict):
            raise RefusedError(self.refusal("bad_input", "The request body must be a JSON object"))
        exchange.facts["body"] = redacted(sent)
        return sent  # type: ignore[reportUnknownVariableType]

    def affordable(self, exchange: Exchange) -> None:
        """Refuse an account with nothing left."""
        if not self.sandbox.can_pay(self.name, exchange.account, refunds=self.refunds_failures):
            raise RefusedError(self.refusal("no_money", "Insufficient balance"))

    def accept(
        self, exchange: Exchange, job_id: str, order: ClipOrder, *, key: str = "", digest: str = ""
    ) -> SandboxJob:
        """Take the order on and say so in the journal."""
        job, new = self.sandbox.accept(job_id, order, exchange.account, key=key, digest=digest)
        exchange.job, exchange.accepted = job.id, new
        if not self.sandbox.rendering:
            exchange.facts["notice"] = self.sandbox.notice
        return job

    def post_end(self, exchange: Exchange, job: SandboxJob, address: str, told: Callable[[SandboxJob], Any]) -> None:
        """Post how the job ended, once it has, to an address of this machine that the order named."""
        if not exchange.accepted or not posts.postable(address):
            return
        making = asyncio.create_task(self._post_end(job, address, told), name="sandbox-post")
        self.sandbox.posting.add(making)
        making.add_done_callback(self.sandbox.posting.discard)

    async def _post_end(self, job: SandboxJob, address: str, told: Callable[[SandboxJob], Any]) -> None:
        while (left := job.ends - self.sandbox.now()) > 0:
            await self.sandbox.sleep(left)
        fault = self.sandbox.take_fault(self.name, ("callback_lost", "callback_twice"))
        if fault is not None and fault[0] == "callback_lost":
            return
        body = json.dumps(told(self.sandbox.store.find(self.name, job.id) or job)).encode()
        headers = self.signed(body, uuid4().hex)
        for again in range(posts.TRIES):
            status = await posts.post(address, headers, body)
            exchange = Exchange(request=_NOBODY, action="callback", job=job.id, fault=fault[0] if fault else "")
            self._note(exchange, Response(status_code=status or 504))
            if 200 <= status < 300 and (fault is None or again):
                return
            await self.sandbox.sleep(posts.PAUSE_S)

    def signed(self, body: bytes, post_id: str) -> dict[str, str]:
        """The headers that prove a post of this vendor's."""
        raise NotImplementedError(f"{self.name} posts nothing: {post_id}, {len(body)} bytes")

    def owned(self, exchange: Exchange, job_id: str) -> SandboxJob:
        """The job, if this account ordered it from this vendor."""
        job = self.sandbox.store.find(self.name, job_id, exchange.account)
        exchange.job = job_id
        missing = self.sandbox.take_fault(self.name, ("status_missing",)) if exchange.action in _LOOKS else None
        if missing is not None:
            exchange.fault = missing[0]
        if job is None or missing is not None:
            raise RefusedError(self.refusal("not_found", job_id))
        return job

    def said(self, exchange: Exchange, job: SandboxJob, now: float) -> str:
        """The status word, unless an unknown one is ordered."""
        unknown = self.sandbox.take_fault(self.name, ("status_unknown",))
        if unknown is not None:
            exchange.fault = unknown[0]
            return unknown[1] or "reviewing"
        return self.word(job, now)

    def link(self, exchange: Exchange, job: SandboxJob) -> str:
        """The clip's signed address, good for a week."""
        return self.linked(self.base(exchange), job)

    def base(self, exchange: Exchange) -> str:
        """Where the sandbox was reached."""
        return str(exchange.request.base_url).rstrip("/")

    def linked(self, base: str, job: SandboxJob) -> str:
        """The clip's address, by where the sandbox was reached."""
        expires, signature = self.sandbox.link(job, job.ends + LINK_LIFE_S)
        return f"{base}/{self.name}/files/{job.id}/clip.mp4?Expires={expires}&Signature={signature}"


_NOBODY: Final = Request(
    {
        **{"type": "http", "method": "POST", "path": "/callback", "query_string": b"", "headers": []},
        **{"scheme": "http", "server": ("localhost", 80)},
    }
)
"""In the journal, of what was not asked for."""
_LOOKS: Final = ("status", "result")
_SLOW: Final = {"submit": ("slow",), "status": ("status_slow",), "result": ("status_slow",)}
_BEFORE: Final = {
    "submit": ("drop_before_accept", "500_before_accept", "429", "no_money", "content_refused"),
    **dict.fromkeys(_LOOKS, ("status_drop", "status_500", "status_429", "status_html")),
}
_AFTER: Final = {"submit": ("drop_after_accept", "500_after_accept", "html")}


async def read(request: Request) -> bytes:
    """The whole body, up to what the sandbox is ready to hold."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise RefusedError(JSONResponse({"error": "Payload too large"}, 413))
        parts.append(part)
    return b"".join(parts)


def redacted(value: Any) -> Any:
    """What the journal keeps of a body: no file contents, no signatures of links."""
    if isinstance(value, dict):
        return {key: redacted(part) for key, part in value.items()}  # type: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [redacted(part) for part in value]  # type: ignore[reportUnknownVariableType]
    if isinstance(value, str):
        if value.startswith("data:"):
            return f"{value.partition(',')[0]},… ({len(value)} characters)"
        if value.startswith(("http://", "https://")):
            return value.partition("?")[0]
        return value[:2_000]
    return value
