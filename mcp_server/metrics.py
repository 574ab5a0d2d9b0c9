"""What this process counts of its own work, and how Prometheus reads it; nothing is sent anywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
Labels = Mapping[str, str]
Reading = tuple[str, Labels, float]
"""Name, labels and value of a gauge."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that is counted, and what its labels may be."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    what: str
    labels: tuple[str, ...] = ()


METRICS: Final = (
    Metric("kling_build_info", "gauge", "Always 1; which version this is.", ("version",)),
    Metric(
        "kling_vendor_calls_total", "counter", "Calls to vendors: paid, look or other, and what came of them.",
        ("provider", "call", "outcome"),
    ),
    Metric("kling_vendor_call_seconds", "histogram", "How long vendors took to answer.", ("provider", "call")),
    Metric("kling_tasks_ended_total", "counter", "Tasks whose end this process recorded.", ("provider", "state")),
    Metric("kling_ended_usd_total", "counter", "What those tasks count in dollars; rehearsals nothing.", ("provider",)),
    Metric("kling_callbacks_total", "counter", "Posts of vendors, and what came of them.", ("provider", "came")),
    Metric("kling_tasks_followed", "gauge", "Tasks that this process polls or saves now."),
    Metric("kling_orders_sending", "gauge", "Orders that this process has in hand and no answer to yet."),
    Metric("kling_orders_unanswered", "gauge", "Paid calls of this process whose answer is not written down yet."),
    Metric("kling_loop_age_seconds", "gauge", "Since the loop that keeps this process's tasks last came round."),
    Metric("kling_tasks_mended_total", "counter", "Open tasks this worker found that nobody followed: a defect."),
    Metric("kling_record_open_tasks", "gauge", "Unfinished tasks in the shared record.", ("state",)),
    Metric("kling_record_workers", "gauge", "Workers of the shared record that live."),
    Metric("kling_record_alone", "gauge", "Open tasks of the shared record that nobody follows and nobody will."),
    Metric("kling_record_clock_skew_seconds", "gauge", "How far this machine's clock is ahead of the database's."),
)  # fmt: skip
"""Every metric there is; the dashboard names no other."""
_KNOWN: Final = {metric.name: metric for metric in METRICS}


@dataclass
class _Spread:
    """A histogram's series."""

    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS_S))
    total: float = 0.0
    count: int = 0


@dataclass
class Metrics:
    """The counts of one process; `gauges` are asked when somebody reads."""

    gauges: list[Callable[[], Iterable[Reading]]] = field(default_factory=list[Callable[[], Iterable[Reading]]])
    _counts: dict[tuple[str, tuple[str, ...]], float] = field(
        default_factory=dict[tuple[str, tuple[str, ...]], float], init=False
    )
    _spreads: dict[tuple[str, tuple[str, ...]], _Spread] = field(
        default_factory=dict[tuple[str, tuple[str, ...]], _Spread], init=False
    )

    def count(self, name: str, by: float = 1, /, **labels: str) -> None:
        """So much more of it."""
        key = _key(name, labels)
        self._counts[key] = self._counts.get(key, 0) + by

    def took(self, name: str, seconds: float, /, **labels: str) -> None:
        """Once more, and how long."""
        spread = self._spreads.setdefault(_key(name, labels), _Spread())
        spread.count += 1
        spread.total += seconds
        for place, most in enumerate(BUCKETS_S):
            spread.buckets[place] += seconds <= most

    def readings(self) -> Iterable[Reading]:
        """Every counter and gauge as it stands."""
        for (name, values), value in list(self._counts.items()):
            yield name, dict(zip(_KNOWN[name].labels, values, strict=True)), value
        for gauge in self.gauges:
            yield from gauge()

    def text(self, more: Iterable[Reading] = ()) -> str:
        """Everything, in Prometheus' text format."""
        rows: dict[str, list[str]] = {}
        for (name, values), value in sorted(self._counts.items()):
            rows.setdefault(name, []).append(_line(name, _KNOWN[name].labels, values, value))
        for (name, values), spread in sorted(self._spreads.items()):
            rows.setdefault(name, []).extend(_spread_lines(name, values, spread))
        for name, labels, value in (*(reading for gauge in self.gauges for reading in gauge()), *more):
            rows.setdefault(name, []).append(_line(name, _KNOWN[name].labels, _key(name, labels)[1], value))
        parts: list[str] = []
        for metric in METRICS:
            if metric.name in rows:
                parts += [f"# HELP {metric.name} {metric.what}", f"# TYPE {metric.name} {metric.kind}"]
                parts += rows[metric.name]
        return "\n".join((*parts, ""))


def _key(name: str, labels: Labels) -> tuple[str, tuple[str, ...]]:
    return name, tuple(labels[label] for label in _KNOWN[name].labels)


def _line(name: str, labels: Iterable[str], values: Iterable[str], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in zip(labels, values, strict=True))
    return f"{name}{{{pairs}}} {value:.10g}" if pairs else f"{name} {value:.10g}"


def _spread_lines(name: str, values: tuple[str, ...], spread: _Spread) -> Iterable[str]:
    labels = _KNOWN[name].labels
    for most, count in (*zip(BUCKETS_S, spread.buckets, strict=True), ("+Inf", spread.count)):
        yield _line(f"{name}_bucket", (*labels, "le"), (*values, str(most)), count)
    yield _line(f"{name}_sum", labels, values, spread.total)
    yield _line(f"{name}_count", labels, values, spread.count)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
