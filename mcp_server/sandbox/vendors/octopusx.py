"""OctopusX as docs 002 and docs.octopusx.ai describe it, in front of the new-api gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server.domain.catalog import Offer
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import ClipOrder, SandboxJob
from mcp_server.sandbox.sandbox import BROKE, OPENING
from mcp_server.sandbox.vendors.base import Exchange
from mcp_server.sandbox.vendors.new_api import NewApi

SCENES: Final[Mapping[str, str]] = {
    "motion_control": "motion-control",
    "avatar_i2v": "avatar",
    "lip_sync": "lip-sync",
    "template_effect": "template-effect",
}
TIERS: Final[Mapping[str, str]] = {"720p": "standard", "1080p": "pro"}


class Api(NewApi):
    """The gateway with orders in `metadata`, and a balance."""

    object_name: ClassVar[str] = "video"
    words: ClassVar[Mapping[str, str]] = {
        "queued": "queued",
        "running": "processing",
        "done": "completed",
        "failed": "failed",
        "cancelled": "cancelled",
    }

    def routes(self) -> list[BaseRoute]:
        return [
            self.route("/v1/videos", "submit", self.submit, methods=("POST",)),
            self.route("/v1/video/generations", "submit", self.submit, methods=("POST",)),
            *super().routes(),
            self.route("/api/usage/token/", "balance", self.balance),
            self.route("/api/usage/token", "balance", self.balance),
        ]

    def order(self, body: Mapping[str, Any], offer: Offer) -> ClipOrder:
        extra: dict[str, Any] = body.get("metadata") or {}
        wanted: dict[str, Any] = extra.get("output_config") or {}
        wide, high = _size(str(body.get("size", "")))
        resolution = str(wanted.get("resolution") or f"{min(wide, high)}P").lower()
        scene = str(extra.get("scene_type", ""))
        image = str(body.get("image", ""))
        mode = SCENES.get(scene) or _mode(image, extra)
        tier = TIERS.get(resolution, "standard")
        if scene == "motion_control":
            tier = "pro" if extra.get("motion_level") == "pro" else "standard"
        # Scenes are priced by the scene; the page names no model for them.
        sold = offers.offers(self.name, str(body["model"]), (mode,)) or offers.offers_of(self.name, mode)
        model = sold[0].model if sold else offer.model
        return ClipOrder(
            vendor=self.name,
            endpoint=scene or "videos",
            vendor_model=str(body["model"]),
            model=model,
            tier=tier,
            mode=mode,
            prompt=str(body["prompt"]),
            # If both are sent, which one wins is not documented; the schema makes them equal.
            seconds=int(wanted.get("duration") or body.get("seconds") or 5),
            ratio=str(wanted.get("aspect_ratio") or ("" if image else f"{wide}:{high}")),
            resolution=resolution if resolution in TIERS else "720p",
            audio=wanted.get("audio_generation") == "Enabled",
            image=image,
            end_image=str(extra.get("last_frame_url", "")),
            video=str(extra.get("video_url", "")),
            references=("file_infos",) if extra.get("file_infos") else (),
            off_peak=extra.get("offpeak") is True,
        )

    def named(self, job: SandboxJob) -> str:
        """The billing name, which is not the one that was ordered (docs 002)."""
        order = job.order
        if order.mode == "motion-control":
            level = "pro-1080p" if order.tier == "pro" else "std-720p"
            return f"{order.vendor_model.lower()}-motion-{level}"
        ref = "ref" if order.image or order.video or order.references else "noref"
        return f"{order.vendor_model.lower()}-{order.resolution}-{ref}-{'audio' if order.audio else 'mute'}"

    async def balance(self, exchange: Exchange) -> Response:
        granted = 0 if exchange.account == BROKE else int(OPENING)
        left = int(self.sandbox.left(self.name, exchange.account, refunds=True))
        data = {
            "object": "token_usage",
            "name": "sandbox",
            "total_granted": granted,
            "total_used": granted - left,
            "total_available": left,
            "unlimited_quota": False,
            "expires_at": 0,
        }
        return JSONResponse({"code": True, "message": "ok", "data": data})


def _mode(image: str, extra: Mapping[str, Any]) -> str:
    if extra.get("video_url") or extra.get("file_infos"):
        return "reference-to-video"
    return "image-to-video" if image else "text-to-video"


def _size(text: str) -> tuple[int, int]:
    wide, _, high = text.partition("x")
    return (int(wide), int(high)) if wide.isdigit() and high.isdigit() else (1280, 720)
