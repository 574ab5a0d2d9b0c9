"""RunAPI as its contract v0.12.0 and its own Python SDK describe it: six actions, one task shape."""

from __future__ import annotations

import base64
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.domain.catalog import Offer
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob, Scene
from mcp_server.sandbox.store import KeyTakenError
from mcp_server.sandbox.vendors.base import CALLBACK_SECRET, Exchange, RefusedError, Vendor
from mcp_server.sandbox.vendors.runapi_account import AccountRoutes

OTHER_MODES: Final[Mapping[str, str]] = {
    "motion_control": "motion-control",
    "extend_video": "extend",
    "ai_avatar": "avatar",
}
ACTIONS: Final = ("text_to_video", "image_to_video", "edit_video", *OTHER_MODES)
EXTENDED: Final = "kling-v2.5-turbo-text-to-video-pro"
"""An extension names no model: only this line can be continued."""
WORDS: Final[Mapping[str, str]] = {
    "queued": "pending",
    "running": "processing",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
STATUS: Final[Mapping[str, int]] = {
    "auth": 401,
    "no_money": 402,
    "bad_input": 422,
    "content_policy": 422,
    "rate_limited": 429,
    "not_found": 404,
    "conflict": 409,
    "server": 500,
}
CODES: Final[Mapping[str, str]] = {"rate_limited": "rate_limited", "conflict": "request_conflict"}
"""Codes the vendor's MCP server knows; where none is known the error is a sentence."""
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_TIER: Final = {"720p": "standard", "1080p": "pro", "4k": "4k", "std": "standard", "pro": "pro"}


class Api(Vendor):
    """Six actions, one task shape, and the routes of the account."""

    refunds_failures = True  # docs 000

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/api/v1/kling/{action}", "submit", self.submit, methods=("POST",)),
            self.route("/api/v1/kling/{action}/{id}", "status", self.status),
            self.route("/api/v1/kling/{id}", "status", self.status),
            *AccountRoutes(self, self.order).routes(),
        ]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        code = more.get("code") or CODES.get(fault)
        said = "Task not found" if fault == "not_found" else words
        body: dict[str, Any] = {"error": {"code": code, "message": said} if code else said}
        if "errors" in more:
            body["errors"] = more["errors"]
        return self._labelled(JSONResponse(body, status or STATUS[fault]))

    def word(self, job: SandboxJob, now: float) -> str:
        return WORDS[job.phase(now)]

    async def submit(self, exchange: Exchange) -> Response:
        action = str(exchange.request.path_params["action"])
        if action not in ACTIONS:
            raise RefusedError(self.refusal("not_found", action))
        body = await self.body(exchange)
        order = self.order(action, body)
        self._source_is_usable(exchange, order)
        self.affordable(exchange)
        key = exchange.request.headers.get("idempotency-key", "").strip()[:512]
        exchange.facts["idempotency_key"] = key
        digest = sha256(json.dumps([action, body], sort_keys=True).encode()).hexdigest()
        try:
            job = self.accept(exchange, str(uuid4()), order, key=key, digest=digest)
        except KeyTakenError:
            words = "Idempotency-Key was already used with a different request"
            raise RefusedError(self.refusal("conflict", words)) from None
        self.post_end(exchange, job, str(body.get("callback_url", "")), partial(self._ended, self.base(exchange)))
        # `task_id` is what docs 000 shows, `id` what the SDK requires.
        reply = {"id": job.id, "task_id": job.id, "status": WORDS["queued"], "model": order.vendor_model}
        return self._labelled(JSONResponse(reply), exchange, job)

    async def status(self, exchange: Exchange) -> Response:
        named = exchange.request.path_params
        if not _UUID.fullmatch(str(named["id"])):
            raise RefusedError(self.refusal("bad_input", "Invalid task id", status=400, code="invalid_resource_id"))
        job = self.owned(exchange, str(named["id"]))
        if named.get("action", job.order.endpoint) != job.order.endpoint:
            raise RefusedError(self.refusal("not_found", job.id))
        now = self.sandbox.now()
        reply = self._told(self.base(exchange), job, self.said(exchange, job, now), now)
        return self._labelled(JSONResponse(reply), exchange, job)

    def _ended(self, base: str, job: SandboxJob) -> dict[str, Any]:
        """What is posted: the task as it is shown (earlier kling skill)."""
        now = self.sandbox.now()
        return self._told(base, job, self.word(job, now), now)

    def _told(self, base: str, job: SandboxJob, word: str, now: float) -> dict[str, Any]:
        reply: dict[str, Any] = {"id": job.id, "status": word, "model": job.order.vendor_model}
        if word == WORDS["done"]:
            reply["videos"] = [{"url": self.linked(base, job)}]
            if job.price is not None:
                reply["usage"] = {"cost": float(job.price)}
        elif job.phase(now) == "failed":
            reply["error"] = job.words
        return reply

    def signed(self, body: bytes, post_id: str) -> dict[str, str]:
        stamp = str(int(self.sandbox.now()))
        mac = hmac.new(base64.b64decode(CALLBACK_SECRET), f"{post_id}.{stamp}.".encode() + body, sha256)
        return {
            "X-Callback-Id": post_id,
            "X-Callback-Timestamp": stamp,
            "X-Callback-Signature": base64.b64encode(mac.digest()).decode(),
        }

    def order(self, action: str, body: Mapping[str, Any]) -> ClipOrder:
        """What was ordered; refuses what the contract refuses."""
        self._refuse(offers.problems(self.name, f"{action}_request", dict(body)))
        model = str(body.get("model") or (EXTENDED if action == "extend_video" else ""))
        sold = offers.offers(self.name, model)
        if not sold:
            self._refuse([("model", f"{model!r} is not a model of {action}")])
        modes = _modes(action, body)
        offer = _best(sold, modes, str(body.get("output_resolution") or body.get("mode") or ""))
        shots = tuple(_shots(body))
        return ClipOrder(
            vendor=self.name,
            endpoint=action,
            vendor_model=model,
            model=offer.model,
            tier=offer.tier,
            mode=offer.mode if offer.mode in modes else modes[0],
            prompt=str(body.get("prompt", "")),
            seconds=sum(shot.seconds for shot in shots) or int(body.get("duration_seconds", 5)),
            ratio=str(body.get("aspect_ratio", "" if _picture(body) else "16:9")).replace("auto", ""),
            resolution=str(body.get("output_resolution", "")),
            audio=bool(body.get("enable_sound", action == "ai_avatar")),
            image=_picture(body),
            end_image=str(body.get("last_frame_image_url", "")),
            references=tuple(body.get("reference_image_urls", ())),
            video=str(body.get("source_video_url") or body.get("reference_video_url") or ""),
            source_task=str(body.get("source_task_id", "")),
            shots=shots,
        )

    def _refuse(self, problems: list[tuple[str, str]]) -> None:
        if problems:
            fields: dict[str, list[str]] = {}
            for field, words in problems:
                fields.setdefault(field or "base", []).append(words)
            raise RefusedError(self.refusal("bad_input", problems[0][1], errors=fields))

    def _source_is_usable(self, exchange: Exchange, order: ClipOrder) -> None:
        """A task that is continued must be ours, finished and of the kind that can go on."""
        if not order.source_task:
            return
        source = self.sandbox.store.find(self.name, order.source_task, exchange.account)
        phase = source.phase(self.sandbox.now()) if source else "failed"
        if phase in ("queued", "running"):
            words, status, code = "Source task is not completed yet", 409, "source_task_not_ready"
        elif source is None or phase != "done":
            words, status, code = "Source task cannot be used", 422, "source_task_unusable"
        elif order.mode == "extend" and "v2.5-turbo" not in source.order.vendor_model:
            words, status, code = "Source task does not support continuation", 422, "continuation_not_supported"
        else:
            return
        raise RefusedError(self.refusal("bad_input", words, status=status, code=code))

    def _labelled(
        self, response: Response, exchange: Exchange | None = None, job: SandboxJob | None = None
    ) -> Response:
        response.headers["x-request-id"] = str(uuid4())
        if job is not None:
            response.headers["X-RunAPI-Task-Id"] = job.id
        if exchange is not None and (said := exchange.request.headers.get("x-client-request-id")):
            response.headers["X-Client-Request-Id"] = said[:512]
        return response


