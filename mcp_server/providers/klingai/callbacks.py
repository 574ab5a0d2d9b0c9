"""Kling's signed posts to a `callback_url`: Standard Webhooks, one at every change of a task (D9).

The new routes post the task object that `GET /tasks` lists; the legacy ones `task_id`, `task_status`, `task_result`.
How often a post is repeated is not documented. Without a secret in the console posts are unsigned and prove nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from mcp_server.domain.catalog import Provider
from mcp_server.domain.task import Job
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.callbacks import Callback, in_body, nameless, posted, standard
from mcp_server.providers.klingai import legacy
from mcp_server.providers.klingai.wire import Wire
from mcp_server.providers.reading import identifier, mapping, unreadable


class Posts:
    """The task as it stands, in Kling's own words."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def asked(self, order: HttpCall, address: str) -> HttpCall | None:
        """As `callback_url`, in `options` on the new routes and beside the rest on the legacy ones (D2, D4)."""
        if legacy.own_id(order):
            return in_body(order, "callback_url", address)
        options = mapping(mapping(order.json).get("options"))
        if "callback_url" in options:
            return None
        return replace(order, json={**order.json, "options": {**options, "callback_url": address}})

    def keys_call(self) -> HttpCall | None:
        """None: the secret stands in the vendor's console."""
        return None

    def read_keys(self, reply: HttpReply) -> tuple[str, ...]:
        """Never asked for."""
        raise unreadable(self.facts, reply, "any key")

    def read(self, headers: Mapping[str, str], body: bytes, *, keys: Sequence[str], now: float) -> Callback:
        """How the task stands; two secrets may hold for a week, while one is replaced."""
        post = standard(headers, body, keys=keys, now=now)
        return replace(self.unsigned(body), id=post)

    def unsigned(self, body: bytes) -> Callback:
        """How the task stands."""
        task, reply = posted(body)
        job_id = identifier(task.get("id")) or identifier(task.get("task_id"))
        if not job_id:
            raise nameless()
        report = Wire(self.facts).read_posted(Job(id=job_id), task, reply)
        return Callback(id=report.state, job_id=job_id, report=report)
