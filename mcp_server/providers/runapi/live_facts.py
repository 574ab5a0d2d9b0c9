"""RunAPI's models of today, out of its list of prices; anybody may ask."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.providers.base import HttpCall, HttpReply, ModelToday, Told
from mcp_server.providers.runapi.pricing_calls import read_schedules, schedules_call


def calls(offers: Sequence[Offer]) -> Iterable[HttpCall]:
    """The whole list. What each order costs is asked by a quote."""
    del offers
    yield schedules_call()


def read(facts: Provider, call: HttpCall, reply: HttpReply) -> Told:
    """Every model it names, priced or not."""
    del call
    rows = read_schedules(facts, reply)
    models = dict.fromkeys(row.model for row in rows if row.model)
    return Told(models=tuple(ModelToday(vendor_model=model) for model in models), complete=bool(models))
