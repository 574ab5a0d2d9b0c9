"""Comfy Router's models of today: its catalog, and each one's schema. What an order costs is asked by an estimate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, cast

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.providers import openapi
from mcp_server.providers.base import HttpCall, HttpReply, ModelToday, Told
from mcp_server.providers.comfy.wire import accepted
from mcp_server.providers.reading import mapping, text

_PATH: Final = "/v2/models/"
_DOCUMENT: Final = "/openapi.json"
_MAKER: Final = "kling/"


def calls(offers: Sequence[Offer]) -> Iterable[HttpCall]:
    """The catalog's first page, which is the longest it gives, and a question for each model."""
    yield HttpCall(method="GET", path="/v2/models", params={"limit": "100"})
    for model in dict.fromkeys(offer.vendor_model for offer in offers):
        yield HttpCall(method="GET", path=f"{_PATH}{model}{_DOCUMENT}")


def read(facts: Provider, call: HttpCall, reply: HttpReply) -> Told:
    """Kling's models of the catalog, or one model with what it takes."""
    if call.path.endswith(_DOCUMENT):
        model = call.path.removeprefix(_PATH).removesuffix(_DOCUMENT)
        if reply.status == 404:
            return Told(models=(ModelToday(vendor_model=model, there=False),))
        return Told(models=(ModelToday(vendor_model=model, takes=openapi.taken(accepted(facts, reply))),))
    body = accepted(facts, reply)
    rows = body.get("data")
    found = (text(mapping(row).get("id")) for row in (cast("list[Any]", rows) if isinstance(rows, list) else ()))
    models = tuple(ModelToday(vendor_model=model) for model in found if model.startswith(_MAKER))
    return Told(models=models, complete=bool(models) and body.get("has_more") is False)
