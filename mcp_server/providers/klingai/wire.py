"""Kling's own protocol, new routes: ordered under kind and model, all tasks asked for at one place.

What has no new route goes by `legacy.py`; an answer shows by its `task_id` that it came from there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, cast

from mcp_server.domain.catalog import Offer
from mcp_server.domain.request import CheckedRequest, Shot, native_option, shot_lengths
from mcp_server.domain.task import Job, JobReport
from mcp_server.errors import ProviderError
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.klingai import legacy
from mcp_server.providers.reading import (
    address,
    failure,
    identifier,
    mapping,
    number,
    refusal,
    state_of,
    status_word,
    text,
    unreadable,
)
from mcp_server.providers.status_only import StatusOnly


class Wire(StatusOnly):
    """Kling's API with a static key; `external_task_id` is our own id, to look a task up by."""

    def submit(self, checked: CheckedRequest, *, key: str) -> HttpCall:
        """The paid call."""
        if checked.offer.signed:
            return legacy.submit(checked, key=key)
        body = _body(checked)
        body["options"] = {"external_task_id": key, "watermark_info": {"enabled": False}}
        return HttpCall(
            method="POST", path=f"/{checked.vendor_model}", json=body, schema=checked.offer.schema, paid=True
        )

    def read_submit(self, reply: HttpReply) -> Job:
        """The task under `data.id`, or under `data.task_id`."""
        data = mapping(self._data(reply))
        if (job := legacy.job(data)).id:
            return job
        task_id = identifier(data.get("id"))
        if not task_id:
            raise unreadable(self.facts, reply, "an id")
        return Job(id=task_id, status=text(data.get("status")))

    def status(self, job: Job, offer: Offer | None) -> HttpCall:
        """One look, at one route for every model; at its own where that is a legacy one."""
        if offer is not None and offer.signed:
            return legacy.look(f"/{offer.vendor_model}", job.id)
        return HttpCall(method="GET", path="/tasks", params={"task_ids": job.id})

    def read_status(self, job: Job, reply: HttpReply) -> JobReport:
        """How the task stands, found by its id in the list that comes."""
        for found in _tasks(self._data(reply)):
            if identifier(found.get("id")) == job.id:
                return self._report(found, reply)
        raise ProviderError(
            f"{self.facts.name} names no task {job.id}",
            fault="not_found",
            provider=self.facts.id,
            http_status=reply.status,
            request_id=_request_id(reply),
            money="unknown",
        )

    def read_posted(self, job: Job, task: Mapping[str, Any], reply: HttpReply) -> JobReport:
        """How a task stands that Kling posted: the same object as in the list."""
        del job
        return self._report(legacy.as_new(task) if "task_id" in task else task, reply)

    def find(self, order: HttpCall) -> HttpCall:
        """The tasks under our own id."""
        if own := legacy.own_id(order):
            return legacy.look(order.path, own)
        return HttpCall(method="GET", path="/tasks", params={"external_task_ids": _own_id(order)})

    def read_find(self, order: HttpCall, sent_at: float, reply: HttpReply) -> tuple[Job, ...]:
        """Those that carry it: one order went out under it."""
        del sent_at
        rows = [row for row in _tasks(self._data(reply)) if text(row.get("external_id")) == _own_id(order)]
        jobs = (Job(id=identifier(row.get("id")), status=text(row.get("status"))) for row in rows)
        return tuple(job for job in jobs if job.id)

    def _report(self, found: Mapping[str, Any], reply: HttpReply) -> JobReport:
        word = status_word(self.facts, reply, found)
        state = state_of(self.facts, word)
        videos = (row for row in _rows(found.get("outputs")) if text(row.get("type")) in ("video", ""))
        urls = tuple(dict.fromkeys(url for row in videos if (url := address(row.get("url")))))
        return JobReport(
            state=state,
            status=word,
            video_urls=urls if state == "succeeded" else (),
            failure=failure(self.facts, text(found.get("message")) or word) if state == "failed" else None,
            charged=_charged(found.get("billing")),
        )

    def _data(self, reply: HttpReply) -> Any:
        """What `data` holds; a code other than 0 refuses, also inside HTTP 200."""
        body = mapping(reply.body)
        code = text(body.get("code"))
        if reply.status >= 300 or code != "0":
            raise refusal(self.facts, reply, code=code, words=text(body.get("message")))
        return body.get("data")


def _tasks(data: Any) -> Iterator[Mapping[str, Any]]:
    """The tasks of an answer: a list of them, or a legacy one alone."""
    if isinstance(data, list):
        yield from _rows(cast("Any", data))
    elif "task_id" in mapping(data):
        yield legacy.as_new(mapping(data))


def _own_id(order: HttpCall) -> str:
    return legacy.own_id(order) or text(mapping(mapping(order.json).get("options")).get("external_task_id"))


def _charged(billing: Any) -> Decimal | None:
    """What was really taken, in dollars: only where all of it is; a pack's units and other money say no such sum."""
    rows = list(_rows(billing))
    amounts = [number(row.get("amount")) for row in rows]
    in_dollars = all(row.get("charge_type") == "cash" and row.get("currency") == "USD" for row in rows)
    if not rows or not in_dollars or any(amount is None or amount < 0 for amount in amounts):
        return None
    return sum((amount for amount in amounts if amount is not None), Decimal(0))


def _rows(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from map(mapping, cast("list[Any]", value) if isinstance(value, list) else ())


def _request_id(reply: HttpReply) -> str:
    return text(mapping(reply.body).get("request_id"))


def _body(checked: CheckedRequest) -> dict[str, Any]:
    """`contents` (or the prompt alone) and `settings`, with everything said that has a default of the vendor's."""
    request, way = checked.request, checked.offer.wire
    prompt = _storyboard(request.shots, checked.duration) if request.shots else checked.prompt
    settings: dict[str, Any] = {"resolution": checked.resolution}
    if checked.duration is not None:
        settings["duration"] = checked.duration
    if checked.aspect_ratio is not None:
        settings["aspect_ratio"] = checked.aspect_ratio
    if "audio" in way:
        settings["audio"] = way["audio"][1 if checked.audio else 0]
    if way.get("multi_shot"):
        # A clip to refer to needs it: D7.
        settings["multi_shot"] = bool(request.shots) or request.given("video")
    settings |= way.get("fixed", {})
    settings |= {
        name: value
        for name, value in way.get("unless_given", {}).items()
        if native_option(request.options, f"settings.{name}") is None
    }
    if way.get("plain"):
        return {"prompt": prompt, "settings": settings}
    return {"contents": list(_contents(checked, prompt)), "settings": settings}


def _contents(checked: CheckedRequest, prompt: str) -> Iterator[dict[str, str]]:
    request, way = checked.request, checked.offer.wire
    if prompt:
        yield {"type": "prompt", "text": prompt}
    if request.image:
        yield {"type": way.get("first", "first_frame"), "url": request.image}
    if request.end_image:
        yield {"type": "last_frame", "url": request.end_image}
    for index, url in enumerate(request.references, 1):
        yield {"type": way["references"], "url": url, "id": f"image_{index}"}
    if request.video:
        named = {"id": "video_1"} if checked.offer.video_marker else {}
        yield {"type": way["video"], "url": request.video, **named}


def _storyboard(shots: tuple[Shot, ...], total: int | None) -> str:
    """Shots as Kling writes them, each with its length."""
    lengths = shot_lengths(shots, total)
    return " ".join(
        f"shot {n}, {seconds}, {shot.prompt.strip()};"
        for n, (shot, seconds) in enumerate(zip(shots, lengths, strict=True), 1)
    )
