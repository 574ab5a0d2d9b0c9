"""RunComfy's protocol: order by endpoint, look by request id, then fetch the result with its cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast
from urllib.parse import quote

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport, VendorFailure
from mcp_server.providers.base import Balance, Cancellation, HttpCall, HttpReply
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    is_documented_refusal,
    mapping,
    number,
    position,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)

_WORDS: Final = ("error_message", "message", "error", "detail")
_CLIPS_MAX: Final = 100
"""Of one answer; one is ordered."""
"""Where a reason may stand, the most telling first: runcomfy-mcp runcomfy_client.py."""


class Wire:
    """RunComfy's Model API: ordered under the model's path, looked at under the request's."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call. Length and sound are always said: left out, the vendor takes the dear ones."""
        del key  # no idempotency here
        return HttpCall(
            method="POST",
            path=f"/v1/models/{checked.vendor_model}",
            json=_body(checked),
            schema=checked.offer.schema,
            paid=True,
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The job under its request id; the addresses in the answer are not followed, ours are built from the id."""
        body = self._answer(reply)
        request_id = identifier(body.get("request_id"))
        if not request_id:
            raise unreadable(self.facts, reply, "a request_id")
        return Job(id=request_id, status=text(body.get("status")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look, at one route for every model."""
        del offer
        return HttpCall(method="GET", path=_path(job, "status"))

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """Where it stands; the clip, or the reason why there is none, is behind the second call."""
        del job
        body = self._answer(reply, of_a_job=True)
        status = status_word(self.facts, reply, body)
        state = state_of(self.facts, status)
        return JobReport(
            state=state,
            status=status,
            queue_position=position(body.get("queue_position")),
            failure=self._failure(body) if state == "failed" else None,
            needs_result=state in ("succeeded", "failed"),
        )

    def result(self, job: Job) -> HttpCall | None:
        """The second call, which also tells what it really cost."""
        return HttpCall(method="GET", path=_path(job, "result"), params={"include_cost": "true"})

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The clip and its cost. `completed` with an error and without a clip is a failure."""
        del job
        body = self._answer(reply, of_a_job=True)
        status = status_word(self.facts, reply, body)
        state = state_of(self.facts, status)
        urls = _addresses(body.get("output"))
        broken: VendorFailure | None = None
        if state == "failed" or (state == "succeeded" and not urls and body.get("error")):
            state, broken = "failed", self._failure(body)
        cost = number(body.get("cost"))
        return JobReport(
            state=state,
            status=status,
            video_urls=urls if state == "succeeded" else (),
            failure=broken,
            charged=cost if cost is not None and cost >= 0 else None,
        )

    def cancel(self, job: Job) -> HttpCall | None:
        """Asks to stop; only a queued request does."""
        return HttpCall(method="POST", path=_path(job, "cancel"))

    def read_cancel(self, reply: HttpReply) -> Cancellation:
        """Whether it stopped, by `outcome` or else by `status`."""
        body = self._answer(reply)
        words = text(body.get("outcome")) or text(body.get("status"))
        if not words:
            raise unreadable(self.facts, reply, "an outcome")
        return Cancellation(done=state_of(self.facts, words) == "cancelled", words=words)

    def balance(self) -> HttpCall | None:
        """Asked on the vendor's other host."""
        return HttpCall(method="GET", path="/prod/v2/balance", host="balance")

    def read_balance(self, reply: HttpReply) -> Balance:
        """US dollars left, whether said as a number or as text."""
        amount = number(self._answer(reply).get("balance_usd"))
        if amount is None:
            raise unreadable(self.facts, reply, "balance_usd")
        return Balance(amount=amount, currency="USD")

    def _answer(self, reply: HttpReply, *, of_a_job: bool = False) -> Mapping[str, Any]:
        """The body, unless it refuses. An error code inside HTTP 200 refuses too, unless a failed job brings it, or a
        request is named beside one that nobody documented.
        """
        body = mapping(reply.body)
        code = text(body.get("error_code"))
        failed = of_a_job and state_of(self.facts, text(body.get("status"))) == "failed"
        named = bool(text(body.get("request_id"))) and not is_documented_refusal(self.facts, code, reply.status)
        if reply.status >= 400 or (body.get("error_code") is not None and not failed and not named):
            raise refusal(self.facts, reply, code=code, words=_words(body))
        return body

    def _failure(self, body: Mapping[str, Any]) -> VendorFailure:
        error = mapping(body.get("error"))
        code = text(body.get("error_code")) or text(error.get("error_code")) or text(error.get("code"))
        return failure(self.facts, _words(body), code)


def _body(checked: CheckedRequest) -> dict[str, Any]:
    """The endpoint's own fields; `wire` in offers.toml says which of them carries what."""
    request, names = checked.request, checked.offer.wire
    body: dict[str, Any] = {"prompt": checked.prompt}
    for ours, value in (
        ("image", request.image),
        ("end_image", request.end_image),
        ("references", list(request.references)),
        ("video", request.video),
    ):
        if value:
            body[names[ours]] = value
    if request.negative_prompt:
        body["negative_prompt"] = request.negative_prompt
    if checked.aspect_ratio is not None:
        body["aspect_ratio"] = checked.aspect_ratio
    if checked.duration is not None:
        body["duration"] = checked.duration
    if request.cfg_scale is not None:
        body["cfg_scale"] = request.cfg_scale
    if checked.audio is not None:
        body[names["audio"]] = checked.audio
    if request.video and request.audio is False:
        # Silence was asked for by name, and the clip that goes in would bring its own sound.
        body["keep_original_sound"] = False
    return body


def _path(job: Job, what: str) -> str:
    return f"/v1/requests/{quote(job.id, safe='')}/{what}"


def _addresses(output: Any) -> tuple[str, ...]:
    """`output.video`, or `output.videos[]` where there is a list instead."""
    made = mapping(output)
    many = made.get("videos")
    found: list[Any] = [made.get("video"), *(cast("list[Any]", many)[:_CLIPS_MAX] if isinstance(many, list) else [])]
    return tuple(dict.fromkeys(url for url in map(address, found) if url))


def _words(body: Mapping[str, Any]) -> str:
    """The vendor's reason, wherever it stands, and the fields it names in a list of details."""
    said = ""
    for name in _WORDS:
        value = body.get(name)
        inner = mapping(value)
        said = text(value) or next((text(inner.get(part)) for part in _WORDS if text(inner.get(part))), "")
        if said:
            break
    return "; ".join(part for part in (said, *_details(body.get("detail"))) if part)


def _details(detail: Any) -> Iterator[str]:
    """`[{"loc": ["body", "duration"], "msg": "…"}]` as `body.duration: …`."""
    for row in map(mapping, cast("list[Any]", detail) if isinstance(detail, list) else ()):
        place = row.get("loc")
        parts = map(text, cast("list[Any]", place)) if isinstance(place, list) else ()
        where = ".".join(part for part in parts if part)
        yield ": ".join(part for part in (where, text(row.get("msg"))) if part)
