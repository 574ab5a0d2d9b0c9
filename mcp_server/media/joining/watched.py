"""One pass over the finished film: its pictures, their times, its sound, and what the checks want to see again."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.media.frames import small
from mcp_server.media.joining.compared import narrow, picture_at
from mcp_server.media.joining.loudness import Loudness, Meter
from mcp_server.media.joining.reel import decoder
from mcp_server.media.probe import grid_maker, opened
from mcp_server.media.sounds import RATE, heard_from

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mcp_server.media.joining.film import Layout
    from mcp_server.media.joining.timeline import Part

_COLUMNS: Final = 4
"""Pictures of each shot on the sheet."""
_AT_SEAM: Final = 8
"""Pictures of each seam on the sheet, one after the other, half of them before it."""
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
    rows: tuple[tuple[VideoFrame, ...], ...] = ()
    """Of the contact sheet."""
    audio: bool = False
    heard: Loudness | None = None
    sound_s: float = 0.0
    samples: array[int] = field(default_factory=lambda: array("h"))
    """The sound as 4 kHz mono."""


def watched(path: Path, layout: Layout, tick: Callable[[], None]) -> Film:
    """Everything the checks need of the film, and the middle pictures of its clips."""
    film = Film(_middles(layout), _seams(layout))
    begun: Future[Fraction] = Future()
    # Decoders do not hold the interpreter: the film is seen while its clips are looked at and it is heard.
    with ThreadPoolExecutor(1) as beside:
        other = beside.submit(_compare_and_listen, path, layout, film, begun)
        try:
            _watch(path, layout, film, begun, tick)
        finally:
            if not begun.done():
                begun.set_result(Fraction(0))
        unheard = other.result()
    film.broken = film.broken or unheard
    return film


def _compare_and_listen(path: Path, layout: Layout, film: Film, begun: Future[Fraction]) -> str:
    """The middles of the film's clips, and its sound; why that breaks off, or nothing where it does not."""
    film.wanted = [
        picture_at(source, middle - span.first, layout)
        for source, span, middle in zip(layout.sources, layout.spans, film.middles, strict=True)
    ]
    return _listen(path, begun.result(), film)


def _watch(path: Path, layout: Layout, film: Film, begun: Future[Fraction], tick: Callable[[], None]) -> None:
    """Every picture; `begun` hears when the first is shown."""
    from av.error import FFmpegError

    wanted = {*film.middles, *(number for seam in film.seams for number in seam), *_inner(layout)}
    rows = _rows(layout)
    shown: dict[int, set[int]] = {}
    for row in rows:
        for number in row:
            shown.setdefault(number, set()).add(len(row))
    tiles: dict[tuple[int, int], VideoFrame] = {}
    start, step, grid = Fraction(0), 1 / layout.shape.fps, grid_maker()
    try:
        with opened(path) as container:
            video = decoder(container)
            base = video.time_base or Fraction(1)
            film.declared = float((video.duration or 0) * base)
            for number, frame in enumerate(container.decode(video)):
                at = (frame.pts or 0) * base
                if not number:
                    start = at
                    begun.set_result(start)
                if abs(at - start - number * step) > base:
                    film.uneven.append(float(number * step))
                film.sizes.add((frame.width, frame.height))
                if number in wanted:
                    film.grids[number] = grid(frame)
                for columns in shown.get(number, ()):
                    tiles[number, columns] = small(frame, rows, columns)
                film.frames += 1
                tick()
    except (FFmpegError, OSError, ValueError) as error:
        film.broken = getattr(error, "strerror", None) or str(error)
    # What the film does not hold has no place on it.
    held = (tuple(tiles[number, len(row)] for number in row if (number, len(row)) in tiles) for row in rows)
    film.rows = tuple(row for row in held if row)


def _listen(path: Path, start: Fraction, film: Film) -> str:
    """The film's sound; why it breaks off, or nothing where it does not."""
    from av.error import FFmpegError

    meter, band, broken = Meter(peak=False), narrow(), ""
    try:
        with opened(path) as container:
            film.audio = bool(container.streams.audio)
            if not film.audio:
                return ""
            for frame in heard_from(container, start):
                film.sound_s += frame.samples / RATE
                meter.take(frame)
                film.samples.extend(band(frame))
    except (FFmpegError, OSError, ValueError) as error:
        broken = getattr(error, "strerror", None) or str(error)
    film.heard = meter.measured()
    return broken


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


def around_cut(before: Part, part: Part, fps: Fraction) -> tuple[int, int]:
    """A picture before and one after an ordered cut inside a clip: far enough that a late cut lies between them."""
    away = max(1, round(_AROUND_S * fps))
    return max(before.first, part.first - away), min(part.last - 1, part.first + away)


def _inner(layout: Layout) -> Iterator[int]:
    for clip in layout.parts:
        for before, part in pairwise(clip):
            yield from around_cut(before, part, layout.shape.fps)


def _rows(layout: Layout) -> list[list[int]]:
    """The pictures of the contact sheet: of each shot, and between two of them those around the seam."""
    parts = [part for clip in layout.parts for part in clip]
    ends = [*(part.first for part in parts[1:]), layout.frames]
    rows: list[list[int]] = []
    for part, end in zip(parts, ends, strict=True):
        if rows:
            rows.append(_around(part, layout.frames))
        rows.append(_of_shot(part, end))
    return rows


def _of_shot(part: Part, end: int) -> list[int]:
    """Its first picture (of a dissolve the middle), after a third, after two, the last before the next begins."""
    last = max(end - 1, part.first)
    third = (last - part.first) // (_COLUMNS - 1)
    return [part.first + part.overlap // 2, part.first + third, part.first + 2 * third, last]


def _around(part: Part, frames: int) -> list[int]:
    """Pictures in a row around a cut; of a dissolve from its beginning to its end."""
    if part.overlap:
        steps = [round(part.overlap * (step - 0.5) / (_AT_SEAM - 2)) for step in range(_AT_SEAM)]
    else:
        steps = [step - _AT_SEAM // 2 for step in range(_AT_SEAM)]
    return [min(max(part.first + step, 0), frames - 1) for step in steps]
