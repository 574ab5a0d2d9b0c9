"""fal's queue: ordered under the model's path, looked at and stopped under the addresses of the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Shot, native_option, shot_lengths
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import Cancellation, HttpCall, HttpReply
from mcp_server.providers.fal.answers import accepted, code, structured, words
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    mapping,
    position,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly

APP: Final = "fal-ai/kling-video"
"""Owner and app of nearly all of these models, for a job whose addresses are not known."""
_LINKS: Final[Mapping[str, str]] = {"status": "status_url", "result": "response_url", "cancel": "cancel_url"}
_ENDINGS: Final[Mapping[str, str]] = {"status": "/status", "result": "", "cancel": "/cancel"}
_STOPPED: Final = "client_cancelled"
_STOPS: Final[Mapping[str, bool | None]] = {"ok": True, "cancellation_requested": None, "already_completed": False}
"""What it says to a wish to stop: fal.ai/docs/inference-api/queue/cancel."""


class Wire(StatusOnly):
    """fal's queue by plain HTTP: one submit, whatever becomes of its answer."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call; fal is told not to run it a second time by itself."""
        del key  # no idempotency here
        return HttpCall(
            method="POST",
            path=f"/{checked.vendor_model}",
            json=_body(checked),
            headers={"x-fal-no-retry": "1"},
            schema=checked.offer.schema,
            paid=True,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The job with the paths of its three addresses, which are not those it was ordered under."""
        body = accepted(self.facts, reply)
        request_id = identifier(body.get("request_id"))
        if not request_id:
            raise unreadable(self.facts, reply, "a request_id")
        named = {name: _path_in(address(body.get(field)), request_id, name) for name, field in _LINKS.items()}
        links = {name: path for name, path in named.items() if path}
        return Job(id=request_id, status=text(body.get("status")), links=links)

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look."""
        return HttpCall(method="GET", path=_path(job, "status", offer))

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """Where it stands; completed with an error is a failure, or the end of one that was stopped."""
        del job
        body = accepted(self.facts, reply)
        word = status_word(self.facts, reply, body)
        state = state_of(self.facts, word)
        if state == "failed" or (state == "succeeded" and (body.get("error") or body.get("error_type"))):
            return self._failed(word, body)
        return JobReport(
            state=state,
            status=word,
            queue_position=position(body.get("queue_position")),
            needs_result=state == "succeeded",
        )

    def result(self, job: Job) -> HttpCall | None:
        """The second call, for the clip's address."""
        return HttpCall(method="GET", path=_path(job, "result", None))

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The clip; a model's own error comes here under its HTTP status."""
        del job
        body = mapping(reply.body)
        if (reply.status in (400, 422, 499) or reply.status >= 500) and structured(body):
            return self._failed("COMPLETED", body, reply.headers)
        body = accepted(self.facts, reply)
        url = address(mapping(body.get("video")).get("url"))
        return JobReport(state="succeeded", status="COMPLETED", video_urls=(url,) if url else ())

    def cancel(self, job: Job) -> HttpCall | None:
        """Asks to stop: what waits is removed, what runs gets a signal."""
        return HttpCall(method="PUT", path=_path(job, "cancel", None))

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Whether it stopped, as far as fal knows it itself."""
        word = text(mapping(reply.body).get("status"))
        if word.lower() in _STOPS:
            return Cancellation(done=_STOPS[word.lower()], words=word)
        accepted(self.facts, reply)
        raise unreadable(self.facts, reply, "a word on whether it stopped")

    def _failed(self, word: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> JobReport:
        found = code(body, headers or {})
        if found == _STOPPED:
            return JobReport(state="cancelled", status=word)
        return JobReport(state="failed", status=word, failure=failure(self.facts, words(body) or found, found))


def _path(job: Job, what: str, offer: Offer | None) -> str:
    app = APP if offer is None else "/".join(offer.vendor_model.split("/")[:2])
    return job.links.get(what) or f"/{app}/requests/{quote(job.id, safe='')}{_ENDINGS[what]}"


def _path_in(url: str, request_id: str, what: str) -> str:
    """The path in an address of the answer: only where it leads to this very request, and never to another host."""
    wanted = re.escape(f"/requests/{quote(request_id, safe='')}{_ENDINGS[what]}")
    found = re.search(rf"\Ahttps?://[^?#]*?(/[\w.-]+/[\w.-]+{wanted})\Z", url)
    return found.group(1) if found else ""


def _body(checked: CheckedRequest) -> dict[str, Any]:
    """The endpoint's input, with length and sound said aloud; `wire` in offers.toml says where the rest goes."""
    request, way = checked.request, checked.offer.wire
    body: dict[str, Any] = {"prompt": checked.prompt} if checked.prompt and not request.shots else {}
    if request.shots:
        body["multi_prompt"] = _shots(request.shots, checked.duration)
        body |= way.get("with_shots", {})
    if checked.duration is not None:
        body["duration"] = checked.duration if way.get("whole_seconds") else str(checked.duration)
    if checked.aspect_ratio is not None:
        body["aspect_ratio"] = checked.aspect_ratio
    if checked.offer.audio == "choice":
        body["generate_audio"] = checked.audio
    for ours, theirs in way.get("names", {}).items():
        if request.given(ours):
            value = list(request.references) if ours == "references" else getattr(request, ours)
            body[theirs] = [value] if ours in way.get("lists", ()) else value
    for name in ("negative_prompt", "cfg_scale"):
        if request.given(name):
            body[name] = getattr(request, name)
    unsaid = {
        name: value
        for name, value in way.get("unless_given", {}).items()
        if native_option(request.options, name) is None
    }
    return body | way.get("fixed", {}) | unsaid


def _shots(shots: tuple[Shot, ...], total: int | None) -> list[dict[str, str]]:
    """Each shot with its length."""
    lengths = shot_lengths(shots, total)
    return [{"prompt": shot.prompt, "duration": str(s)} for shot, s in zip(shots, lengths, strict=True)]