def _modes(action: str, body: Mapping[str, Any]) -> tuple[str, ...]:
    """What the body makes, the likeliest first."""
    match action:
        case "edit_video":
            return ("video-edit", "reference-to-video")
        case "text_to_video" | "image_to_video":
            if body.get("reference_video_type") == "base":
                return ("video-edit",)
            if body.get("reference_image_urls") or body.get("reference_video_url"):
                return ("reference-to-video", "image-to-video")
            return ("image-to-video", "text-to-video") if _picture(body) else ("text-to-video",)
        case _:
            return (OTHER_MODES[action],)


def _best(sold: tuple[Offer, ...], modes: tuple[str, ...], word: str) -> Offer:
    """The offer that this body buys: by mode, then by the tier its resolution or `mode` means."""
    tier = _TIER.get(word, "standard")
    order = {mode: len(modes) - place for place, mode in enumerate(modes)}
    return max(sold, key=lambda offer: (order.get(offer.mode, 0), offer.tier == tier))


def _picture(body: Mapping[str, Any]) -> str:
    return str(body.get("first_frame_image_url") or body.get("source_image_url") or "")


def _shots(body: Mapping[str, Any]) -> Iterator[Scene]:
    for shot in body.get("multi_prompt", ()) if body.get("multi_shots") else ():
        yield Scene(prompt=str(shot.get("prompt", "")), seconds=float(shot.get("duration_seconds", 5)))
