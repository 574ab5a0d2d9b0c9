"""RunComfy's Model API as docs.runcomfy.com and its own clients describe it; the fields are its catalog's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil
from typing import Any, Final
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server import catalog
from mcp_server.domain.catalog import Offer
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob, listed
from mcp_server.sandbox.vendors.base import Exchange, RefusedError, Vendor

REFUSALS: Final[Mapping[str, tuple[int, int | None]]] = {
    "auth": (401, 400004),
    "no_money": (402, 400002),
    "bad_id": (400, 400001),
    "bad_input": (422, None),
    "content_policy": (422, None),
    "rate_limited": (429, None),
    "not_found": (404, 404001),
    "server": (500, None),
}
WORDS: Final[Mapping[str, str]] = {
    "queued": "in_queue",
    "running": "in_progress",
    "done": "completed",
    # A failed request is documented only as an `error` beside `completed`.
    "failed": "completed",
    "cancelled": "cancelled",
}
IMAGES: Final = ("start_image_url", "image")
END_IMAGES: Final = ("end_image_url", "end_image")


class Api(Vendor):
    """Orders by the model's path; status, result and cancelling by request."""

    refunds_failures = True  # only what ran is billed; a failed run's cost is answered as 0

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v1/models", "prices", self.models),
            self.route("/v1/models/{model:path}", "submit", self.submit, methods=("POST",)),
            self.route("/v1/models/{model:path}", "prices", self.model),
            self.route("/v1/requests/{id}/status", "status", self.status),
            self.route("/v1/requests/{id}/result", "result", self.result),
            self.route("/v1/requests/{id}/cancel", "cancel", self.cancel, methods=("POST",)),
            self.route("/prod/v2/balance", "balance", self.balance),
        ]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        http, code = REFUSALS[fault]
        said = "Resource not found" if fault == "not_found" else words
        body: dict[str, Any] = {"error_message": said} if code is None else {"error_code": code, "error_message": said}
        if "detail" in more:
            body["detail"] = more["detail"]
        # Some of its refusals come as HTTP 200 (the vendor's own client looks for them there).
        return JSONResponse(body, 200 if more.get("inside_200") else status or http)

    def word(self, job: SandboxJob, now: float) -> str:
        return WORDS[job.phase(now)]

    async def submit(self, exchange: Exchange) -> Response:
        model = str(exchange.request.path_params["model"])
        sold = offers.offers(self.name, model)
        if not sold:
            raise RefusedError(self.refusal("bad_id", f"Invalid model_id: {model}"))
        body = await self.body(exchange)
        found = offers.problems(self.name, sold[0].schema, body)
        if found:
            detail = [{"loc": where.split("."), "msg": words} for where, words in found]
            raise RefusedError(self.refusal("bad_input", found[0][1], detail=detail))
        order = _order(model, sold[0], body)
        self.affordable(exchange)
        job = self.accept(exchange, str(uuid4()), order)
        cancel = f"{self._address(exchange, job)}/cancel"
        return JSONResponse({"request_id": job.id, **self._links(exchange, job), "cancel_url": cancel})

    async def status(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, str(exchange.request.path_params["id"]))
        now = self.sandbox.now()
        word = self.said(exchange, job, now)
        reply: dict[str, Any] = {"request_id": job.id, "status": word, **self._links(exchange, job)}
        if job.phase(now) == "queued":
            reply["queue_position"] = ceil(3 * (job.starts - now) / (job.starts - job.accepted))
        return JSONResponse(reply)

    async def result(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, str(exchange.request.path_params["id"]))
        phase = job.phase(self.sandbox.now())
        reply: dict[str, Any] = {
            "request_id": job.id,
            "model_id": job.order.vendor_model,
            "status": WORDS[phase],
            "created_at": _iso(job.accepted),
            "output": self._output(exchange, job) if phase == "done" else None,
        }
        if phase in ("done", "failed"):
            reply["finished_at"] = _iso(job.ends)
        if phase == "failed":
            reply["error"] = job.words
        if exchange.request.query_params.get("include_cost") == "true" and phase != "queued":
            reply["cost"] = _cost(job, phase)
        return JSONResponse(reply)

    async def cancel(self, exchange: Exchange) -> Response:
        job = self.owned(exchange, str(exchange.request.path_params["id"]))
        stopped = job.cancelled is not None or self.sandbox.store.cancel(job.id, self.sandbox.now())
        outcome = "cancelled" if stopped else "not_cancellable"
        return JSONResponse({"request_id": job.id, "outcome": outcome})

    async def balance(self, exchange: Exchange) -> Response:
        left = self.sandbox.left(self.name, exchange.account, refunds=self.refunds_failures)
        return JSONResponse({"balance_usd": float(left), "currency": "USD"})

    async def models(self, exchange: Exchange) -> Response:
        asked = exchange.request.query_params
        names = sorted({offer.vendor_model for offer in catalog.load().offers if offer.provider == self.name})
        names = [name for name in names if asked.get("search", "") in name]
        first, limit = _number(asked.get("offset"), 0), min(100, _number(asked.get("limit"), 100))
        rows = [{"model_id": name} for name in names[first : first + limit]]
        return JSONResponse({"models": rows, "total": len(names)})

    async def model(self, exchange: Exchange) -> Response:
        model = str(exchange.request.path_params["model"])
        sold = offers.offers(self.name, model)
        if not sold:
            raise RefusedError(self.refusal("not_found", model))
        offer = sold[0]
        order = _order(model, offer, {})
        price = offers.price_of(order, datetime.fromtimestamp(self.sandbox.now(), UTC).date())
        known = price is not None and price.unit == "second" and price.silent is not None
        return JSONResponse(
            {
                "model_id": model,
                "base_price_usd": float(price.silent or 0) if price is not None and known else None,
                "price_unit": "second",
                "pricing_note": price.note if price is not None else None,
            }
        )

    def _output(self, exchange: Exchange, job: SandboxJob) -> dict[str, Any]:
        """One string or a list: the vendor's client knows both shapes."""
        address = self.link(exchange, job)
        return {"videos": [address]} if job.order.mode == "reference-to-video" else {"video": address}

    def _address(self, exchange: Exchange, job: SandboxJob) -> str:
        return f"{str(exchange.request.base_url).rstrip('/')}/{self.name}/v1/requests/{job.id}"

    def _links(self, exchange: Exchange, job: SandboxJob) -> dict[str, str]:
        address = self._address(exchange, job)
        return {"status_url": f"{address}/status", "result_url": f"{address}/result"}


