"""UniAll as docs 003 describes it; what the page leaves out (submit reply, refusals) as its gateway family does it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.routing import BaseRoute

from mcp_server.domain.catalog import Offer
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob, listed
from mcp_server.sandbox.vendors.new_api import NewApi


class Api(NewApi):
    """The gateway with tier and sound in the name of the model."""

    object_name: ClassVar[str] = "video.generation.job"
    words: ClassVar[Mapping[str, str]] = {
        "queued": "queued",
        "running": "in_progress",
        "done": "completed",
        "failed": "failed",
        "cancelled": "failed",
    }

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v1/video/generations", "submit", self.submit, methods=("POST",)),
            *super().routes(),
        ]

    def prompt_needed(self, body: Mapping[str, Any]) -> bool:
        """In image mode a list of shots stands instead of the prompt (docs 003)."""
        extra = body.get("extra_body")
        return not (body.get("image") and isinstance(extra, dict) and extra.get("multi_prompt"))  # type: ignore[reportUnknownMemberType]

    def order(self, body: Mapping[str, Any], offer: Offer) -> ClipOrder:
        extra: dict[str, Any] = body.get("extra_body") or {}
        model, image = str(body["model"]), str(body.get("image", ""))
        seconds = int(body.get("duration", 5))
        return ClipOrder(
            vendor=self.name,
            endpoint="generations",
            vendor_model=model,
            model=offer.model,
            # Tier and sound are in the model's name and nowhere else.
            tier="pro" if "-pro-" in model else "standard",
            mode="image-to-video" if image else "text-to-video",
            prompt=str(body.get("prompt", "")),
            seconds=seconds,
            ratio=str(body.get("aspect_ratio", "" if image else "16:9")),
            audio=model.endswith("-audio"),
            image=image,
            end_image=str(body.get("last_image", "")),
            references=("element_list",) if extra.get("element_list") else (),
            shots=listed(extra.get("multi_prompt"), seconds),
        )

    def named(self, job: SandboxJob) -> str:
        return job.order.vendor_model
