"""fal's models of today: each one's schema, which anybody may read, and with a key its rate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.providers import openapi
from mcp_server.providers.base import HttpCall, HttpReply, ModelToday, Told
from mcp_server.providers.fal.answers import accepted
from mcp_server.providers.reading import mapping, number, text

_RATES: Final = "/v1/models/pricing"
_SCHEMAS: Final = "/api/openapi/queue/openapi.json"
_SECONDS: Final = frozenset({"second", "seconds"})


def calls(offers: Sequence[Offer]) -> Iterable[HttpCall]:
    """Two questions for each model."""
    for model in dict.fromkeys(offer.vendor_model for offer in offers):
        about = {"endpoint_id": model}
        yield HttpCall(method="GET", host="site", path=_SCHEMAS, params=about, public=True)
        yield HttpCall(method="GET", host="platform", path=_RATES, params=about)


def read(facts: Provider, call: HttpCall, reply: HttpReply) -> Told:
    """What it takes, or what a second of it costs; of a rate nobody says for which of several variants it is."""
    model = call.params["endpoint_id"]
    if call.path == _SCHEMAS:
        if reply.status == 404:
            return Told(models=(ModelToday(vendor_model=model, there=False),))
        return Told(models=(ModelToday(vendor_model=model, takes=openapi.taken(accepted(facts, reply))),))
    rows = accepted(facts, reply).get("prices")
    for row in map(mapping, cast("list[Any]", rows) if isinstance(rows, list) else ()):
        rate = number(row.get("unit_price"))
        per_second = text(row.get("unit")).lower() in _SECONDS and text(row.get("currency")).upper() == "USD"
        if text(row.get("endpoint_id")) == model and per_second and rate is not None and rate >= 0:
            return Told(models=(ModelToday(vendor_model=model, usd_per_second=rate),))
    return Told(models=())
