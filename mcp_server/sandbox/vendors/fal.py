"""fal: its queue from its recorded exchanges, the storage that takes files, and what it tells of its endpoints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from secrets import token_urlsafe
from typing import Final
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.sandbox import offers
from mcp_server.sandbox.store import Upload
from mcp_server.sandbox.vendors import recorded
from mcp_server.sandbox.vendors.base import Exchange, RefusedError, read

UPLOAD_LIMIT: Final = 100 * 1024 * 1024
"""Ours; no limit is published."""


class Api(recorded.Api):
    """The queue, and beside it a place for files whose address is told before their bytes are there."""

    def routes(self) -> list[BaseRoute]:
        # Before the queue: its orders go to the model's name alone, which is any path.
        return [
            self.route("/api/openapi/queue/openapi.json", "models", self.document, signed_in=False),
            self.route("/v1/models/pricing", "prices", self.rates),
            self.route("/storage/upload/initiate", "upload", self.initiate, methods=("POST",)),
            self.route("/uploads/{id}/{name}", "upload", self.receive, methods=("PUT",), signed_in=False),
            *super().routes(),
        ]

    async def result(self, exchange: Exchange) -> Response:
        """The output; its request stands in a header, too, from which the npm client has it (response.js)."""
        response = await super().result(exchange)
        response.headers["X-Fal-Request-Id"] = exchange.job
        return response

    async def initiate(self, exchange: Exchange) -> Response:
        body = await self.body(exchange)
        name = body.get("file_name")
        if not isinstance(name, str) or not name or not isinstance(body.get("content_type"), str):
            raise RefusedError(self.refusal("bad_input", "file_name and content_type are required"))
        upload = Upload(
            id=token_urlsafe(18),
            account=exchange.account,
            name=name.replace("/", "_")[:120],
            size=0,
            checksum="",
            made=self.sandbox.now(),
            data=None,
        )
        self.sandbox.store.put_upload(upload)
        base = str(exchange.request.base_url).rstrip("/")
        address = f"{base}/{self.name}/uploads/{upload.id}/{quote(upload.name)}"
        return JSONResponse({"upload_url": address, "file_url": address})

    async def receive(self, exchange: Exchange) -> Response:
        upload = self.sandbox.store.upload(str(exchange.request.path_params["id"]))
        if upload is None:
            raise RefusedError(self.refusal("not_found", "No such upload"))
        if self.key_sent(exchange.request):
            return Response("Only one authorization mechanism is allowed", 400)
        data = await read(exchange.request)
        if upload.data is not None or not 0 < len(data) <= UPLOAD_LIMIT:
            return Response("Precondition failed", 412)
        self.sandbox.store.put_upload(replace(upload, data=data, size=len(data), confirmed=True))
        return Response(status_code=200)

    async def document(self, exchange: Exchange) -> Response:
        """What an endpoint takes; anybody may ask."""
        found = offers.document(self.name, exchange.request.query_params.get("endpoint_id", ""))
        if found is None:
            raise RefusedError(self.refusal("not_found", "No such endpoint"))
        return JSONResponse(found)

    async def rates(self, exchange: Exchange) -> Response:
        """The first rate of each endpoint that is asked for; those without one are left out."""
        day = datetime.fromtimestamp(self.sandbox.now(), UTC).date()
        asked = ",".join(exchange.request.query_params.getlist("endpoint_id")).split(",")
        rows = [
            {"endpoint_id": model, "unit_price": float(rate), "unit": "seconds", "currency": "USD"}
            for model in asked
            if (rate := offers.lowest_rate(self.name, model, day)) is not None
        ]
        return JSONResponse({"prices": rows, "next_cursor": None, "has_more": False})
