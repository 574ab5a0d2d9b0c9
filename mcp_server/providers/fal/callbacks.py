"""fal's signed posts: Ed25519 over four lines, held against the keys fal publishes (docs, inference/webhooks).

The lines are the request, the user, the time in seconds and the SHA-256 of the body in hexadecimal digits. Posts are
repeated ten times in two hours, and its keys may be kept for a day. `IN_QUEUE` is posted, too, where both are wanted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import JobReport
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import (
    Callback,
    ForgedCallbackError,
    check_fresh,
    check_public_key,
    lower,
    nameless,
    posted,
    said,
)
from mcp_server.providers.fal.answers import accepted, words
from mcp_server.providers.reading import address, failure, identifier, mapping, text, unreadable

_HEADERS = tuple(f"x-fal-webhook-{name}" for name in ("request-id", "user-id", "timestamp", "signature"))


class Posts:
    """The end of a request: the model's output, or what went wrong."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def asked(self, order: HttpCall, address: str) -> HttpCall | None:
        """With `fal_webhook` in the query."""
        return replace(order, params={**order.params, "fal_webhook": address})

    def keys_call(self) -> HttpCall | None:
        """The public keys; anybody may ask."""
        return HttpCall(method="GET", host="rest", path="/.well-known/jwks.json", public=True)

    def read_keys(self, reply: HttpReply) -> tuple[str, ...]:
        """Every Ed25519 key."""
        rows = accepted(self.facts, reply).get("keys")
        found = map(mapping, cast("list[Any]", rows) if isinstance(rows, list) else ())
        keys = tuple(text(row.get("x")) for row in found if row.get("crv") == "Ed25519" and text(row.get("x")))
        if not keys:
            raise unreadable(self.facts, reply, "an Ed25519 key")
        return keys

    def read(self, headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> Callback:
        """The ended request; which account of fal's it is about, the job says."""
        request, user, stamp, signature = said(lower(headers), *_HEADERS)
        lines = "\n".join((request, user, stamp, hashlib.sha256(body).hexdigest()))
        check_public_key(lines.encode("utf-8", "surrogateescape"), _bytes(signature), keys)
        check_fresh(stamp, now)
        found = self.unsigned(body)
        # A post has no id of its own: what it says of which try, which a repeated post says again.
        return replace(found, id=f"{request} {found.report.status}")

    def unsigned(self, body: bytes) -> Callback:
        """The ended request."""
        task, _ = posted(body)
        job_id = identifier(task.get("request_id"))
        if not job_id:
            raise nameless()
        report = self._report(task)
        return Callback(id=report.state, job_id=job_id, report=report)

    def _report(self, task: Mapping[str, Any]) -> JobReport:
        word, output = text(task.get("status")), mapping(task.get("payload"))
        if word == "OK":
            url = address(mapping(output.get("video")).get("url"))
            # Without an address (payload_error) the second call fetches it.
            return JobReport(state="succeeded", status=word, video_urls=(url,) if url else (), needs_result=not url)
        if word == "ERROR":
            reason = words(output) or text(task.get("error")) or word
            return JobReport(state="failed", status=word, failure=failure(self.facts, reason))
        return JobReport(state="unknown", status=word)


def _bytes(signature: str) -> bytes:
    try:
        return bytes.fromhex(signature)
    except ValueError:
        raise ForgedCallbackError("A callback's signature is no hexadecimal text") from None
