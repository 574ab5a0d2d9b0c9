"""RunAPI's live prices: the list as it is today, and what it would set aside for one order. Neither costs anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, cast

from mcp_server.domain.catalog import Provider
from mcp_server.providers.base import HttpCall, HttpReply, LiveQuote
from mcp_server.providers.reading import mapping, number, text, unreadable
from mcp_server.providers.runapi.answers import accepted, dollars
from mcp_server.providers.runapi.wire import BASE

SERVICE: Final = "kling"
AVAILABLE: Final = "available"
"""The `pricing_status` of something that has a price (runapi-core 0.10.1 tests)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """One row of the price list: one endpoint and model."""

    action: str
    model: str
    available: bool
    unit: str
    """Per what, in the vendor's word; empty when it does not say."""
    as_of: str
    cents: Decimal | None
    """The price when no field of the order decides it."""
    keys: tuple[str, ...] = ()
    """Fields of the order that decide the price, outermost first."""
    table: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Cents by the values of those fields, nested in their order."""

    def rate_usd(self, body: Mapping[str, Any]) -> Decimal | None:
        """Dollars per unit for this order; None when the list has no number for exactly this."""
        if not self.available:
            return None
        found: Any = self.table if self.keys else self.cents
        for key in self.keys:
            found = mapping(found).get(_written(body.get(key)))
        cents = number(found)
        return None if cents is None or cents < 0 else dollars(cents)


def schedules_call(*, action: str = "", model: str = "") -> HttpCall:
    """Today's list, whole or for one endpoint and model."""
    wanted = {"service": SERVICE, "action": action, "model": model}
    return HttpCall(
        method="GET",
        path="/api/v1/price_schedules",
        params={name: value for name, value in wanted.items() if value},
        public=True,
    )


def read_schedules(facts: Provider, reply: HttpReply) -> tuple[Schedule, ...]:
    """Every row that is about Kling in dollars; fields nobody published are left alone."""
    body = accepted(facts, reply)
    rows = body.get("price_schedules")
    if not isinstance(rows, list):
        raise unreadable(facts, reply, "price_schedules")
    as_of = text(body.get("as_of"))
    found = map(mapping, cast("list[Any]", rows))
    return tuple(
        _schedule(row, as_of)
        for row in found
        if text(row.get("service")) == SERVICE and text(row.get("currency")) == "USD"
    )


def quote_call(order: HttpCall) -> HttpCall:
    """What this very order would cost. `order` is the paid call as it would go out."""
    params = dict(mapping(order.json))
    model = text(params.pop("model", ""))
    action = order.path.removeprefix(f"{BASE}/")
    body = {"service": SERVICE, "action": action, "model": model, "params": params}
    return HttpCall(
        method="POST",
        path="/api/v1/price_quotes",
        json={name: value for name, value in body.items() if value != ""},
        schema="price_quote_request",
        # About somebody's earlier task only its owner is told.
        public="source_task_id" not in params,
    )


def read_quote(facts: Provider, reply: HttpReply) -> LiveQuote:
    """Today's sum in dollars, or that there is none."""
    body = accepted(facts, reply)
    quote = mapping(body.get("price_quote"))
    status, currency = text(quote.get("pricing_status")), text(quote.get("currency"))
    if not status:
        raise unreadable(facts, reply, "a price_quote")
    cents = number(quote.get("reservation_amount_cents"))
    priced = status == AVAILABLE and currency == "USD" and cents is not None and cents >= 0
    return LiveQuote(
        usd=dollars(cents) if priced and cents is not None else None,
        basis=text(quote.get("estimate_basis")),
        as_of=text(quote.get("as_of")),
    )


def _schedule(row: Mapping[str, Any], as_of: str) -> Schedule:
    config = mapping(row.get("billing_config"))
    several = config.get("keys")
    keys = [text(key) for key in cast("list[Any]", several)] if isinstance(several, list) else []
    one = text(config.get("key"))
    return Schedule(
        action=text(row.get("action")),
        model=text(row.get("model")),
        available=text(row.get("pricing_status")) == AVAILABLE,
        unit=text(row.get("billing_unit")),
        as_of=as_of,
        cents=number(row.get("unit_price_cents")),
        keys=tuple(keys) or ((one,) if one else ()),
        table=mapping(config.get("matrix")) if keys else mapping(config.get("overrides")),
    )


def _written(value: Any) -> str:
    """A value as the list writes it: `true`, `1080p`."""
    return str(value).lower() if isinstance(value, bool) else text(value)