def _order(model: str, offer: Offer, body: Mapping[str, Any]) -> ClipOrder:
    """What was ordered, with the vendor's own defaults.

    They are costly: unless the body says otherwise, kling-3.0 has its sound on, and its image-to-video lasts ten
    seconds.
    """
    main_line = model.startswith("kling/kling-3.0/")
    from_image = offer.mode == "image-to-video"
    seconds = int(body.get("duration", 10 if main_line and from_image else 5))
    return ClipOrder(
        vendor=offer.provider,
        endpoint=model,
        vendor_model=model,
        model=offer.model,
        tier=offer.tier,
        mode=offer.mode,
        prompt=str(body.get("prompt", "")),
        seconds=seconds,
        ratio=str(body.get("aspect_ratio", "" if from_image or body.get("video") else "16:9")),
        audio=bool(body.get("sound", body.get("generate_audio", main_line))),
        image=_first(body, IMAGES),
        end_image=_first(body, END_IMAGES),
        references=tuple(body.get("images", ())),
        video=str(body.get("video", "")),
        shots=listed(body.get("multi_prompt"), seconds),
    )


def _first(body: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((str(body[name]) for name in names if body.get(name)), "")


def _cost(job: SandboxJob, phase: str) -> float | None:
    if phase in ("failed", "cancelled"):
        return 0.0
    return None if job.price is None else float(Decimal(job.price))


def _number(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isdecimal() else default


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
