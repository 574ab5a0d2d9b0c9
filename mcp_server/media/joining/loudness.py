"""How loud a sound is (ITU-R BS.1770-4, EBU R128), in steps that any stretch of it can be asked about."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log10
from typing import TYPE_CHECKING, Final

from mcp_server.media.sounds import RATE, pulled

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

STEP_S: Final = 0.1
_HUNDREDTHS: Final = 100
_WINDOW: Final = 4
"""Steps of a gating block: 400 ms, moved on by a quarter of it."""
_ABSOLUTE: Final = -70.0
_RELATIVE: Final = -10.0
# BS.1770-4, annex 1, tables 1 and 2, for 48 kHz: the head's shelf, then the high pass.
_SHELF: Final = (
    "b0=1.53512485958697:b1=-2.69169618940638:b2=1.19839281085285:a0=1:a1=-1.69065929318241:a2=0.73248077421585"
)
_HIGH: Final = "b0=1:b1=-2:b2=1:a0=1:a1=-1.99004745483398:a2=0.99007225036621"
SILENT: Final = -60.0
"""LUFS, or dBFS of the peak, below which nobody hears anything."""


@dataclass(frozen=True, slots=True)
class Loudness:
    """What was measured: weighted power of every tenth of a second, and the highest sample."""

    steps: tuple[float, ...]
    peak: float | None
    """None where nobody asked for it."""

    def integrated(self, start_s: float = 0.0, end_s: float | None = None) -> float:
        """LUFS of a stretch, gated as R128 asks; minus infinity for silence."""
        first = round(start_s / STEP_S)
        last = len(self.steps) if end_s is None else round(end_s / STEP_S)
        return _gated(self.steps[first:last])

    @property
    def peak_db(self) -> float:
        """The highest sample in dB below full scale."""
        assert self.peak is not None
        return _decibels(self.peak * self.peak, 0.0)

    @property
    def silent(self) -> bool:
        """Whether nobody hears anything in it."""
        return self.peak_db < SILENT

    def loudest(self, seconds: float, start_s: float, end_s: float) -> float:
        """Where the loudest stretch of so many seconds begins, between two moments."""
        wide = max(1, round(seconds / STEP_S))
        first, last = round(start_s / STEP_S), min(len(self.steps), round(end_s / STEP_S)) - wide
        return max(range(first, last + 1), key=lambda at: sum(self.steps[at : at + wide]), default=first) * STEP_S


class Meter:
    """Takes a 48 kHz stereo sound piece by piece and measures it; its peak only where it is asked for."""

    def __init__(self, *, peak: bool = True) -> None:
        from av.filter import Graph

        # Kept: its ends do not keep it alive, and crash without it.
        self._graph = graph = Graph()
        self._source = graph.add_abuffer(sample_rate=RATE, format="fltp", layout="stereo", time_base=Fraction(1, RATE))
        weighted, split, squared = graph.add("biquad", _HIGH), graph.add("asplit"), graph.add("amultiply")
        graph.link_nodes(
            self._source, graph.add("aformat", "sample_fmts=dblp"), graph.add("biquad", _SHELF), weighted, split
        )
        split.link_to(squared, 0, 0)
        split.link_to(squared, 1, 1)
        self._sink = graph.add("abuffersink")
        # The mean power of a hundredth is what a low pass leaves of the squares: in C, not sample by sample.
        both, mean = (
            graph.add("pan", "mono|c0=c0+c1"),
            graph.add("aresample", f"{_HUNDREDTHS}:internal_sample_fmt=dblp"),
        )
        graph.link_nodes(squared, both, mean, graph.add("aformat", "sample_fmts=dbl"), self._sink).configure()
        self._hundredths = array("d")
        self._peak = 0.0 if peak else None
        self._taken = 0

    def take(self, frame: AudioFrame) -> None:
        """The next piece, planar floats."""
        if self._peak is not None:
            # Sample by sample, which takes longer than all the rest.
            # Both sides of what was recorded as one are alike.
            for plane in {bytes(plane)[: frame.samples * 4] for plane in frame.planes}:
                samples = array("f", plane)
                self._peak = max(self._peak, max(samples, default=0.0), -min(samples, default=0.0))
        frame.pts, frame.time_base = self._taken, Fraction(1, RATE)
        self._taken += frame.samples
        self._source.push(frame)
        self._drain()

    def measured(self) -> Loudness:
        """Everything that was taken; ends the measurement."""
        self._source.push(None)
        self._drain()
        power, wide = self._hundredths, round(STEP_S * _HUNDREDTHS)
        steps = (power[at : at + wide] for at in range(0, len(power), wide))
        return Loudness(tuple(max(0.0, sum(step) / len(step)) for step in steps), self._peak)

    def _drain(self) -> None:
        for frame in pulled(self._sink):
            self._hundredths.frombytes(bytes(frame.planes[0])[: frame.samples * 8])


def _gated(steps: Sequence[float]) -> float:
    wide = min(_WINDOW, len(steps))
    if not wide:
        return float("-inf")
    blocks = [sum(steps[at : at + wide]) / wide for at in range(len(steps) - wide + 1)]
    loud = [power for power in blocks if _decibels(power) > _ABSOLUTE]
    if not loud:
        return float("-inf")
    gate = _decibels(sum(loud) / len(loud)) + _RELATIVE
    kept = [power for power in loud if _decibels(power) > gate]
    return _decibels(sum(kept) / len(kept))


def _decibels(power: float, offset: float = -0.691) -> float:
    return offset + 10 * log10(power) if power > 0 else float("-inf")
