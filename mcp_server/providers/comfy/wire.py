"""Comfy Router's queue: Kling's own body under a model's path, looked at, collected and stopped under the request's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import Cancellation, HttpCall, HttpReply
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    mapping,
    position,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly

MODEL: Final = "kling/kling-4.0"
"""For a job whose addresses are not known."""
_ENDED: Final = "COMPLETED"
_STOPPED: Final = "cancelled"
_TOO_LATE: Final = frozenset({"cancel_refused", "already_completed"})


class Wire(StatusOnly):
    """Comfy's queue; under one key nothing is bought twice."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call."""
        return HttpCall(
            method="POST",
            path=f"/v2/models/{checked.vendor_model}/requests",
            json=_body(checked),
            headers={"Idempotency-Key": key},
            schema=checked.offer.schema,
            paid=True,
            idempotency_key=key,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The request, with the model's path as the answer's addresses have it."""
        body = accepted(self.facts, reply)
        request_id = identifier(body.get("request_id"))
        if not request_id:
            raise unreadable(self.facts, reply, "a request_id")
        found = re.search(rf"/v2/models/([\w.-]+/[\w.-]+)/requests/{re.escape(request_id)}\b", reply.text)
        return Job(id=request_id, status=text(body.get("status")), links={"model": found.group(1)} if found else {})

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look."""
        return HttpCall(method="GET", path=_path(job, "/status", offer))

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """Where it stands; completed with an error_type is a failure, or the end of one that was stopped."""
        del job
        body = accepted(self.facts, reply)
        word = status_word(self.facts, reply, body)
        state = state_of(self.facts, word)
        if state == "succeeded" and text(body.get("error_type")):
            return self._failed(word, body)
        return JobReport(
            state=state,
            status=word,
            queue_position=position(body.get("queue_position")),
            failure=failure(self.facts, _words(body) or word) if state == "failed" else None,
            needs_result=state == "succeeded",
        )

    def result(self, job: Job) -> HttpCall | None:
        """The second call: the vendor's own output, as it came."""
        return HttpCall(method="GET", path=_path(job, "", None))

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The clip, wherever Kling puts it; an error in the queue's own envelope is a failure."""
        del job
        body = accepted(self.facts, reply)
        if text(body.get("status")) == _ENDED and text(body.get("error_type")):
            return self._failed(_ENDED, body)
        return JobReport(state="succeeded", status=_ENDED, video_urls=tuple(dict.fromkeys(_clips(body))))

    def cancel(self, job: Job) -> HttpCall | None:
        """Asks to stop."""
        return HttpCall(method="PUT", path=_path(job, "/cancel", None))

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Whether it stopped: how it ended shows at the next look."""
        word = _code(mapping(reply.body), reply)
        if word in _TOO_LATE:
            return Cancellation(done=False, words=word)
        body = accepted(self.facts, reply)
        return Cancellation(done=None, words=text(body.get("status")) or f"HTTP {reply.status}")

    def _failed(self, word: str, body: Mapping[str, Any]) -> JobReport:
        code = text(body.get("error_type"))
        if code == _STOPPED:
            return JobReport(state="cancelled", status=word)
        return JobReport(state="failed", status=word, failure=failure(self.facts, _words(body) or code, code))


def accepted(facts: Provider, reply: HttpReply) -> Mapping[str, Any]:
    """The body, unless it refuses."""
    body = mapping(reply.body)
    if reply.status >= 300:
        raise refusal(facts, reply, code=_code(body, reply), words=_words(body))
    return body


def _code(body: Mapping[str, Any], reply: HttpReply) -> str:
    """Its word for the refusal; one about the key is told from one about the body."""
    found = text(body.get("error_type")) or reply.headers.get("x-comfy-error-type", "")
    about_the_key = reply.status == 422 and "idempotency" in f"{found} {_words(body)}".lower()
    return "idempotency_key_reuse" if about_the_key else found


def _words(body: Mapping[str, Any]) -> str:
    said = body.get("detail")
    if isinstance(said, list):
        rows = map(mapping, cast("list[Any]", said))
        return "; ".join(filter(None, (text(row.get("msg")) for row in rows)))
    return text(said) or text(body.get("message"))


def _path(job: Job, ending: str, offer: Offer | None) -> str:
    model = job.links.get("model") or (offer.vendor_model if offer is not None else MODEL)
    return f"/v2/models/{model}/requests/{quote(job.id, safe='')}{ending}"


def _clips(body: Mapping[str, Any]) -> Iterator[str]:
    """`outputs[]` as Kling's new routes have it, `task_result.videos[]` as its old ones do; bare, or in `data`."""
    data = body.get("data")
    rows = cast("list[Any]", data) if isinstance(data, list) else [data]
    for task in (body, *map(mapping, rows)):
        for name in (task.get("outputs"), mapping(task.get("task_result")).get("videos")):
            for made in map(mapping, cast("list[Any]", name) if isinstance(name, list) else ()):
                if text(made.get("type")) in ("", "video") and (url := address(made.get("url"))):
                    yield url


def _body(checked: CheckedRequest) -> dict[str, Any]:
    """The prompt alone, or everything in `contents`; and `settings`."""
    request = checked.request
    settings: dict[str, Any] = {"resolution": checked.resolution, "duration": checked.duration}
    if checked.aspect_ratio is not None:
        settings["aspect_ratio"] = checked.aspect_ratio
    if not request.image:
        return {"prompt": checked.prompt, "settings": settings}
    contents = [{"type": "prompt", "text": checked.prompt}, {"type": "first_frame", "url": request.image}]
    if request.end_image:
        contents.append({"type": "last_frame", "url": request.end_image})
    return {"contents": contents, "settings": settings}
