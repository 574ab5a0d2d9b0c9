"""OctopusX: OpenAI's `/v1/videos` with everything that matters inside `metadata`."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mcp_server.domain.catalog import Offer, Provider
from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job, JobReport
from mcp_server.providers import new_api
from mcp_server.providers.base import Balance, Cancelled, HttpCall, HttpReply
from mcp_server.providers.reading import mapping, number, refusal, text, unreadable


class Wire:
    """OctopusX's protocol."""

    def __init__(self, facts: Provider) -> None:
        self.facts = facts

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:  # noqa: ARG002 - no idempotency here
        """The order; `seconds` and `output_config.duration` always say the same."""
        request, constants = checked.request, checked.offer.wire
        metadata = {
            "output_config": _given(
                duration=checked.duration,
                resolution=constants.get("resolution"),
                aspect_ratio=checked.aspect_ratio,
                audio_generation=_switch(checked.audio),
            ),
            "scene_type": constants.get("scene_type"),
            "motion_level": constants.get("motion_level"),
            # Billing hangs on it, so it is said either way.
            "offpeak": request.off_peak is True,
            "last_frame_url": request.end_image,
            "video_url": request.video,
        }
        body = _given(
            model=checked.vendor_model or None,
            prompt=checked.prompt,
            seconds=None if checked.duration is None else str(checked.duration),
            image=request.image,
            metadata=_given(**metadata),
        )
        return HttpCall(method="POST", path="/v1/videos", json=body, schema=checked.offer.schema, paid=True)

    def read_submit(self, reply: HttpReply) -> Job:
        """The job that was bought."""
        return new_api.job(self.facts, reply)

    def status(self, job: Job, offer: Offer) -> HttpCall:  # noqa: ARG002 - one route for every offer
        """One look."""
        return HttpCall(method="GET", path=f"/v1/videos/{quote(job.id, safe='')}")

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:  # noqa: ARG002 - the answer stands alone
        """How the job stands."""
        return new_api.report(self.facts, reply)

    def result(self, job: Job) -> HttpCall | None:  # noqa: ARG002
        """None: the status carries the address."""
        return None

    def read_result(self, job: Job, reply: HttpReply) -> JobReport:
        """The status, which is the result."""
        return self.read_status(job, reply)

    def cancel(self, job: Job) -> HttpCall | None:  # noqa: ARG002
        """None: `cancelled` is reported, but no route causes it."""
        return None

    def read_cancel(self, reply: HttpReply) -> Cancelled:
        """Never asked, so any answer is a refusal."""
        raise refusal(self.facts, reply)

    def balance(self) -> HttpCall | None:
        """What is left on this key."""
        return HttpCall(method="GET", path="/api/usage/token/")

    def read_balance(self, reply: HttpReply) -> Balance:
        """Quota units of the key; what one is worth in dollars is not published."""
        body = mapping(reply.body)
        data = mapping(body.get("data"))
        if reply.status >= 400 or body.get("code") is not True:
            code, words = new_api.said(body)
            raise refusal(self.facts, reply, code=code, words=words)
        details = {name: text(data.get(name)) for name in ("name", "total_granted", "total_used", "expires_at")}
        details = {name: value for name, value in details.items() if value}
        if data.get("unlimited_quota") is True:
            return Balance(amount=None, currency="tokens", details=details)
        left = number(data.get("total_available"))
        if left is None:
            raise unreadable(self.facts, reply, "total_available")
        return Balance(amount=left, currency="tokens", details=details)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _switch(audio: bool | None) -> str | None:  # noqa: FBT001 - the one argument is the question
    return None if audio is None else ("Enabled" if audio else "Disabled")
