"""How a film is laid out: one size and one frame rate for all, and the frames that belong to each shot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, TypeVar

from mcp_server.domain.delivered import RATIO_TOLERANCE

if TYPE_CHECKING:
    from mcp_server.media.joining.source import Source

_RATES: Final = tuple(
    Fraction(*rate) for rate in ((24000, 1001), (24, 1), (25, 1), (30000, 1001), (30, 1), (48, 1), (50, 1), (60, 1))
)
_NEAR: Final = Fraction(1, 2500)
"""Averages over a few seconds miss the rate by a rounding of their clock; 23.976 and 24 are 1/1001 apart."""
FASTEST: Final = Fraction(60)
_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Shape:
    """What every frame of a film is like."""

    width: int
    height: int
    fps: Fraction


@dataclass(frozen=True, slots=True)
class Span:
    """The frames of one shot in the film."""

    first: int
    frames: int
    overlap: int
    """How many of them the shot before is seen in too."""

    @property
    def last(self) -> int:
        """The frame after its last one."""
        return self.first + self.frames


@dataclass(frozen=True, slots=True)
class Part:
    """The frames of one shot: all of its clip, or what lies between two ordered cuts in it."""

    shot: str
    first: int
    last: int
    """The frame after its last one."""
    overlap: int


def shape_of(sources: Sequence[Source]) -> Shape:
    """The shape most of the film's seconds have, as large as its largest clip; the frame rate most seconds have.

    Among equals the earliest shape and the highest rate win; sides are even, since 4:2:0 pictures are.
    """
    ratios = {index: _ratio(index, sources) for index in range(len(sources))}
    ratio = _most((ratios[index], source.duration) for index, source in enumerate(sources))
    largest = max(
        (source for index, source in enumerate(sources) if ratios[index] == ratio),
        key=lambda source: source.width * source.height,
    )
    rates = sorted(((named_rate(source.fps), source.duration) for source in sources), reverse=True)
    return Shape(max(2, largest.width // 2 * 2), max(2, largest.height // 2 * 2), min(FASTEST, _most(rates)))


def spans_of(sources: Sequence[Source], fps: Fraction) -> tuple[Span, ...]:
    """Every shot's frames; a dissolve takes at most half of the shorter of its two shots."""
    counts = [max(1, round(source.duration * fps)) for source in sources]
    spans: list[Span] = []
    at = 0
    for index, (source, frames) in enumerate(zip(sources, counts, strict=True)):
        overlap = 0
        if index and source.clip.begin == "dissolve":
            overlap = min(round(source.clip.dissolve_s * fps), frames // 2, counts[index - 1] // 2)
        spans.append(Span(at - overlap, frames, overlap))
        at += frames - overlap
    return tuple(spans)


def parts_of(sources: Sequence[Source], spans: Sequence[Span], fps: Fraction) -> Iterator[tuple[Part, ...]]:
    """For each clip the shots in it. Cuts are taken to be where they were ordered; the last shot has what is left."""
    for source, span in zip(sources, spans, strict=True):
        shots = source.clip.parts or ((source.clip.shot, 0.0),)
        ends = [span.first + round(Fraction(sum(s for _, s in shots[: at + 1])) * fps) for at in range(len(shots) - 1)]
        ends = [min(end, span.last) for end in ends]
        yield tuple(
            Part(shot, first, last, 0 if at else span.overlap)
            for at, ((shot, _), first, last) in enumerate(
                zip(shots, (span.first, *ends), (*ends, span.last), strict=True)
            )
        )


def named_rate(rate: Fraction) -> Fraction:
    """The usual frame rate this one stands for, else itself."""
    nearest = min(_RATES, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest / rate - 1) < _NEAR else rate.limit_denominator(1001)


def _ratio(index: int, sources: Sequence[Source]) -> int:
    """The first clip of the same shape stands for all of it."""
    shape = Fraction(sources[index].width, sources[index].height)
    for earlier in range(index):
        if abs(Fraction(sources[earlier].width, sources[earlier].height) / shape - 1) <= RATIO_TOLERANCE:
            return earlier
    return index


def _most(weighed: Iterable[tuple[_Value, float | Fraction]]) -> _Value:
    seconds: Counter[_Value] = Counter()
    for value, weight in weighed:
        seconds[value] += round(weight * 1000)
    return seconds.most_common(1)[0][0]
