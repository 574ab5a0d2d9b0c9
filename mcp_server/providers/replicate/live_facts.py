"""Replicate's models of today: each with the schema of its newest version. It tells no prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.providers import openapi
from mcp_server.providers.base import HttpCall, HttpReply, ModelToday, Told
from mcp_server.providers.reading import mapping, refusal, text

_PATH = "/v1/models/"


def calls(offers: Sequence[Offer]) -> Iterable[HttpCall]:
    """One question for each model."""
    for model in dict.fromkeys(offer.vendor_model for offer in offers):
        yield HttpCall(method="GET", path=f"{_PATH}{model}")


def read(facts: Provider, call: HttpCall, reply: HttpReply) -> Told:
    """Whether it is there, and what it takes."""
    model = call.path.removeprefix(_PATH)
    if reply.status == 404:
        return Told(models=(ModelToday(vendor_model=model, there=False),))
    body = mapping(reply.body)
    if reply.status >= 300:
        raise refusal(facts, reply, words=text(body.get("detail")))
    takes = openapi.taken(mapping(mapping(body.get("latest_version")).get("openapi_schema")))
    return Told(models=(ModelToday(vendor_model=model, takes=takes, within="input"),))
