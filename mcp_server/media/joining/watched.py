"""One pass over the finished film: its pictures, their times, its sound, and what the checks want to see again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.media.frames import small
from mcp_server.media.joining.compared import narrow, picture_at
from mcp_server.media.joining.loudness import Loudness, Meter
from mcp_server.media.joining.reel import decoder
from mcp_server.media.probe import grid_of, opened
from mcp_server.media.sounds import RATE, heard_from

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mcp_server.media.joining.film import Layout

COLUMNS: Final = 4
"""Pictures of each shot on the sheet."""
_AROUND_S: Final = 0.5
"""Seconds before and after a seam that are looked at."""


@dataclass
class Film:
    """What was seen and heard."""

    middles: list[int]
    """For each shot the picture in the middle of what is its alone."""
    seams: list[range]
    """For each seam the pictures around it."""
    wanted: list[bytes] = field(default_factory=list[bytes])
    """For each shot what its clip shows at its middle."""
    frames: int = 0
    declared: float = 0.0
    broken: str = ""
    sizes: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    uneven: list[float] = field(default_factory=list[float])
    grids: dict[int, bytes] = field(default_factory=dict[int, bytes])
    tiles: tuple[VideoFrame, ...] = ()
    audio: bool = False
    heard: Loudness | None = None
    sound_s: float = 0.0
    samples: array[int] = field(default_factory=lambda: array("h"))
    """The sound as 4 kHz mono."""


def watched(path: Path, layout: Layout, tick: Callable[[], None]) -> Film:
    """Everything the checks need of the film, and the middle pictures of its clips."""
    film = Film(_middles(layout), _seams(layout))
    film.wanted = [
        picture_at(source, middle - span.first, layout)
        for source, span, middle in zip(layout.sources, layout.spans, film.middles, strict=True)
    ]
    start = _watch(path, layout, film, tick)
    _listen(path, start, film)
    return film


def _watch(path: Path, layout: Layout, film: Film, tick: Callable[[], None]) -> Fraction:
    from av.error import FFmpegError

    wanted = {*film.middles, *(number for seam in film.seams for number in seam)}
    shown = dict.fromkeys(_tiles(layout))
    tiles: dict[int, VideoFrame] = {}
    start, step = Fraction(0), 1 / layout.shape.fps
    try:
        with opened(path) as container:
            video = decoder(container)
            base = video.time_base or Fraction(1)
            film.declared = float((video.duration or 0) * base)
            for number, frame in enumerate(container.decode(video)):
                at = (frame.pts or 0) * base
                start = start if number else at
                if abs(at - start - number * step) > base:
                    film.uneven.append(float(number * step))
                film.sizes.add((frame.width, frame.height))
                if number in wanted:
                    film.grids[number] = grid_of(frame)
                if number in shown:
                    tiles[number] = small(frame, len(layout.sources), COLUMNS)
                film.frames += 1
                tick()
    except (FFmpegError, OSError, ValueError) as error:
        film.broken = getattr(error, "strerror", None) or str(error)
    if tiles:
        blank = next(iter(tiles.values()))
        film.tiles = tuple(tiles.get(number, blank) for number in _tiles(layout))
    return start


def _listen(path: Path, start: Fraction, film: Film) -> None:
    from av.error import FFmpegError

    meter, band = Meter(), narrow()
    try:
        with opened(path) as container:
            film.audio = bool(container.streams.audio)
            if not film.audio:
                return
            for frame in heard_from(container, start):
                film.sound_s += frame.samples / RATE
                meter.take(frame)
                film.samples.extend(band(frame))
    except (FFmpegError, OSError, ValueError) as error:
        film.broken = film.broken or getattr(error, "strerror", None) or str(error)
    film.heard = meter.measured()


def _middles(layout: Layout) -> list[int]:
    ends = [*(span.first for span in layout.spans[1:]), layout.frames]
    return [
        (span.first + span.overlap + max(end - 1, span.first)) // 2
        for span, end in zip(layout.spans, ends, strict=True)
    ]


def _seams(layout: Layout) -> list[range]:
    around = max(2, round(_AROUND_S * layout.shape.fps))
    return [
        range(max(before.first, span.first - around), min(span.last, span.first + span.overlap + around))
        for before, span in zip(layout.spans, layout.spans[1:], strict=False)
    ]


def _tiles(layout: Layout) -> Sequence[int]:
    """For each shot: first (a dissolve's middle), after a third, after two, last before the next begins."""
    ends = [*(span.first for span in layout.spans[1:]), layout.frames]
    found: list[int] = []
    for span, end in zip(layout.spans, ends, strict=True):
        last = max(end - 1, span.first)
        found += [
            span.first + span.overlap // 2,
            span.first + (last - span.first) // 3,
            span.first + (last - span.first) * 2 // 3,
            last,
        ]
    return found
