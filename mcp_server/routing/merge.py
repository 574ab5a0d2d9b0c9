"""Explicit arguments over words, and the media decide what is made from what."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from mcp_server.domain.request import Shot, VideoRequest, Wishes
from mcp_server.domain.words import Mode


def request_from(explicit: Mapping[str, Any], wishes: Wishes | None) -> tuple[VideoRequest, tuple[str, ...]]:
    """The whole request, and what the caller should know about how it was read."""
    said = wishes or Wishes()
    values: dict[str, Any] = {
        name: getattr(said, name)
        for name in ("tier", "mode", "model", "provider", "vendor_model", "duration", "aspect_ratio", "resolution")
    }
    values |= {name: getattr(said, name) for name in ("audio", "off_peak", "shots", "prefer", "not_tiers", "prompt")}
    notes = list(said.contradictions)
    for name, value in explicit.items():
        if name in ("max_cost_usd", "idempotency_key", "output_dir", "accept_unknown_price"):
            continue
        values[name] = _typed(name, value)
    if explicit.get("model") is not None:
        values["vendor_model"] = None
    values["mode"] = values.get("mode") or mode_of(values)
    return VideoRequest(**values), tuple(notes)


def _typed(name: str, value: Any) -> Any:
    match name:
        case "shots":
            return tuple(Shot(**shot) for shot in value)
        case "references":
            return tuple(value)
        case "cfg_scale":
            return Decimal(str(value))
        case _:
            return value


def mode_of(given: Mapping[str, Any]) -> Mode | None:
    """What is made, from what goes in."""
    has = {name for name, value in given.items() if value not in (None, "", ())}
    if "audio_file" in has:
        return "lip-sync" if "video" in has else "avatar"
    if "image" in has and "video" in has:
        return "motion-control"
    if "video" in has:
        return "video-edit"
    if "source_task" in has:
        return "extend"
    if "references" in has:
        return "reference-to-video"
    if "image" in has or "end_image" in has:
        return "image-to-video"
    return None if "vendor_model" in has else "text-to-video"
