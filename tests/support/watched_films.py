"""A finished film as a person would have it: every picture and every sample, decoded anew."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from math import log10, pi, sin, sqrt
from pathlib import Path

import av

RATE = 48_000
PLACES = ((0.25, 0.5), (0.02, 0.5), (0.97, 0.5), (0.25, 0.02), (0.25, 0.97))
"""Above the middle, top, bottom, left, right; as parts of height and width."""


@dataclass
class Watched:
    """What plays."""

    times: list[float] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)
    lumas: list[list[int]] = field(default_factory=list)
    """For each picture how bright it is at these places."""
    samples: array = field(default_factory=lambda: array("f"))
    streams: list[str] = field(default_factory=list)

    def at(self, second: float) -> list[int]:
        """How bright the picture is at these places at a moment; the first tells the drawn clips apart."""
        return self.lumas[min(range(len(self.times)), key=lambda index: abs(self.times[index] - second))]

    @property
    def steps(self) -> set[float]:
        """Seconds between pictures, in tenths of milliseconds."""
        return {round(two - one, 4) for one, two in zip(self.times, self.times[1:], strict=False)}

    def level(self, start: float, end: float) -> float:
        """Of a stretch, in dB below full scale."""
        part = self.samples[round(start * RATE) : round(end * RATE)]
        power = sum(value * value for value in part) / max(1, len(part))
        return 10 * log10(power) if power > 1e-12 else -120.0

    def tone(self, pitch: int, start: float, end: float) -> float:
        """How loud one tone is in a stretch, in dB below full scale."""
        first = round(start * RATE)
        part = self.samples[first : round(end * RATE)]
        turn = 2 * pi * pitch / RATE
        along = sum(value * sin(turn * index) for index, value in enumerate(part))
        across = sum(value * sin(turn * index + pi / 2) for index, value in enumerate(part))
        size = 2 * sqrt(along**2 + across**2) / max(1, len(part))
        return 20 * log10(size) if size > 1e-6 else -120.0


def watch(path: str | Path) -> Watched:
    """Every picture and every sample of it."""
    seen = Watched()
    with av.open(str(path)) as container:
        seen.streams = [stream.codec_context.name for stream in container.streams]
        for frame in container.decode(video=0):
            seen.times.append(float(frame.pts * frame.time_base))
            seen.sizes.add((frame.width, frame.height))
            plane = frame.planes[0]
            data = bytes(plane)
            seen.lumas.append([data[int(frame.height * y) * plane.line_size + int(frame.width * x)] for y, x in PLACES])
    with av.open(str(path)) as container:
        if container.streams.audio:
            resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
            for frame in container.decode(audio=0):
                for piece in resampler.resample(frame):
                    seen.samples.frombytes(bytes(piece.planes[0])[: piece.samples * 4])
    return seen
