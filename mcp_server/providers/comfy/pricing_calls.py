"""Comfy Router's live prices: what this very body would cost today; nothing is sent on and nothing is charged."""

from __future__ import annotations

from mcp_server.domain.catalog import Provider
from mcp_server.providers.base import HttpCall, HttpReply, LiveQuote
from mcp_server.providers.comfy.wire import accepted
from mcp_server.providers.reading import number, text, unreadable


def quote_call(order: HttpCall) -> HttpCall:
    """The question: the same body at the same model."""
    return HttpCall(
        method="POST", path=f"{order.path.removesuffix('/requests')}/estimate", json=order.json, schema=order.schema
    )


def read_quote(facts: Provider, reply: HttpReply) -> LiveQuote:
    """Today's sum; the upper end where it is estimated, and none where it is unknown."""
    body = accepted(facts, reply)
    basis = text(body.get("source"))
    if not basis:
        raise unreadable(facts, reply, "how sure it is")
    amount = number(body.get("amount")) if basis == "exact" else number(body.get("max_amount"))
    known = basis in ("exact", "estimated") and amount is not None and amount >= 0
    return LiveQuote(usd=amount if known else None, basis=basis, as_of=text(body.get("pricing_as_of")))
