"""Replicate's signed posts: Standard Webhooks, with the prediction in them (client 1.4.0, validateWebhook).

A post may be repeated and come out of order; the secret of an account is asked for at the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import Callback, nameless, posted, standard
from mcp_server.providers.reading import identifier, mapping, refusal, unreadable
from mcp_server.providers.replicate.wire import Wire


class Posts:
    """The prediction as it stands."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

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
        task, reply = posted(body)
        job_id = identifier(task.get("id"))
        if not job_id:
            raise nameless()
        return Callback(id=post, job_id=job_id, report=Wire(self.facts).read_status(Job(id=job_id), reply))
