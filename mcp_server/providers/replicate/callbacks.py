"""Replicate's signed posts: Standard Webhooks, with the prediction in them (client 1.4.0, validateWebhook).

A post may be repeated and come out of order; the secret of an account is asked for at the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import Callback, in_body, nameless, posted, standard
from mcp_server.providers.reading import identifier, mapping, refusal, unreadable
from mcp_server.providers.replicate.wire import Wire


class Posts:
    """The prediction as it stands."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def asked(self, order: HttpCall, address: str) -> HttpCall | None:
        """As `webhook`, for the end alone."""
        return in_body(order, "webhook", address, webhook_events_filter=["completed"])

    def keys_call(self) -> HttpCall | None:
        """The account's secret."""
        return HttpCall(method="GET", path="/v1/webhooks/default/secret")

    def read_keys(self, reply: HttpReply) -> tuple[str, ...]:
        """One secret, `whsec_…`."""
        if reply.status >= 300:
            raise refusal(self.facts, reply)
        key = mapping(reply.body).get("key")
        if not isinstance(key, str) or not key:
            raise unreadable(self.facts, reply, "a key")
        return (key,)

    def read(self, headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> Callback:
        """How the prediction stands."""
        post = standard(headers, body, keys=keys, now=now)
        return replace(self.unsigned(body), id=post)

    def unsigned(self, body: bytes) -> Callback:
        """How the prediction stands."""
        task, reply = posted(body)
        job_id = identifier(task.get("id"))
        if not job_id:
            raise nameless()
        report = Wire(self.facts).read_status(Job(id=job_id), reply)
        return Callback(id=report.state, job_id=job_id, report=report)
