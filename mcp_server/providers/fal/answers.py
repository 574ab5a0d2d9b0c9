"""fal's answers: what stands in all of them, and its refusals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from mcp_server.domain.catalog import Provider
from mcp_server.providers.base import HttpReply
from mcp_server.providers.reading import mapping, refusal, text

_EMPTY_ACCOUNT = "exhausted balance"
"""How fal words an empty account, under HTTP 403 and without a code."""


def accepted(facts: Provider, reply: HttpReply) -> Mapping[str, Any]:
    """The body, unless it refuses."""
    body = mapping(reply.body)
    if reply.status >= 300:
        raise refusal(facts, reply, code=code(body, reply.headers), words=words(body))
    return body


def code(body: Mapping[str, Any], headers: Mapping[str, str]) -> str:
    """The machine's word for what went wrong: of the request, else of the model's first detail."""
    found = text(body.get("error_type")) or headers.get("x-fal-error-type", "")
    if not found:
        found = next((text(row.get("type")) for row in _details(body) if text(row.get("type"))), "")
    return "exhausted_balance" if not found and _EMPTY_ACCOUNT in words(body).lower() else found


def words(body: Mapping[str, Any]) -> str:
    """The reason: one text, or every detail with the field it is about."""
    said = text(body.get("detail")) or text(body.get("error"))
    return said or "; ".join(filter(None, map(_told, _details(body))))


def structured(body: Mapping[str, Any]) -> bool:
    """Whether it is an error as fal documents them, and not a page of some machine between."""
    return "detail" in body or "error_type" in body


def _told(row: Mapping[str, Any]) -> str:
    place = row.get("loc")
    parts = map(text, cast("list[Any]", place)) if isinstance(place, list) else ()
    return ": ".join(part for part in (".".join(filter(None, parts)), text(row.get("msg"))) if part)


def _details(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    rows = body.get("detail")
    yield from map(mapping, cast("list[Any]", rows) if isinstance(rows, list) else ())
