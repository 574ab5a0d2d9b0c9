"""OctopusX: OpenAI's `/v1/videos` with everything that matters inside `metadata`."""

from __future__ import annotations

from typing import Any

from mcp_server.domain.request import CheckedRequest
from mcp_server.providers.base import Balance, HttpCall, HttpReply
from mcp_server.providers.new_api import Gateway, said
from mcp_server.providers.reading import mapping, number, refusal, text, unreadable


class Wire(Gateway):
    """OctopusX's protocol. `cancelled` is reported, but no route causes it."""

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

    def balance(self) -> HttpCall | None:
        """What is left on this key."""
        return HttpCall(method="GET", path="/api/usage/token/")

    def read_balance(self, reply: HttpReply) -> Balance:
        """Quota units of the key; what one is worth in dollars is not published."""
        body = mapping(reply.body)
        data = mapping(body.get("data"))
        if reply.status >= 400 or body.get("code") is not True:
            code, words = said(body)
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
