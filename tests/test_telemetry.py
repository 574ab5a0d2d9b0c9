"""A task's life as one trace, whichever process worked on it; nothing where no endpoint is set, and never a secret."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.trace import get_current_span
from support.mcp_world import ORDER, Vendors

from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import LocalError
from mcp_server.metrics import Metrics
from mcp_server.telemetry import NoTraces, OpenTelemetry, observe, traces, working_on

ROOT = Path(__file__).parents[1]


class Tracer:
    """What stands in for the SDK's: keeps what it is given."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []

    def start_span(self, name: str, *, context: Any, start_time: int, attributes: dict[str, str]) -> Any:
        trace = get_current_span(context).get_span_context().trace_id if context is not None else None
        self.spans.append({"name": name, "trace": trace, "began": start_time, "facts": attributes})
        return self

    def end(self, at: int) -> None:
        self.spans[-1]["ended"] = at


async def test_the_life_of_a_task_is_one_trace(shops: Vendors) -> None:
    service, tracer = build(shops.settings()), Tracer()
    service.runner.runtime.transport.traces = OpenTelemetry(tracer)
    try:
        ordered = [
            await service.generate(VideoArguments(**{**ORDER, "prompt": text})) for text in ("a boat", "a heron")
        ]
        await service.get([each.task_id for each in ordered], wait_s=60)
    finally:
        await service.close()

    lives = {}
    for each in ordered:
        mine = [span for span in tracer.spans if span["facts"].get("kling.task_id") == each.task_id]
        lives[each.task_id] = {span["trace"] for span in mine}
        assert {"task", "paid runcomfy", "look runcomfy"} <= {span["name"] for span in mine}
        (whole,) = [span for span in mine if span["name"] == "task"]
        assert whole["facts"]["kling.state"] == "succeeded"
        assert all(span["began"] <= span["ended"] for span in mine)
    assert all(len(found) == 1 for found in lives.values()) and len(set.union(*lives.values())) == 2
    said = repr(tracer.spans)
    assert "a boat" not in said and "http" not in said and "Bearer" not in said


def test_another_process_s_spans_of_the_task_are_in_the_same_trace() -> None:
    tracers = [Tracer(), Tracer()]
    for tracer in tracers:
        with working_on("kv-261130-abcdefgh1234"):
            OpenTelemetry(tracer).span("look fal", 1.0, 2.0, provider="fal")
        OpenTelemetry(tracer).span("look fal", 1.0, 2.0, provider="fal")

    assert tracers[0].spans == tracers[1].spans
    assert [bool(span["trace"]) for span in tracers[0].spans] == [True, False], (
        "what is of no task has a trace of its own"
    )


def test_every_counter_is_read_when_it_is_sent() -> None:
    made, metrics = {}, Metrics()

    class Meter:
        def create_observable_counter(self, name: str, callbacks: Any, unit: str, what: str) -> None:
            made[name] = callbacks[0]

        create_observable_gauge = create_observable_counter

    observe(Meter(), metrics)
    metrics.count("kling_callbacks_total", provider="fal", came="due")
    (found,) = made["kling_callbacks"](None)

    assert (found.value, dict(found.attributes)) == (1, {"provider": "fal", "came": "due"})


def test_nothing_of_it_is_loaded_where_no_endpoint_is_set() -> None:
    assert isinstance(traces(False, Metrics()), NoTraces)
    code = "import sys; from mcp_server.composition import build; s = build(); s.runner; print([n for n in sys.modules if n.startswith('opentelemetry')])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


def test_an_endpoint_without_what_sends_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    with pytest.raises(LocalError, match="observe"):
        traces(True, Metrics())
