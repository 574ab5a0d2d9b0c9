"""OpenTelemetry, where somebody set an OTLP endpoint: a task's life as one trace, across machines, and the metrics.

A trace's id is made of the task's, so that calls of every process that worked on it stand together and nothing has to
be handed on. Attributes are ids, vendors, kinds and outcomes: no prompt, no address, no key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from typing import Any, Final, Protocol

from mcp_server import __version__
from mcp_server.errors import LocalError
from mcp_server.metrics import METRICS, Metrics

NAME: Final = "kling-video"
_PARTS: Final = (
    *("sdk.resources", "sdk.trace", "sdk.trace.export", "exporter.otlp.proto.http.trace_exporter"),
    *("sdk.metrics", "sdk.metrics.export", "exporter.otlp.proto.http.metric_exporter"),
)
_task: ContextVar[str] = ContextVar("kling_task", default="")


@contextlib.contextmanager
def working_on(task_id: str) -> Generator[None]:
    """What is called in here is called for this task."""
    before = _task.set(task_id)
    try:
        yield
    finally:
        _task.reset(before)


class Traces(Protocol):
    """Where spans go."""

    def span(self, name: str, began: float, ended: float, **facts: str) -> None:
        """Something that was done between these two times, seconds since the epoch, for the task that is worked on."""
        ...


class NoTraces:
    """Nowhere."""

    def span(self, name: str, began: float, ended: float, **facts: str) -> None:
        """Nothing."""


@dataclass(frozen=True)
class OpenTelemetry:
    """Spans of OpenTelemetry's, each in the trace of its task."""

    tracer: Any
    """`opentelemetry.trace.Tracer`."""

    def span(self, name: str, began: float, ended: float, **facts: str) -> None:
        """One span, with its task's id; what belongs to no task has a trace of its own."""
        from opentelemetry import trace

        task_id = facts.get("task_id") or _task.get()
        context = None
        if task_id:
            seed = sha256(task_id.encode()).digest()
            parent = trace.SpanContext(
                trace_id=int.from_bytes(seed[:16], "big"),
                span_id=int.from_bytes(seed[16:24], "big"),
                is_remote=True,
                trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
            )
            context = trace.set_span_in_context(trace.NonRecordingSpan(parent))
        named = {f"kling.{key}": text for key, text in {**facts, "task_id": task_id}.items() if text}
        made = self.tracer.start_span(name, context=context, start_time=int(began * 1e9), attributes=named)
        made.end(int(ended * 1e9))


def traces(wanted: bool, metrics: Metrics) -> Traces:  # noqa: FBT001 - one question
    """Spans and metrics sent to the endpoint, where one is set; LocalError where what sends them is not installed."""
    if not wanted:
        return NoTraces()
    try:
        # By name: they are an extra, and may not be there.
        parts = [import_module(f"opentelemetry.{name}") for name in _PARTS]
    except ImportError as error:
        raise LocalError(
            f"An OTLP endpoint is set, and what sends to it is not installed ({error.name})",
            next_step="Install the extra `observe`: pip install 'kling-video[observe]', or unset the variable",
        ) from error
    resources, spans, sending, span_exporter, readings, reading, metric_exporter = map(_any, parts)
    resource = resources.Resource.create({"service.name": NAME, "service.version": __version__})
    tracers = spans.TracerProvider(resource=resource)
    tracers.add_span_processor(sending.BatchSpanProcessor(span_exporter.OTLPSpanExporter()))
    reader = reading.PeriodicExportingMetricReader(metric_exporter.OTLPMetricExporter())
    meters = readings.MeterProvider(metric_readers=[reader], resource=resource)
    observe(meters.get_meter(NAME, __version__), metrics)
    return OpenTelemetry(tracers.get_tracer(NAME, __version__))


def _any(module: Any) -> Any:
    return module


def observe(meter: Any, metrics: Metrics) -> None:
    """Let the meter (`opentelemetry.metrics.Meter`) read every counter and gauge of this process when it sends."""
    from opentelemetry.metrics import CallbackOptions, Observation

    def reader(name: str) -> Any:
        def read(_options: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, dict(labels)) for each, labels, value in metrics.readings() if each == name]

        return read

    for metric in METRICS:
        if metric.kind == "counter":
            meter.create_observable_counter(metric.name.removesuffix("_total"), [reader(metric.name)], "", metric.what)
        elif metric.kind == "gauge" and not metric.name.startswith(("kling_record_", "kling_build")):
            meter.create_observable_gauge(metric.name, [reader(metric.name)], "", metric.what)
