"""RunAPI's routes beside its tasks: balance, price lists and quotes, and the three steps of an upload."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import ROUND_CEILING, Decimal
from hashlib import md5, sha256
from mimetypes import guess_type
from secrets import token_urlsafe
from typing import Any, Final
from urllib.parse import quote

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server import catalog
from mcp_server.domain.catalog import Offer
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder
from mcp_server.sandbox.store import Upload
from mcp_server.sandbox.vendors.base import Exchange, RefusedError, Vendor, read
from mcp_server.sandbox.video.cache import decoded

DAY_S: Final = 24 * 3600.0
UPLOAD_LIFE_S: Final = 3 * DAY_S
"""Ours; the vendor says only that there is an `expires_at`."""
UPLOAD_LIMIT: Final = 50 * 1024 * 1024
"""Ours; no limit is published."""


class AccountRoutes:
    """What belongs to an account rather than to a task; `order` reads the body of an action."""

    def __init__(self, vendor: Vendor, order: Callable[[str, Mapping[str, Any]], ClipOrder]) -> None:
        self.vendor = vendor
        self.order = order
        self.sandbox = vendor.sandbox

    def routes(self) -> list[BaseRoute]:
        route = self.vendor.route
        return [
            route("/api/v1/me", "balance", self.me),
            route("/api/v1/me/balance", "balance", self.balance),
            route("/api/v1/price_schedules", "prices", self.schedules, signed_in=False),
            route("/api/v1/price_quotes", "prices", self.quote, methods=("POST",), signed_in=False),
            route("/api/v1/files", "upload", self.register, methods=("POST",)),
            route("/api/v1/files/prepare", "upload", self.prepare, methods=("POST",)),
            route("/api/v1/files/confirm", "upload", self.confirm, methods=("POST",)),
            # The address is authorised by itself: the key must not go there.
            route("/uploads/{id}", "upload", self.receive, methods=("PUT",), signed_in=False),
            route("/uploads/{id}/{name}", "file", self.serve, signed_in=False),
        ]

    async def me(self, _visit: Exchange) -> Response:
        account = {"id": 1, "name": "Sandbox"}
        return JSONResponse({"id": 1, "name": "Sandbox", "email": "sandbox@example.com", "account": account})

    async def balance(self, exchange: Exchange) -> Response:
        now = self.sandbox.now()
        name, account = self.vendor.name, exchange.account
        left = _cents(self.sandbox.left(name, account, refunds=True))
        spent = {
            "spent_cents_today": _cents(self.sandbox.spent(name, account, refunds=True, since=now - now % DAY_S)),
            "spent_cents_total": _cents(self.sandbox.spent(name, account, refunds=True)),
        }
        return JSONResponse({"balance_cents": left, "paid_balance_cents": left, "bonus_balance_cents": 0, **spent})

    async def schedules(self, exchange: Exchange) -> Response:
        asked = exchange.request.query_params
        day = datetime.fromtimestamp(self.sandbox.now(), UTC).date()
        rows = [
            row
            for row in self._schedules(day)
            if all(asked.get(name) in (None, row[name]) for name in ("service", "action", "model"))
        ]
        etag = f'"{sha256(repr(rows).encode()).hexdigest()[:16]}"'
        if exchange.request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers={"ETag": etag})
        return JSONResponse({"as_of": _iso(self.sandbox.now()), "price_schedules": rows}, headers={"ETag": etag})

    def _schedules(self, day: date) -> Iterator[dict[str, Any]]:
        """One row for each model and action."""
        groups: dict[tuple[str, str], list[Offer]] = {}
        for offer in catalog.load().offers:
            if offer.provider == self.vendor.name and not offer.not_sold_because:
                groups.setdefault((offer.vendor_model, _action(offer)), []).append(offer)
        for (model, action), sold in groups.items():
            rates = {key: rate for offer in sold for key, rate in _rates(offer, action, day)}
            yield {
                "service": "kling",
                "action": action,
                "model": model,
                "pricing_status": "available" if rates else "unavailable",
                "catalog_status": "active",
                "currency": "USD",
                "billing_unit": "per_second" if rates else None,
                "unit_price_cents": max(rates.values(), default=None),
                "billing_config": _billing(rates, by_mode=not any(offer.resolutions for offer in sold)),
            }

    async def quote(self, exchange: Exchange) -> Response:
        body = await self.vendor.body(exchange)
        action, model = str(body.get("action", "")), str(body.get("model", ""))
        if body.get("service") != "kling" or action not in _ACTIONS:
            raise RefusedError(self.vendor.refusal("bad_input", "Unknown service or action"))
        params = body.get("params")
        order = self.order(action, {"model": model, **(params if isinstance(params, dict) else {})})  # type: ignore[reportUnknownArgumentType]
        amount = offers.cost(order, self.sandbox.now())
        if amount is None:
            raise RefusedError(self.vendor.refusal("bad_input", "No price is available for this request"))
        quote = {
            "service": "kling",
            "action": action,
            "model": model,
            "pricing_status": "available",
            "currency": "USD",
            "reservation_amount_cents": _cents(amount),
            "estimate_basis": f"{order.seconds:g} seconds",
            "as_of": _iso(self.sandbox.now()),
        }
        return JSONResponse({"price_quote": quote})

    async def register(self, exchange: Exchange) -> Response:
        source = (await self.vendor.body(exchange)).get("source")
        source = source if isinstance(source, dict) else {}  # type: ignore[reportUnknownVariableType]
        kind, address = source.get("type"), str(source.get("url", ""))  # type: ignore[reportUnknownMemberType]
        if kind == "url" and address.startswith("https://"):
            # Nothing is fetched: the file stands for its address.
            upload = self._new(exchange, address.rpartition("/")[2] or "file", 0, "", data=b"", source=address)
        elif kind == "base64" and (data := _base64(str(source.get("data", "")))):  # type: ignore[reportUnknownMemberType]
            upload = self._new(exchange, "file", len(data), "", data=data)
        else:
            raise RefusedError(self.vendor.refusal("bad_input", "source must be a url or base64 data"))
        upload = replace(upload, confirmed=True)
        self.sandbox.store.put_upload(upload)
        return JSONResponse(self._told(exchange, upload), 201)

    async def prepare(self, exchange: Exchange) -> Response:
        body = await self.vendor.body(exchange)
        name, size, checksum = body.get("filename"), body.get("byte_size"), body.get("checksum")
        if not (isinstance(name, str) and name and isinstance(checksum, str) and checksum):
            raise RefusedError(self.vendor.refusal("bad_input", "filename and checksum are required"))
        if not isinstance(size, int) or not 0 < size <= UPLOAD_LIMIT:
            raise RefusedError(self.vendor.refusal("bad_input", "byte_size is missing or too large"))
        upload = self._new(exchange, name, size, checksum, data=None)
        self.sandbox.store.put_upload(upload)
        base = str(exchange.request.base_url).rstrip("/")
        headers = {"Content-MD5": checksum, "Content-Type": _type(name)}
        address = f"{base}/{self.vendor.name}/uploads/{upload.id}"
        return JSONResponse({"signed_id": upload.id, "upload_url": address, "headers": headers})

    async def receive(self, exchange: Exchange) -> Response:
        upload = self._upload(str(exchange.request.path_params["id"]))
        if "authorization" in exchange.request.headers:
            return JSONResponse({"error": "Only one authorization mechanism is allowed"}, 400)
        data = await read(exchange.request)
        digest = base64.b64encode(md5(data, usedforsecurity=False).digest()).decode()
        if upload.data is not None or len(data) != upload.size or digest != upload.checksum:
            return JSONResponse({"error": "The upload does not match what was prepared"}, 422)
        self.sandbox.store.put_upload(replace(upload, data=data))
        return Response(status_code=204)

    async def confirm(self, exchange: Exchange) -> Response:
        upload = self._upload(str((await self.vendor.body(exchange)).get("signed_id", "")))
        if upload.data is None or upload.account != exchange.account:
            raise RefusedError(self.vendor.refusal("bad_input", "Nothing was uploaded under this id"))
        upload = replace(upload, confirmed=True)
        self.sandbox.store.put_upload(upload)
        return JSONResponse(self._told(exchange, upload), 201)

    async def serve(self, exchange: Exchange) -> Response:
        upload = self._upload(str(exchange.request.path_params["id"]))
        return Response(upload.data or b"", media_type=_type(upload.name))

    def _upload(self, upload_id: str) -> Upload:
        upload = self.sandbox.store.upload(upload_id)
        if upload is None or self.sandbox.now() > upload.made + UPLOAD_LIFE_S:
            raise RefusedError(self.vendor.refusal("not_found", upload_id))
        return upload

    def _new(
        self, exchange: Exchange, name: str, size: int, checksum: str, *, data: bytes | None, source: str = ""
    ) -> Upload:
        return Upload(
            id=token_urlsafe(18),
            account=exchange.account,
            name=name.replace("/", "_")[:120],
            size=size,
            checksum=checksum,
            made=self.sandbox.now(),
            data=data,
            source=source,
        )

    def _told(self, exchange: Exchange, upload: Upload) -> dict[str, Any]:
        base = str(exchange.request.base_url).rstrip("/")
        return {
            "file_name": upload.name,
            "url": f"{base}/{self.vendor.name}/uploads/{upload.id}/{quote(upload.name)}",
            "size_bytes": upload.size,
            "mime_type": _type(upload.name),
            "created_at": _iso(upload.made),
            "expires_at": _iso(upload.made + UPLOAD_LIFE_S),
        }


_ACTIONS: Final = (
    "text_to_video",
    "image_to_video",
    "motion_control",
    "edit_video",
    "extend_video",
    "ai_avatar",
)


def _action(offer: Offer) -> str:
    return offer.schema.removesuffix("_request")


def _rates(offer: Offer, action: str, day: date) -> Iterator[tuple[tuple[str, str], float]]:
    """Cents per second by sound and by resolution, or by `mode` where there is no resolution."""
    order = ClipOrder(
        vendor=offer.provider,
        endpoint=action,
        vendor_model=offer.vendor_model,
        model=offer.model,
        tier=offer.tier,
        mode=offer.mode,
    )
    price = offers.price_of(order, day)
    label = offer.resolutions[0] if offer.resolutions else {"standard": "std"}.get(offer.tier, offer.tier)
    if price is not None and price.unit == "second":
        for sound, rate in (("false", price.silent), ("true", price.audio)):
            if rate is not None:
                yield (sound, label), float(rate * 100)


def _billing(rates: Mapping[tuple[str, str], float], *, by_mode: bool) -> dict[str, Any] | None:
    """What decides the rate, nested as the vendor's own price file has it."""
    if len(set(rates.values())) < 2:
        return None
    matrix: dict[str, dict[str, float]] = {}
    for (sound, label), rate in rates.items():
        matrix.setdefault(sound, {})[label] = rate
    return {"keys": ["enable_sound", "mode" if by_mode else "output_resolution"], "matrix": matrix}


def _cents(amount: Decimal) -> int:
    return int((amount * 100).to_integral_value(ROUND_CEILING))


def _base64(text: str) -> bytes | None:
    return decoded(text if text.startswith("data:") else f"data:;base64,{text}")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _type(name: str) -> str:
    return guess_type(name)[0] or "application/octet-stream"
