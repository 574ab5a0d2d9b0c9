"""What RunAPI's answers have in common: refusals with a code, words and named fields; cents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from mcp_server.domain.catalog import Provider
from mcp_server.providers.base import HttpReply
from mcp_server.providers.reading import mapping, refusal, text


def accepted(facts: Provider, reply: HttpReply) -> Mapping[str, Any]:
    """The body of an accepted call; anything but a 2xx is a refusal."""
    body = mapping(reply.body)
    if not 200 <= reply.status < 300:
        raise refused(facts, reply)
    return body


def refused(facts: Provider, reply: HttpReply) -> Exception:
    """The error for an answer that says no, whatever its HTTP status."""
    body = mapping(reply.body)
    return refusal(facts, reply, code=code(body), words=words(body))


def code(body: Mapping[str, Any]) -> str:
    """The vendor's error code, inside `error` or beside it."""
    return text(mapping(body.get("error")).get("code")) or text(body.get("code"))


def words(body: Mapping[str, Any]) -> str:
    """The vendor's reason: `error` as text or as an object, and every field that `errors` names."""
    error = body.get("error")
    said = text(mapping(error).get("message")) or text(error)
    said = said or next((found for name in ("message", "detail", "msg") if (found := text(body.get(name)))), "")
    fields = {**mapping(mapping(error).get("errors")), **mapping(body.get("errors"))}
    return "; ".join(part for part in (said, *_complaints(fields)) if part)


def dollars(cents: Decimal) -> Decimal:
    """Cents as dollars, to the last part of a cent."""
    return cents.scaleb(-2)


def _complaints(fields: Mapping[str, Any]) -> Iterator[str]:
    """`{"prompt": ["is too long"]}` as `prompt: is too long`."""
    for name, found in fields.items():
        several = cast("list[Any]", found) if isinstance(found, list) else [found]
        said = ", ".join(part for part in map(text, several) if part)
        yield f"{name}: {said}" if said else name
