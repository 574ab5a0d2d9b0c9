"""RunAPI's signed posts to a `callback_url`.

Signed is `id.timestamp.body`, by HMAC-SHA256 with the base64-decoded secret, written in base64 (earlier RunAPI kling
skill). The vendor wants a 2xx within 10 seconds and may post the same id again, so a receiver remembers ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import (
    Callback,
    check_fresh,
    check_shared_secret,
    in_body,
    lower,
    nameless,
    posted,
    said,
    secret_key,
)
from mcp_server.providers.reading import identifier, unreadable
from mcp_server.providers.runapi.wire import Wire


class Posts:
    """One post when a task has ended, with the task in it."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def asked(self, order: HttpCall, address: str) -> HttpCall | None:
        """As `callback_url` (contract v0.12.0)."""
        return in_body(order, "callback_url", address)

    def keys_call(self) -> HttpCall | None:
        """None: the secret stands in the vendor's console."""
        return None

    def read_keys(self, reply: HttpReply) -> tuple[str, ...]:
        """Never asked for."""
        raise unreadable(self.facts, reply, "any key")

    def read(self, headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> Callback:
        """The finished task."""
        post, stamp, signature = said(lower(headers), "x-callback-id", "x-callback-timestamp", "x-callback-signature")
        signed = b".".join((post.encode("utf-8", "surrogateescape"), stamp.encode("utf-8", "surrogateescape"), body))
        check_shared_secret(signed, [signature], [secret_key(key) for key in keys])
        check_fresh(stamp, now)
        return replace(self.unsigned(body), id=post)

    def unsigned(self, body: bytes) -> Callback:
        """The finished task."""
        task, reply = posted(body)
        job_id = identifier(task.get("id"))
        if not job_id:
            raise nameless()
        report = Wire(self.facts).read_status(Job(id=job_id), reply)
        return Callback(id=report.state, job_id=job_id, report=report)
