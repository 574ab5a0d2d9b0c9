"""kling3api.com: one flat body whose `type` says everything; status by query string."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    is_documented_refusal,
    mapping,
    number,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly

_ACCEPTED = "200"
"""The `code` of an accepted call; refusals can ride on HTTP 200 with another one."""


class Wire(StatusOnly):
    """kling3api.com: one route to order, where `type` says tier and mode, and one to look."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:  # noqa: ARG002 - no idempotency here
        """The order; `sound` and `duration` are always said, because they are what is billed."""
        request = checked.request
        body = {
            "type": checked.vendor_model,
            "prompt": checked.prompt,
            "duration": checked.duration,
            "aspect_ratio": checked.aspect_ratio,
            "image": request.image,
            "end_image": request.end_image,
            "images": list(request.references) or None,
            "video": request.video,
            "sound": checked.audio,
            "negative_prompt": request.negative_prompt,
            "cfg_scale": request.cfg_scale,
        }
        return HttpCall(
            method="POST",
            path="/api/generate",
            json={name: value for name, value in body.items() if value is not None},
            schema=checked.offer.schema,
            paid=True,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The job, and what it cost: the charge is made here."""
        data = self._data(reply)
        job_id = identifier(data.get("task_id"))
        if not job_id:
            raise unreadable(self.facts, reply, "a task_id")
        return Job(id=job_id, status=text(data.get("status")), charged=number(data.get("consumed_credits")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:  # noqa: ARG002 - one route for every offer
        """One look; the id is a query parameter, not a path."""
        return HttpCall(method="GET", path="/api/status", params={"task_id": job.id})

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:  # noqa: ARG002 - the answer stands alone
        """How the job stands; a word nobody published keeps it going."""
        data = self._data(reply)
        word = status_word(self.facts, reply, data)
        state = state_of(self.facts, word)
        words = text(data.get("error_message"))
        return JobReport(
            state=state,
            status=word,
            video_urls=_addresses(data.get("response")) if state == "succeeded" else (),
            failure=failure(self.facts, words or word) if state == "failed" else None,
            charged=number(data.get("consumed_credits")),
        )

    def _data(self, reply: HttpReply) -> Mapping[str, Any]:
        """The `data` of an accepted answer; one that names a task is accepted, unless its code is a known refusal."""
        body = mapping(reply.body)
        nested = mapping(body.get("error"))
        code = text(body.get("code")) or text(nested.get("code"))
        data = mapping(body.get("data"))
        named = bool(text(data.get("task_id"))) and not is_documented_refusal(self.facts, code, reply.status)
        if reply.status >= 400 or (code not in ("", _ACCEPTED) and not named):
            words = text(body.get("message")) or text(nested.get("message")) or text(body.get("error"))
            raise refusal(self.facts, reply, code="" if code == _ACCEPTED else code, words=words)
        if not data:
            raise unreadable(self.facts, reply, "`data`")
        return data


def _addresses(found: Any) -> tuple[str, ...]:
    """A list, `{"resultUrls": […]}` or one string: all three are in use among clients of this engine."""
    inner: Any = mapping(found).get("resultUrls", found)
    several = cast("list[Any]", inner) if isinstance(inner, list) else [inner]
    return tuple(url for url in map(address, several) if url)
