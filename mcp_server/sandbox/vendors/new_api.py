"""The gateway family two vendors run on (new-api): its routes for tasks, its two envelopes for refusals."""

from __future__ import annotations

import json
from abc import abstractmethod
from base64 import b64encode
from collections.abc import Mapping
from secrets import choice
from string import ascii_letters, digits
from typing import Any, ClassVar, Final

from starlette.datastructures import UploadFile
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.domain.catalog import Offer
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.media_host import clip_response
from mcp_server.sandbox.vendors.base import Exchange, RefusedError, Vendor

BUSY: Final = "当前分组上游负载已饱和，请稍后再试"
"""What the gateway says for every 429 (new-api source controller/relay.go)."""
RAW: Final[Mapping[str, str]] = {
    "queued": "QUEUED",
    "running": "IN_PROGRESS",
    "done": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "FAILURE",
}
"""The gateway's own words, on its alternate route (new-api source model/task.go)."""


class NewApi(Vendor):
    """A vendor behind this gateway."""

    refunds_failures = True  # new-api source: quota of a failed task goes back
    words: ClassVar[Mapping[str, str]]
    """Status words of `/v1/videos/{id}`."""
    object_name: ClassVar[str]

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v1/videos/{id}", "status", self.status),
            self.route("/v1/videos/{id}/content", "file", self.content, methods=("GET", "HEAD")),
            self.route("/v1/video/generations/{id}", "status", self.raw_status),
        ]

    @abstractmethod
    def order(self, body: Mapping[str, Any], offer: Offer) -> ClipOrder:
        """The body in plain words; the schema took it already."""

    @abstractmethod
    def named(self, job: SandboxJob) -> str:
        """The model's name in answers."""

    def word(self, job: SandboxJob, now: float) -> str:
        return self.words[job.phase(now)]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        match fault:
            case "auth":
                return _gateway(401, "Invalid token", "")
            case "no_money":
                return _gateway(403, "user quota is not enough", "insufficient_user_quota")
            case "model":
                words = f"No available channel for model {words} under group default (distributor)"
                return _gateway(503, words, "model_not_found")
            case "rate_limited":
                return _task(429, "fail_to_fetch_task", BUSY)
            case "server":
                return _task(status or 500, "fail_to_fetch_task", words)
            case "not_found":
                # HTTP 400, not 404 (new-api source relay_task.go).
                return _task(400, "task_not_exist", "task_not_exist")
            case "content_policy":
                upstream = {"Error": {"Code": "InvalidParameter.VoilationContent", "Message": words}}
                return _task(400, "fail_to_fetch_task", json.dumps(upstream))
            case _:
                return _task(400, str(more.get("code", "invalid_request")), words)

    async def submit(self, exchange: Exchange) -> Response:
        body = await self._sent(exchange)
        model = str(body.get("model") or "")
        if not model:
            raise RefusedError(self.refusal("bad_input", "model field is required", code="missing_model"))
        sold = offers.offers(self.name, model)
        if not sold:
            raise RefusedError(self.refusal("model", model))
        if not str(body.get("prompt") or "").strip() and self.prompt_needed(body):
            raise RefusedError(self.refusal("bad_input", "prompt is required"))
        for where, words in offers.accepts_any(self.name, (offer.schema for offer in sold), body):
            raise RefusedError(self.refusal("bad_input", f"{where}: {words}" if where else words))
        order = self.order(body, sold[0])
        self.affordable(exchange)
        job = self.accept(exchange, f"task_{_random(32)}", order)
        return JSONResponse({**self._task(job), "status": "queued", "progress": 0})

    def prompt_needed(self, body: Mapping[str, Any]) -> bool:  # noqa: ARG002 - one vendor looks at it
        """Whether the gateway insists on a prompt here."""
        return True

    async def status(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, str(exchange.request.path_params["id"]))
        now = self.sandbox.now()
        phase, word = job.phase(now), self.said(exchange, job, now)
        reply = {**self._task(job), "status": word, "progress": job.progress(now)}
        if word == self.words["done"]:
            address = self.link(exchange, job)
            reply |= {"completed_at": int(job.ends), "video_url": address, "metadata": {"url": address}}
        elif phase == "failed":
            reply |= {"completed_at": int(job.ends), "error": {"message": job.words, "code": _code(job)}}
        return JSONResponse(reply)

    async def raw_status(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, str(exchange.request.path_params["id"]))
        now = self.sandbox.now()
        phase = job.phase(now)
        data: dict[str, Any] = {
            "task_id": job.id,
            "status": RAW[phase],
            "progress": f"{job.progress(now)}%",
            "fail_reason": job.words if phase == "failed" else "",
            "submit_time": int(job.accepted),
        }
        if phase == "done":
            # The newer records; older ones carry the address in fail_reason.
            data |= {"result_url": self.link(exchange, job), "finish_time": int(job.ends)}
        return JSONResponse({"code": "success", "message": "", "data": data})

    async def content(self, exchange: Exchange) -> Response:
        job = self.sandbox.store.find(self.name, str(exchange.request.path_params["id"]), exchange.account)
        if job is None:
            return _gateway(404, "Task not found", None, "invalid_request_error")
        exchange.job = job.id
        phase = job.phase(self.sandbox.now())
        if phase != "done":
            words = f"Task is not completed yet, current status: {RAW[phase]}"
            return _gateway(400, words, None, "invalid_request_error")
        return await clip_response(self, exchange, job, {"Cache-Control": "public, max-age=86400"})

    async def _sent(self, exchange: Exchange) -> dict[str, Any]:
        """The body as JSON, or the form the gateway takes as well (new-api source relay_utils.go)."""
        if not exchange.request.headers.get("content-type", "").startswith("multipart/"):
            return await self.body(exchange)
        made: dict[str, Any] = {}
        async with exchange.request.form(max_part_size=4 * 1024 * 1024) as form:
            for name, value in form.multi_items():
                if isinstance(value, UploadFile):
                    data = b64encode(await value.read()).decode()
                    exchange.facts["uploaded"] = f"{name}: {len(data)} characters of base64"
                elif value:
                    made[name] = value
        exchange.facts["body"] = made
        return made

    def _task(self, job: SandboxJob) -> dict[str, Any]:
        return {
            "id": job.id,
            "task_id": job.id,
            "object": self.object_name,
            "model": self.named(job),
            "created_at": int(job.accepted),
        }


def _task(status: int, code: str, words: str) -> JSONResponse:
    return JSONResponse({"code": code, "message": words, "data": None}, status)


def _gateway(status: int, words: str, code: str | None, kind: str = "new_api_error") -> JSONResponse:
    error = {"message": words, "type": kind}
    return JSONResponse({"error": error if code is None else {**error, "code": code}}, status)


def _code(job: SandboxJob) -> str:
    return "ContentModerationFailed" if job.ending == "moderated" else "ModelGenerateFailed"


def _random(length: int) -> str:
    return "".join(choice(ascii_letters + digits) for _ in range(length))
