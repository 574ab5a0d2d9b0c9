"""Kling's legacy routes, for what has no new one: flat bodies, `task_id`, one place to ask per kind of work (D4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from mcp_server.domain.request import CheckedRequest
from mcp_server.domain.task import Job
from mcp_server.providers.base import HttpCall
from mcp_server.providers.reading import identifier, mapping, text

PREFIX: Final = "/v1/"
_MODES: Final = {"standard": "std", "pro": "pro"}


def submit(checked: CheckedRequest, *, key: str) -> HttpCall:
    """The paid call; `external_task_id` is our own id here, too."""
    request = checked.request
    body: dict[str, Any] = {"image": request.image, "sound_file": request.audio_file}
    if checked.prompt:
        body["prompt"] = checked.prompt
    body |= {"mode": _MODES[checked.offer.tier], "external_task_id": key, "watermark_info": {"enabled": False}}
    return HttpCall(
        method="POST",
        path=f"/{checked.vendor_model}",
        json=body,
        schema=checked.offer.schema,
        paid=True,
        signed=True,
    )


def look(route: str, name: str) -> HttpCall:
    """One look at a task, by its own id or by ours."""
    return HttpCall(method="GET", path=f"{route}/{quote(name, safe='')}", signed=True)


def own_id(order: HttpCall) -> str:
    """Our id in an order as it went out; empty where it is one of the new routes."""
    return text(mapping(order.json).get("external_task_id"))


def job(data: Mapping[str, Any]) -> Job:
    """The task that an answer names; without an id where it names none."""
    return Job(id=identifier(data.get("task_id")), status=text(data.get("task_status")))


def as_new(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A legacy task as the new routes would list it."""
    info, videos = mapping(data.get("task_info")), mapping(data.get("task_result")).get("videos")
    return {
        "id": data.get("task_id"),
        "external_id": info.get("external_task_id"),
        "status": data.get("task_status"),
        "message": data.get("task_status_msg"),
        "outputs": videos,
        "billing": data.get("billing"),
    }
