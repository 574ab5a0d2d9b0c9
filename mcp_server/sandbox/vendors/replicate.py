"""Replicate from its recorded exchanges, the list of an account's predictions, and what a model takes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.sandbox import offers
from mcp_server.sandbox.vendors import recorded
from mcp_server.sandbox.vendors.base import Exchange, RefusedError


class Api(recorded.Api):
    """Predictions one by one, and all of an account's, the newest first."""

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v1/predictions", "status", self.list),
            self.route("/v1/models/{owner}/{name}", "models", self.model),
            *super().routes(),
        ]

    async def model(self, exchange: Exchange) -> Response:
        owner, name = (str(exchange.request.path_params[part]) for part in ("owner", "name"))
        document = offers.document(self.name, f"{owner}/{name}", "input")
        if document is None:
            raise RefusedError(self.refusal("not_found", "Not found"))
        version = {"id": "hidden", "created_at": "2026-02-26T00:00:00Z", "cog_version": "0", "openapi_schema": document}
        about = {"url": f"https://replicate.com/{owner}/{name}", "owner": owner, "name": name, "visibility": "public"}
        return JSONResponse({**about, "run_count": 0, "latest_version": version})

    async def list(self, exchange: Exchange) -> Response:
        now = self.sandbox.now()
        rows: list[dict[str, Any]] = [
            {
                "id": job.id,
                "model": job.order.vendor_model,
                "version": "hidden",
                "input": sent.get("input", {}),
                "status": self.word(job, now),
                "created_at": datetime.fromtimestamp(job.accepted, UTC).isoformat(timespec="milliseconds"),
            }
            for job, sent in self.ordered(exchange)
        ]
        return JSONResponse({"previous": None, "next": None, "results": rows[::-1]})
