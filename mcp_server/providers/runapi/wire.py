"""RunAPI's protocol: one endpoint per kind of work, one word list for all, the clip's address in the status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Shot, VideoRequest, native_option, shot_lengths
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import Balance, HttpCall, HttpReply
from mcp_server.providers.reading import address, failure, identifier, mapping, number, state_of, text, unreadable
from mcp_server.providers.runapi.answers import accepted, code, dollars, refused, words
from mcp_server.providers.status_only import StatusOnly

BASE: Final = "/api/v1/kling"
_FIELDS: Final[Mapping[str, str]] = {
    "negative_prompt": "negative_prompt",
    "cfg_scale": "cfg_scale",
    "image": "first_frame_image_url",
    "end_image": "last_frame_image_url",
    "references": "reference_image_urls",
    "video": "reference_video_url",
    "audio_file": "source_audio_url",
    "source_task": "source_task_id",
}
"""Where an input goes, unless the offer's `names` says otherwise: RunAPI contract v0.12.0."""
_OTHER_CENTS: Final[Mapping[str, str]] = {
    "paid_usd": "paid_balance_cents",
    "bonus_usd": "bonus_balance_cents",
    "spent_today_usd": "spent_cents_today",
    "spent_total_usd": "spent_cents_total",
}


class Wire(StatusOnly):
    """RunAPI's Kling service: six actions, and a repeat under one key buys nothing new."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call. Under the same key it may be repeated: the vendor knows the order again."""
        way = _way(checked)
        return HttpCall(
            method="POST",
            path=f"{BASE}/{way['action']}",
            json=_body(checked, way),
            headers={"Idempotency-Key": key},
            schema=way["schema"],
            paid=True,
            idempotency_key=key,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The task, under whichever name it came."""
        body = self._task(reply)
        task_id = identifier(body.get("id")) or identifier(body.get("task_id"))
        if not task_id:
            raise self._without(reply, body, "an id")
        return Job(id=task_id, status=_word(body))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look, at the endpoint that took the order."""
        # Which of an offer's two endpoints took it is not known here, nor where an offer went that is sold no more;
        # the vendor's own client also asks without naming one (mcp-core getTask).
        way = "" if offer is None or "with_source" in offer.wire else f"/{offer.wire['action']}"
        return HttpCall(method="GET", path=f"{BASE}{way}/{quote(job.id, safe='')}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """How it stands: the clip's address and the cost when it is done, the vendor's words when it failed."""
        del job
        body = self._task(reply)
        word = _word(body)
        if not word:
            raise self._without(reply, body, "a status")
        state = state_of(self.facts, word)
        cost = number(mapping(body.get("usage")).get("cost"))
        return JobReport(
            state=state,
            status=word,
            video_urls=_addresses(body.get("videos")) if state == "succeeded" else (),
            failure=failure(self.facts, words(body) or word, code(body)) if state == "failed" else None,
            charged=cost if cost is not None and cost >= 0 else None,
        )

    def balance(self) -> HttpCall | None:
        """What is left on the account."""
        return HttpCall(method="GET", path="/api/v1/me/balance")

    def read_balance(self, reply: HttpReply) -> Balance:
        """Dollars, from cents; what was paid in, given and spent stands in the details."""
        body = accepted(self.facts, reply)
        cents = number(body.get("balance_cents"))
        if cents is None:
            raise unreadable(self.facts, reply, "balance_cents")
        others = {ours: number(body.get(theirs)) for ours, theirs in _OTHER_CENTS.items()}
        details = {name: str(dollars(value)) for name, value in others.items() if value is not None}
        return Balance(amount=dollars(cents), currency="USD", details=details)

    def _without(self, reply: HttpReply, body: Mapping[str, Any], missing: str) -> Exception:
        """The error for a 2xx that lacks what it must have: a refusal when it gives a reason."""
        return refused(self.facts, reply) if words(body) else unreadable(self.facts, reply, missing)

    def _task(self, reply: HttpReply) -> Mapping[str, Any]:
        """The task in an answer, also where it is wrapped in `data` (mcp-core task.ts)."""
        body = accepted(self.facts, reply)
        bare = any(name in body for name in ("id", "task_id", "status", "state"))
        return body if bare else mapping(body.get("data")) or body


def _word(body: Mapping[str, Any]) -> str:
    return text(body.get("status")) or text(body.get("state"))


def _addresses(videos: Any) -> tuple[str, ...]:
    rows = cast("list[Any]", videos) if isinstance(videos, list) else []
    found = (address(mapping(row).get("url")) for row in rows)
    return tuple(dict.fromkeys(url for url in found if url))


def _way(checked: CheckedRequest) -> Mapping[str, Any]:
    """The offer's constants, with those of the other endpoint where the order starts from a clip."""
    offer, request = checked.offer, checked.request
    way: dict[str, Any] = {"schema": offer.schema, **offer.wire}
    if request.given("video") or request.given("source_task"):
        way |= offer.wire.get("with_source", {})
    return way


def _body(checked: CheckedRequest, way: Mapping[str, Any]) -> dict[str, Any]:
    """The order, with length, sound and resolution said aloud wherever the model has the field."""
    request = checked.request
    body: dict[str, Any] = {} if way.get("nameless") else {"model": checked.vendor_model}
    said = {
        "prompt": checked.prompt or None,
        "duration_seconds": checked.duration,
        "aspect_ratio": checked.aspect_ratio,
        "output_resolution": checked.resolution,
        "enable_sound": checked.audio,
    }
    body |= {name: value for name, value in said.items() if value is not None}
    for ours, theirs in {**_FIELDS, **way.get("names", {})}.items():
        if request.given(ours):
            body[theirs] = list(request.references) if ours == "references" else getattr(request, ours)
    if request.shots:
        body["multi_prompt"] = _shots(request.shots, checked.duration)
    return body | _constants(request, way)


def _constants(request: VideoRequest, way: Mapping[str, Any]) -> dict[str, Any]:
    """What `offers.toml` puts into this order besides the caller's wishes."""
    constants = dict(way.get("fixed", {}))
    if request.shots:
        constants |= way.get("with_shots", {})
    if request.given("video"):
        constants |= way.get("with_video", {})
    replaceable: Mapping[str, Any] = way.get("unless_given", {})
    return constants | {
        name: value for name, value in replaceable.items() if native_option(request.options, name) is None
    }


def _shots(shots: tuple[Shot, ...], total: int | None) -> list[dict[str, Any]]:
    """Each shot with its length."""
    lengths = shot_lengths(shots, total)
    return [{"prompt": shot.prompt, "duration_seconds": s} for shot, s in zip(shots, lengths, strict=True)]
