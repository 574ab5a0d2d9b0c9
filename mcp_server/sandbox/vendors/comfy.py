"""Comfy Router from its recorded exchanges, its single-use keys, and what a run would cost."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.vendors import recorded
from mcp_server.sandbox.vendors.base import Exchange, RefusedError


class Api(recorded.Api):
    """The queue, where one key stands for one order."""

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v2/models", "models", self.models),
            self.route("/v2/models/{model:path}/openapi.json", "models", self.document),
            self.route("/v2/models/{model:path}/estimate", "prices", self.estimate, methods=("POST",)),
            *super().routes(),
        ]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        """The refusal with its kind in a header, too, which is where the SDK reads it (router_exceptions.py)."""
        response = super().refusal(fault, words, status=status, **more)
        told = json.loads(bytes(response.body)).get("error_type", "invalid_input")
        response.headers["X-Comfy-Error-Type"] = str(told)
        return response

    def key_of(self, request: Request) -> str:
        """Its documents put the key into a header of its own, its SDK sends it as a bearer token; both are taken."""
        found = super().key_of(request)
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        return found or (bearer if scheme.lower() == "bearer" else "")

    def accept(
        self, exchange: Exchange, job_id: str, order: ClipOrder, *, key: str = "", digest: str = ""
    ) -> SandboxJob:
        key = key or exchange.request.headers.get("idempotency-key", "")
        said = json.dumps(exchange.facts.get("body"), sort_keys=True)
        return super().accept(exchange, job_id, order, key=key, digest=digest or sha256(said.encode()).hexdigest())

    async def estimate(self, exchange: Exchange) -> Response:
        order = self.order(await self.body(exchange), str(exchange.request.path_params["model"]))
        amount = offers.cost(order, self.sandbox.now())
        told: dict[str, Any] = {"source": "unknown", "reason": "no rate is published"}
        if amount is not None:
            told = {"source": "exact", "amount": str(amount), "currency": "USD"}
        as_of = datetime.fromtimestamp(self.sandbox.now(), UTC).isoformat(timespec="seconds")
        return JSONResponse({**told, "pricing_as_of": as_of})

    async def models(self, exchange: Exchange) -> Response:
        """One page: the maker's name and the model's stand apart in it, too."""
        del exchange
        rows = [
            {
                "id": model,
                "provider": model.partition("/")[0],
                "model": model.partition("/")[2],
                "billing": {"charges_on_policy_rejection": False},
            }
            for model in offers.models(self.name)
        ]
        return JSONResponse({"data": rows, "has_more": False, "next_cursor": None, "limit": 100})

    async def document(self, exchange: Exchange) -> Response:
        found = offers.document(self.name, str(exchange.request.path_params["model"]))
        if found is None:
            raise RefusedError(self.refusal("not_found", "No such model"))
        return JSONResponse(found)
