"""A film's pictures and sounds beside those of its clips."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from math import sqrt
from operator import mul, sub
from typing import TYPE_CHECKING, Final

from mcp_server.media.joining.reel import colour_of, decoder
from mcp_server.media.joining.source import Source, clip_of
from mcp_server.media.pictures import Letterbox, steady
from mcp_server.media.probe import MOVED, grid_maker
from mcp_server.media.sounds import heard_from

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from mcp_server.media.joining.film import Layout
    from mcp_server.media.joining.timeline import Span
    from mcp_server.media.joining.watched import Film

BAND: Final = 4_000
"""Samples a second at which sounds are compared: speech and music are all below 2 kHz."""
_WINDOW_S: Final = 0.5
_LAG_S: Final = 0.1
_SURELY: Final = 0.9
_AUDIBLE: Final = 30.0
"""Mean of 16-bit samples in the band above which they can be compared: below it is hiss."""


def apart(one: bytes, two: bytes) -> float:
    """Mean difference of two grids, of 255."""
    return sum(map(abs, map(sub, one, two))) / len(one)


def picture_at(source: Source, tick: int, layout: Layout) -> bytes:
    """What the clip shows at a tick of the film's rate, letterboxed like the film, as a grid."""
    return _grids(source, range(tick, tick + 1), layout).get(tick, b"")


def expected(layout: Layout, seam: int, ticks: range) -> dict[int, bytes]:
    """What the clips show around the seam after shot number `seam`: both, where they dissolve."""
    found: dict[int, bytes] = {}
    for source, span in zip(layout.sources[seam : seam + 2], layout.spans[seam : seam + 2], strict=True):
        own = range(max(ticks.start, span.first) - span.first, min(ticks.stop, span.last) - span.first)
        for tick, grid in _grids(source, own, layout).items():
            at = tick + span.first
            found[at] = bytes((a + b) // 2 for a, b in zip(found[at], grid, strict=True)) if at in found else grid
    return found


def frozen_run(grids: Mapping[int, bytes], seam: int) -> int:
    """How many pictures in a row show the same, the last before the seam or the first after it among them."""
    best = 0
    for anchor in sorted(grids):
        run, at = 0, anchor
        while at in grids and max(map(abs, map(sub, grids[at], grids[anchor]))) <= MOVED:
            run, at = run + 1, at + 1
        if anchor <= seam <= at:
            best = max(best, run)
    return best


def heard_at(film: Film, source: Source, span: Span, fps: Fraction) -> tuple[float, float]:
    """How much the film's sound there is the clip's own, from 0 to 1, and how many seconds late it comes."""
    alone = float(span.overlap / fps)
    if source.loudness is None:
        return 1.0, 0.0
    at = source.loudness.loudest(_WINDOW_S, alone, float(span.frames / fps))
    first = round(at * BAND)
    own = _band_of(source, first + round(_WINDOW_S * BAND))[first:]
    power = sqrt(sum(map(mul, own, own)))
    if not own or power < _AUDIBLE * sqrt(len(own)):
        return 1.0, 0.0
    begin, lags = round((float(span.first / fps) + at) * BAND), round(_LAG_S * BAND)
    best, late = 0.0, 0
    for lag in sorted(range(-lags, lags + 1), key=abs):
        agrees = _correlation(own, power, film.samples, begin + lag)
        if agrees > best:
            best, late = agrees, lag
        if best > _SURELY:
            break
    return best, late / BAND


def narrow() -> Callable[[AudioFrame], Iterable[int]]:
    """Makes a sound, piece by piece, one to be compared."""
    import av

    resampler = av.AudioResampler(format="s16", layout="mono", rate=BAND)

    def samples(frame: AudioFrame) -> Iterable[int]:
        frame.pts = None
        for piece in resampler.resample(frame):
            yield from array("h", bytes(piece.planes[0])[: piece.samples * 2])

    return samples


def _grids(source: Source, ticks: range, layout: Layout) -> dict[int, bytes]:
    """The clip's pictures at these ticks, from the key frame before the first."""
    shape = layout.shape
    box = Letterbox(shape.width, shape.height, colour_of(layout.sources))
    found: dict[int, bytes] = {}
    grid = grid_maker()
    with clip_of(source.clip) as container:
        video = decoder(container)
        base = video.time_base or Fraction(1)
        if ticks.start > 0:
            container.seek(int((source.start + ticks.start / shape.fps) / base), stream=video)
        pixel = video.codec_context.sample_aspect_ratio
        for tick, frame in enumerate(steady(container.decode(video), source.start, shape.fps, ticks.stop)):
            if tick in ticks:
                found[tick] = grid(box.fit(frame, pixel))
    return found


def _band_of(source: Source, samples: int) -> array[int]:
    """So many samples of the clip's own sound, from its beginning."""
    band, found = narrow(), array("h")
    with clip_of(source.clip) as container:
        for frame in heard_from(container, source.start):
            found.extend(band(frame))
            if len(found) >= samples:
                break
    return found[:samples]


def _correlation(own: array[int], power: float, film: array[int], at: int) -> float:
    if at < 0:
        return 0.0
    there = film[at : at + len(own)]
    other = sqrt(sum(map(mul, there, there)))
    return sum(map(mul, own, there)) / (power * other) if other else 0.0
