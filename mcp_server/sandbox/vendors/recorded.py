"""A vendor nobody wrote a protocol for, played from its facts, its schemas and its recorded exchanges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast
from uuid import uuid4

from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from mcp_server import catalog
from mcp_server.domain.catalog import Offer
from mcp_server.domain.vocabulary import INPUTS
from mcp_server.sandbox import offers
from mcp_server.sandbox.jobs import SHORT_SIDE, ClipOrder, Phase, SandboxJob, listed
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.vendors.base import Exchange, Handler, RefusedError, Vendor
from mcp_server.sandbox.vendors.exchanges import Step, filled, load

STATES: Final[Mapping[Phase, tuple[str, ...]]] = {
    "queued": ("queued", "running"),
    "running": ("running",),
    "done": ("succeeded",),
    "failed": ("failed",),
    "cancelled": ("cancelled", "failed"),
}
"""Where the file tells of a phase: the first that is there."""


class Api(Vendor):
    """Order, look, result and cancelling, each with the answers the vendor's documents show."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        super().__init__(sandbox, name)
        self.recorded = load(name)
        self.refunds_failures = catalog.load().providers[name].refunds_failures is True

    def routes(self) -> list[BaseRoute]:
        recorded = self.recorded
        found = self._step("status", recorded.status, self.status)
        found += self._step("result", recorded.result, self.result)
        found += self._step("cancel", recorded.cancel, self.cancel, methods=("POST", "PUT"))
        # Last: a submit path may be the model's name alone, which all others begin with.
        return found + self._step("submit", recorded.submit, self.submit, methods=("POST",))

    def _step(
        self, action: str, step: Step | None, handler: Handler, *, methods: tuple[str, ...] = ("GET",)
    ) -> list[BaseRoute]:
        # A job may be named in the query, which is no part of a route.
        paths = [path.partition("?")[0].replace("{model}", "{model:path}") for path in (step.paths if step else ())]
        return [self.route(path, action, handler, methods=methods) for path in dict.fromkeys(paths)]

    def refusal(self, fault: str, words: str, *, status: int | None = None, **more: Any) -> Response:
        documented, body = self.recorded.refusal(fault)
        said = "No such task" if fault == "not_found" else words
        return JSONResponse(filled(body, {"reason": said}), 200 if more.get("inside_200") else status or documented)

    def word(self, job: SandboxJob, now: float) -> str:
        return str(_told(self.recorded.statuses, job.phase(now)))

    async def submit(self, exchange: Exchange) -> Response:
        body = await self.body(exchange)
        order = self.order(body, str(exchange.request.path_params.get("model", "")))
        self.affordable(exchange)
        job = self.accept(exchange, str(uuid4()), order)
        answer = self.recorded.submit.answers["answer"]
        now = self.sandbox.now()
        return JSONResponse(filled(answer, self._values(exchange, job, self.word(job, now), now)))

    async def status(self, exchange: Exchange) -> Response:
        return self._look(exchange, self.recorded.status)

    async def result(self, exchange: Exchange) -> Response:
        return self._look(exchange, cast("Step", self.recorded.result))

    async def cancel(self, exchange: Exchange) -> Response:
        job = self._named(exchange)
        stopped = job.cancelled is not None or self.sandbox.store.cancel(job.id, self.sandbox.now())
        answer = cast("Step", self.recorded.cancel).answers["cancelled" if stopped else "too_late"]
        now = self.sandbox.now()
        return JSONResponse(filled(answer, self._values(exchange, job, self.word(job, now), now)))

    def ordered(self, exchange: Exchange) -> Iterator[tuple[SandboxJob, Mapping[str, Any]]]:
        """This account's jobs with what was sent for each, the oldest first; none while a fault hides them."""
        if (hidden := self.sandbox.take_fault(self.name, ("find_missing",))) is not None:
            exchange.fault = hidden[0]
            return
        for line in self.sandbox.store.journal(vendor=self.name, action="submit"):
            job = self.sandbox.store.find(self.name, line["job"], exchange.account) if line["accepted"] else None
            if job is not None:
                yield job, line["facts"].get("body", {})

    def _look(self, exchange: Exchange, step: Step) -> Response:
        job = self._named(exchange)
        now = self.sandbox.now()
        word = self.said(exchange, job, now)
        # Under a word nobody documented the rest is what a job shows that goes on.
        phase = job.phase(now) if word == self.word(job, now) else "running"
        answer = _told(step.answers, phase)
        if answer is None:
            raise RefusedError(self.refusal("bad_input", f"The task is {word}"))
        return JSONResponse(filled(answer, self._values(exchange, job, word, now)))

    def _named(self, exchange: Exchange) -> SandboxJob:
        request = exchange.request
        named = request.path_params.get("job")
        if named is None:
            # The one query the file puts the id into, whatever its name.
            steps = (self.recorded.status, self.recorded.result, self.recorded.cancel)
            queries = [path.partition("?")[2] for step in steps if step for path in step.paths]
            names = [query.partition("=")[0] for query in queries if query.endswith("={job}")]
            named = next((request.query_params[name] for name in names if name in request.query_params), "")
        return self.owned(exchange, str(named))

    def _values(self, exchange: Exchange, job: SandboxJob, word: str, now: float) -> Mapping[str, Any]:
        return {
            "job": job.id,
            "model": job.order.vendor_model,
            "status": word,
            "progress": job.progress(now),
            "created": int(job.accepted),
            "created_iso": datetime.fromtimestamp(job.accepted, UTC).isoformat(timespec="milliseconds"),
            "clip": self.link(exchange, job) if job.phase(now) == "done" else "",
            "price": "" if job.price is None else str(job.price),
            "reason": job.words,
            "base": f"{str(exchange.request.base_url).rstrip('/')}/{self.name}",
        }

    def order(self, body: Mapping[str, Any], model: str) -> ClipOrder:
        """What was ordered; refuses what the catalog does not list and what the vendor's schema does not take."""
        said = {name: reading.of(body) for name, reading in self.recorded.order.items()}
        model = model or str(said.get("model") or "")
        sold = offers.offers(self.name, model)
        if not sold:
            raise RefusedError(self.refusal("bad_input", f"There is no model {model!r}"))
        offer = min(sold, key=lambda offer: self._distance(offer, said))
        for where, words in offers.problems(self.name, offer.schema, dict(body)):
            raise RefusedError(self.refusal("bad_input", f"{where}: {words}" if where else words))
        seconds = int(said.get("seconds") or offer.duration_default or min(offer.durations, default=5))
        from_input = said.get("image") or said.get("video")
        resolution = str(said.get("resolution") or "").lower()
        return ClipOrder(
            vendor=self.name,
            endpoint=offer.schema,
            vendor_model=model,
            model=offer.model,
            tier=offer.tier,
            mode=offer.mode,
            prompt=_one(said.get("prompt")),
            seconds=seconds,
            ratio=str(said.get("ratio") or ("" if from_input else offer.aspect_ratio_default or "16:9")),
            resolution=resolution if resolution in SHORT_SIDE else "",
            audio=_with_sound(offer, model, said.get("audio")),
            image=_one(said.get("image")),
            end_image=_one(said.get("end_image")),
            references=tuple(str(one) for one in said.get("references") or ()),
            video=_one(said.get("video")),
            source_task=_one(said.get("source_task")),
            shots=listed(said.get("shots"), seconds),
            off_peak=said.get("off_peak") is True,
        )

    def _distance(self, offer: Offer, said: Mapping[str, Any]) -> tuple[int, bool, bool]:
        """How far the body is from what this offer takes: one model may be sold for several kinds of work."""
        given = {name for name in INPUTS if said.get(name)}
        needed = {name for name in offer.requires if name in self.recorded.order}
        astray = len(needed - given) + len(given - offer.takes)
        tier, resolution = said.get("tier"), str(said.get("resolution") or "").lower()
        return astray, tier not in (None, offer.tier), bool(resolution) and resolution not in offer.resolutions


def _one(said: Any) -> str:
    """A text, also where it stands in a list."""
    several = cast("list[Any]", said) if isinstance(said, list) else [said]
    return str((several or [""])[0] or "")


def _with_sound(offer: Offer, model: str, said: Any) -> bool:
    match offer.audio:
        case "always":
            return True
        case "by-model-id":
            return model == offer.vendor_model_audio
        case _:
            return said is True


def _told(told: Mapping[str, Any], phase: Phase) -> Any:
    return next((told[state] for state in STATES[phase] if state in told), None)
