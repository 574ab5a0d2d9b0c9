"""What gateways built on the open-source new-api answer, whoever runs them: two error envelopes, two task shapes.

Sources: new-api relay_utils.go, relay_task.go, dto/task.go, dto/openai_video.go, controller/relay.go; docs.octopusx.ai.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    is_documented_refusal,
    mapping,
    percent,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly

_ACCEPTED = frozenset({"", "success"})


class Gateway(StatusOnly):
    """Such a gateway as an adapter; each vendor adds its own order."""

    def read_submit(self, reply: HttpReply) -> Job:
        """The job that was bought. `model` is not read: it comes back with a billing suffix."""
        found = answer(self.facts, reply)
        job_id = identifier(found.get("id")) or identifier(found.get("task_id"))
        if not job_id:
            raise unreadable(self.facts, reply, "an id")
        return Job(id=job_id, status=text(found.get("status")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look, at one route for every offer."""
        del offer
        return HttpCall(method="GET", path=f"/v1/videos/{quote(job.id, safe='')}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """How the job stands; `unknown` is a word of its own here and keeps it going."""
        del job
        found = answer(self.facts, reply)
        word = status_word(self.facts, reply, found)
        state = state_of(self.facts, word)
        error = mapping(found.get("error"))
        code = text(error.get("code"))
        words = text(error.get("message")) or text(found.get("error")) or text(found.get("fail_reason")) or code or word
        return JobReport(
            state=state,
            status=word,
            progress=percent(found.get("progress")),
            video_urls=_address(found) if state == "succeeded" else (),
            failure=failure(self.facts, words, code) if state == "failed" else None,
        )


def answer(facts: Provider, reply: HttpReply) -> Mapping[str, Any]:
    """The task in an accepted answer: bare, or inside `{"code": "success", "data": …}`."""
    body = mapping(reply.body)
    code, words = said(body)
    data = mapping(body.get("data"))
    if reply.status < 400 and _names_a_task(body):
        # A failed job carries an `error` of its own; with an id beside it that is no refusal.
        return body
    accepted = reply.status < 400 and body.get("success") is not False
    if accepted and data and text(body.get("code")) in _ACCEPTED:
        return data
    if _names_a_task(data) and not is_documented_refusal(facts, code, reply.status):
        return data
    if not accepted or code not in _ACCEPTED or body.get("error"):
        raise refusal(facts, reply, code=code, words=words)
    raise unreadable(facts, reply, "a task")


def said(body: Mapping[str, Any]) -> tuple[str, str]:
    """Code and words of a refusal: `{"code", "message", "data": null}` or `{"error": {"message", "type", "code"}}`."""
    error = mapping(body.get("error"))
    code = text(error.get("code")) or text(error.get("type")) or text(body.get("code"))
    words = text(error.get("message")) or text(body.get("message")) or text(body.get("error"))
    return code, words


def _names_a_task(body: Mapping[str, Any]) -> bool:
    return bool(text(body.get("id")) or text(body.get("task_id")))


def _address(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The one clip, wherever this build puts its address."""
    places = (
        found.get("video_url"),
        mapping(found.get("metadata")).get("url"),
        found.get("result_url"),
        found.get("url"),
        # Old records of the alternate route keep the address of a success here.
        found.get("fail_reason"),
    )
    return next(((url,) for place in places if (url := address(place))), ())
