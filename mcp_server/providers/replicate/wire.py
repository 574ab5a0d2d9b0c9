"""Replicate's protocol: a prediction is ordered under its model, asked for and stopped under its id."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import quote

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Shot, shot_lengths
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers.base import Cancellation, HttpCall, HttpReply
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    mapping,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly

CLOCKS_DIFFER_S: Final = 600.0
"""How far a prediction may seem older than the order it is: the vendor's clock and ours are two."""
_FIELDS: Final[Mapping[str, str]] = {
    "negative_prompt": "negative_prompt",
    "image": "start_image",
    "end_image": "end_image",
    "video": "reference_video",
}


class Wire(StatusOnly):
    """Replicate's predictions; the answer comes at once, the clip later."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call."""
        del key  # no idempotency here
        return HttpCall(
            method="POST",
            path=f"/v1/models/{checked.vendor_model}/predictions",
            json={"input": _input(checked)},
            schema=checked.offer.schema,
            paid=True,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The prediction under its id; the addresses in the answer are not followed, ours are built from the id."""
        body = self._prediction(reply)
        return Job(id=identifier(body.get("id")), status=text(body.get("status")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look, at one route for every model."""
        del offer
        return HttpCall(method="GET", path=f"/v1/predictions/{quote(job.id, safe='')}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """How it stands; the clip is the output itself."""
        del job
        body = self._prediction(reply)
        word = status_word(self.facts, reply, body)
        state = state_of(self.facts, word)
        url = address(body.get("output"))
        return JobReport(
            state=state,
            status=word,
            video_urls=(url,) if state == "succeeded" and url else (),
            failure=failure(self.facts, text(body.get("error")) or word) if state == "failed" else None,
        )

    def find(self, order: HttpCall) -> HttpCall:
        """The account's newest predictions."""
        del order
        return HttpCall(method="GET", path="/v1/predictions")

    def read_find(self, order: HttpCall, sent_at: float, reply: HttpReply) -> tuple[Job, ...]:
        """Those of the same model with all that was ordered in them, not older than the order."""
        body = mapping(reply.body)
        rows = body.get("results")
        if reply.status >= 300 or not isinstance(rows, list):
            raise refusal(self.facts, reply, words=text(body.get("detail")))
        found = map(mapping, cast("list[Any]", rows))
        return tuple(
            Job(id=identifier(row.get("id")), status=text(row.get("status")))
            for row in found
            if identifier(row.get("id")) and _same(row, order) and _age(row, sent_at) <= CLOCKS_DIFFER_S
        )

    def cancel(self, job: Job) -> HttpCall | None:
        """Asks to stop, also while it runs."""
        return HttpCall(method="POST", path=f"/v1/predictions/{quote(job.id, safe='')}/cancel")

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Whether it stopped: what still goes on was told to."""
        word = status_word(self.facts, reply, self._prediction(reply))
        state = state_of(self.facts, word)
        over = False if state in ("succeeded", "failed") else None
        return Cancellation(done=True if state == "cancelled" else over, words=word)

    def _prediction(self, reply: HttpReply) -> Mapping[str, Any]:
        body = mapping(reply.body)
        if reply.status >= 300:
            raise refusal(self.facts, reply, words=text(body.get("detail")) or text(body.get("title")))
        if not identifier(body.get("id")):
            raise unreadable(self.facts, reply, "an id")
        return body


def _same(row: Mapping[str, Any], order: HttpCall) -> bool:
    wanted, there = mapping(mapping(order.json).get("input")), mapping(row.get("input"))
    model = order.path.removeprefix("/v1/models/").removesuffix("/predictions")
    return text(row.get("model")) == model and all(_alike(value, there.get(name)) for name, value in wanted.items())


def _alike(wanted: Any, there: Any) -> bool:
    """Whether this field is what was ordered; of bytes that went inside the order nobody says how they are shown."""
    if isinstance(wanted, list) and isinstance(there, list):
        ours, theirs = cast("list[Any]", wanted), cast("list[Any]", there)
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    return there is not None if text(wanted).startswith("data:") else wanted == there


def _age(row: Mapping[str, Any], sent_at: float) -> float:
    """How long before the order it was made, in seconds; for ever where that is not said."""
    try:
        made = datetime.fromisoformat(text(row.get("created_at")))
    except ValueError:
        return math.inf
    return sent_at - made.astimezone(UTC).timestamp()


def _input(checked: CheckedRequest) -> dict[str, Any]:
    """The model's own fields, with tier, length and sound said aloud: left out, the vendor takes others."""
    request = checked.request
    made: dict[str, Any] = {"prompt": checked.prompt, "mode": checked.offer.tier, "duration": checked.duration}
    if checked.aspect_ratio is not None:
        made["aspect_ratio"] = checked.aspect_ratio
    made["generate_audio"] = checked.audio
    made |= {theirs: getattr(request, ours) for ours, theirs in _FIELDS.items() if request.given(ours)}
    if request.references:
        made["reference_images"] = list(request.references)
    if request.video:
        made["video_reference_type"] = "feature"
    if request.shots:
        # A list, as text: the model's page.
        made["multi_prompt"] = json.dumps(_shots(request.shots, checked.duration), ensure_ascii=False)
    return made


def _shots(shots: tuple[Shot, ...], total: int | None) -> list[dict[str, Any]]:
    """Each shot with its length."""
    lengths = shot_lengths(shots, total)
    return [{"prompt": shot.prompt, "duration": s} for shot, s in zip(shots, lengths, strict=True)]
