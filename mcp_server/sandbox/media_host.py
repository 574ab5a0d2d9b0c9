"""Finished clips over HTTP as a media host serves them: signed links, Range, ETag; and how a download goes wrong."""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from anyio.lowlevel import checkpoint
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from mcp_server.sandbox import faults
from mcp_server.sandbox.jobs import SandboxJob
from mcp_server.sandbox.vendors.base import DROP, PAGE, Dropped, Exchange, Vendor

if TYPE_CHECKING:
    from mcp_server.sandbox.sandbox import Sandbox

FAULTS: Final = ("file_cut", "file_expired", "file_gone", "file_html")


def routes(vendor: Vendor) -> list[BaseRoute]:
    """The vendor's media host, under its prefix."""

    async def clip(exchange: Exchange) -> Response:
        job = vendor.sandbox.store.find(vendor.name, str(exchange.request.path_params["id"]))
        now = vendor.sandbox.now()
        if job is None or job.phase(now) != "done":
            return _denied(404, "NoSuchKey")
        exchange.job = job.id
        asked = exchange.request.query_params
        if vendor.key_sent(exchange.request):
            # A signed link is an authorisation of its own; a key has no business here.
            exchange.facts["key_sent"] = True
            return _denied(400, "InvalidArgument: only one authorization mechanism is allowed")
        expires, signature = vendor.sandbox.link(job, float(asked.get("Expires", "0")) if _number(asked) else 0)
        if not compare_digest(signature, asked.get("Signature", "")):
            return _denied(403, "SignatureDoesNotMatch")
        if now > float(expires):
            return _denied(403, "AccessDenied: Request has expired")
        return await clip_response(vendor, exchange, job)

    return [vendor.route("/files/{id}/{name}", "file", clip, methods=("GET", "HEAD"), signed_in=False)]


async def clip_response(
    vendor: Vendor, exchange: Exchange, job: SandboxJob, headers: Mapping[str, str] | None = None
) -> Response:
    """The clip, or the fault that is armed for downloads."""
    sandbox = vendor.sandbox
    slow = sandbox.take_fault(vendor.name, ("file_slow",))
    if slow is not None:
        exchange.fault = slow[0]
        await sandbox.sleep(faults.seconds(slow[1], 5))
    taken = sandbox.take_fault(vendor.name, FAULTS)
    kind = taken[0] if taken is not None else ""
    exchange.fault = kind or exchange.fault
    exchange.facts["range"] = exchange.request.headers.get("range", "")
    match kind:
        case "file_expired":
            return _denied(403, "AccessDenied: Request has expired")
        case "file_gone":
            return _denied(410, "Gone")
        case "file_html":
            return HTMLResponse(PAGE)
        case _:
            drawn = await sandbox.clips.of(job, _uploaded(sandbox, job))
            more = {**(headers or {}), "ETag": drawn.etag, "X-Simulated": "true"}
            if drawn.prebuilt:
                more["X-Simulated-Prebuilt"] = "true"
                exchange.facts["notice"] = sandbox.notice
            if kind == "file_cut":
                return Cut(drawn.path, media_type="video/mp4", headers=more)
            whole = exchange.request.method == "GET" and exchange.facts["range"][-1:] in ("", "-")
            told = BackgroundTask(sandbox.clips.fetched, drawn, whole=whole)
            return FileResponse(drawn.path, media_type="video/mp4", headers=more, background=told)


class Cut(FileResponse):
    """A download whose connection closes half way."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        length = left = 0

        async def half(message: Message) -> None:
            nonlocal length, left
            if message["type"] == "http.response.start":
                sent = {name.lower(): value for name, value in message["headers"]}
                length = int(sent.get(b"content-length", b"0"))
                left = length // 2
                await send(message)
            elif left > 0:
                part = bytes(message.get("body", b""))[:left]
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
                if left == 0:
                    await self._drop(scope, receive, send)

        await super().__call__(_without_path_send(scope), receive, half)

    async def _drop(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A breath, so that what was sent is on its way before the connection closes.
        await checkpoint()
        await Dropped()(scope, receive, send)


def _without_path_send(scope: Scope) -> Scope:
    extensions = {name: value for name, value in scope.get("extensions", {}).items() if name == DROP}
    return {**scope, "extensions": extensions}


def _uploaded(sandbox: Sandbox, job: SandboxJob) -> dict[str, bytes]:
    """The pictures that came as uploads, by address; every other address stays unfetched."""
    found: dict[str, bytes] = {}
    for address in (job.order.image, job.order.end_image):
        _, here, rest = address.partition("/uploads/")
        upload = sandbox.store.upload(rest.partition("/")[0]) if here else None
        if upload is not None and upload.confirmed and upload.data:
            found[address] = upload.data
    return found


def _number(asked: Mapping[str, str]) -> bool:
    return asked.get("Expires", "").isdecimal()


def _denied(status: int, code: str) -> Response:
    """How object stores refuse."""
    return Response(f"<Error><Code>{code}</Code></Error>", status, media_type="application/xml")
