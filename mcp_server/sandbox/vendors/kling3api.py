"""kling3api.com as its page (docs 001) and the public clients of its engine describe it.

The page shows no refusal: the envelope here has its codes where its success has 200. What a failed job costs is not
documented either; here it stays charged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, Final, NoReturn

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.vendors.base import Exchange, RefusedError, Vendor

REFUSALS: Final[Mapping[str, tuple[int, str | int]]] = {
    "auth": (401, "INVALID_API_KEY"),
    "no_money": (402, "INSUFFICIENT_CREDITS"),
    "bad_input": (400, 400),
    "content_policy": (400, "INVALID_PROMPT"),
    "rate_limited": (429, "RATE_LIMITED"),
    "server": (500, "INTERNAL_ERROR"),
    # Not on the page: an unknown task.
    "not_found": (404, 404),
}
WORDS: Final[Mapping[str, str]] = {
    "queued": "IN_PROGRESS",
    "running": "IN_PROGRESS",
    "done": "SUCCESS",
    "failed": "FAILED",
    "cancelled": "FAILED",
}
NEEDS: Final[Mapping[str, tuple[str, str]]] = {
    "image-to-video": ("image", "MISSING_IMAGE"),
    "reference-to-video": ("images", "MISSING_IMAGE"),
    "video-edit": ("video", "MISSING_VIDEO"),
}
BY_FIELD: Final[Mapping[str, str]] = {
    "type": "INVALID_TYPE",
    "prompt": "INVALID_PROMPT",
    "duration": "INVALID_DURATION",
    "image": "MISSING_IMAGE",
    "end_image": "MISSING_IMAGE",
    "images": "MISSING_IMAGE",
    "video": "MISSING_VIDEO",
}


class Api(Vendor):
    """One route to order by `type`, one to look."""

    refunds_failures = False

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/api/generate", "submit", self.generate, methods=("POST",)),
            self.route("/api/status", "status", self.status),
        ]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        http, code = REFUSALS[fault]
        code = more.get("code", code)
        if more.get("inside_200"):
            # A public client's tests expect this one inside a successful answer, with the number.
            return JSONResponse({"code": http, "message": "No available credits"})
        said = "Task not found" if fault == "not_found" else words
        return JSONResponse({"code": code, "message": said, "data": None}, status or http)

    def word(self, job: SandboxJob, now: float) -> str:
        return WORDS[job.phase(now)]

    async def generate(self, exchange: Exchange) -> Response:
        order = self.order(await self.body(exchange))
        self.affordable(exchange)
        job = self.accept(exchange, f"n{token_hex(12)}kling3", order)
        data: dict[str, Any] = {"task_id": job.id, "status": "IN_PROGRESS", **_credits(job)}
        return JSONResponse({"code": 200, "message": "success", "data": data})

    async def status(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, exchange.request.query_params.get("task_id", ""))
        now = self.sandbox.now()
        phase, word = job.phase(now), self.said(exchange, job, now)
        data: dict[str, Any] = {
            "task_id": job.id,
            "status": word,
            "response": [self.link(exchange, job)] if word == "SUCCESS" else None,
            "request": {"type": job.order.endpoint, "prompt": job.order.prompt},
            **_credits(job),
            # Without a time zone, as the engine's own docs show it.
            "created_at": datetime.fromtimestamp(job.accepted, UTC).strftime("%Y-%m-%d %H:%M:%S"),
            "error_message": job.words if phase == "failed" else None,
            "type": job.order.endpoint,
        }
        return JSONResponse({"code": 200, "message": "success", "data": data})

    def order(self, body: Mapping[str, Any]) -> ClipOrder:
        """What was ordered; refuses with the code the page gives for it."""
        kind = str(body.get("type", ""))
        sold = offers.offers(self.name, kind)
        if not sold:
            self._refuse("type", f"unknown type {kind!r}", "INVALID_TYPE")
        offer = sold[0]
        field, code = NEEDS.get(offer.mode, ("prompt", "INVALID_PROMPT"))
        if not body.get(field):
            self._refuse(field, f"{field} is required for {kind}", code)
        for where, words in offers.problems(self.name, offer.schema, dict(body)):
            named = where.partition(".")[0] or ("prompt" if "prompt" not in body else "")
            self._refuse(named, f"{named}: {words}" if named else words, BY_FIELD.get(named))
        return ClipOrder(
            vendor=self.name,
            endpoint=kind,
            vendor_model=kind,
            model=offer.model,
            tier=offer.tier,
            mode=offer.mode,
            prompt=str(body["prompt"]),
            seconds=int(body.get("duration", 5)),
            ratio=str(body.get("aspect_ratio", "" if body.get("image") or body.get("video") else "16:9")),
            audio=bool(body.get("sound", body.get("keep_original_sound", False))),
            image=str(body.get("image", "")),
            end_image=str(body.get("end_image", "")),
            references=tuple(body.get("images", ())),
            video=str(body.get("video", "")),
        )

    def _refuse(self, field: str, words: str, code: str | None) -> NoReturn:
        more: dict[str, Any] = {"code": code} if code else {}
        raise RefusedError(self.refusal("bad_input", words or f"{field} is invalid", **more))


def _credits(job: SandboxJob) -> dict[str, Any]:
    if job.price is None:
        return {}
    whole = job.price == job.price.to_integral_value()
    return {"consumed_credits": int(job.price) if whole else float(job.price)}
