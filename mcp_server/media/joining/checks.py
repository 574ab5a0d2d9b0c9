"""The finished film against its clips: every shot in, in its place, heard, even, and no seam that shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.media.joining.compared import apart, expected, frozen_run, heard_at
from mcp_server.media.joining.watched import Film, around_cut, watched
from mcp_server.media.probe import is_black

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from mcp_server.media.joining.film import Layout

SAME: Final = 6.0
"""Mean difference of block means, of 255, up to which two pictures are one: encoding makes 1, another shot 20."""
_SURELY: Final = 2.0
_STILL_S: Final = 0.4
_BLACK_FRAMES: Final = 2
_LOUDER: Final = 3.0
"""LU from which a shot stands out."""
_IN_STEP: Final = 0.04
"""Seconds by which sound may miss its picture: less than two frames, and less than people see (ITU-R BT.1359)."""
_AGREES: Final = 0.5
"""Correlation with the shot's own sound, over a bed or through a limiter."""
_LENGTH: Final = 0.1
_OWN: Final = ": the shots themselves are like that"


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found."""

    failed: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[tuple[VideoFrame, ...], ...]
    """The contact sheet's: four pictures of each shot, and between two of them those around their seam."""


def checked(path: Path, layout: Layout, tick: Callable[[], None]) -> Checked:
    """Decodes the film to its end and holds it against its clips; each failed check is a sentence."""
    film = watched(path, layout, tick)
    failed = [*_whole(film, layout), *_sound(film, layout)]
    if film.frames:
        failed += _pictures(film, layout)
    notes: list[str] = []
    for sentence, own in _seams(film, layout):
        (notes if own else failed).append(sentence)
    notes += _cuts(film, layout)
    return Checked(tuple(failed), tuple(notes), film.rows)


def _whole(film: Film, layout: Layout) -> Iterator[str]:
    fps = layout.shape.fps
    if film.broken:
        yield f"the film does not play to its end: {film.broken}"
    if film.frames != layout.frames:
        yield (
            f"the film has {film.frames} pictures ({float(film.frames / fps):.2f} s), its shots less their dissolves "
            f"have {layout.frames} ({float(layout.frames / fps):.2f} s)"
        )
    if abs(film.declared - float(layout.frames / fps)) > _LENGTH:
        yield f"the film says it is {film.declared:.2f} s long and should be {float(layout.frames / fps):.2f} s"
    wrong = film.sizes - {(layout.shape.width, layout.shape.height)}
    if wrong:
        sizes = ", ".join(f"{width}x{height}" for width, height in sorted(wrong))
        yield f"there are pictures of {sizes} in a film of {layout.shape.width}x{layout.shape.height}"
    if film.uneven:
        yield f"the pictures are not evenly spaced: the first gap is after {film.uneven[0]:.2f} s"


def _pictures(film: Film, layout: Layout) -> Iterator[str]:
    for number, (source, middle) in enumerate(zip(layout.sources, film.middles, strict=True)):
        seen = film.grids.get(middle)
        where = f"at {float(middle / layout.shape.fps):.1f} s, where shot {source.clip.shot} should be,"
        if seen is None:
            yield f"{where} there is no picture"
            continue
        own = apart(seen, film.wanted[number])
        if own <= _SURELY:
            continue
        others = [apart(seen, wanted) for wanted in film.wanted]
        other = others.index(min(others))
        if others[other] + _SURELY < own:
            yield f"{where} there is shot {layout.sources[other].clip.shot}"
        elif own > SAME:
            yield f"{where} there is another picture"


def _sound(film: Film, layout: Layout) -> Iterator[str]:
    if film.audio is not layout.audio:
        yield "the film has no sound track" if layout.audio else "the film has a sound track, and no shot has sound"
    if film.heard is None:
        return
    length = float(layout.frames / layout.shape.fps)
    if abs(film.sound_s - length) > _LENGTH:
        yield f"the sound is {film.sound_s:.2f} s long, the pictures {length:.2f} s"
    for source, span, gain in zip(layout.sources, layout.spans, layout.levels.shots, strict=True):
        if not source.heard or source.loudness is None:
            continue
        shot, fps = source.clip.shot, layout.shape.fps
        start, end = float((span.first + span.overlap) / fps), float(span.last / fps)
        level = film.heard.integrated(start, end)
        if level == float("-inf"):
            yield f"shot {shot} has sound and is silent in the film"
            continue
        evened = source.loudness.integrated() + gain
        if abs(evened - layout.levels.target) < 1 and end - start >= 1 and abs(level - evened) > _LOUDER:
            way = "louder" if level > evened else "softer"
            yield f"shot {shot} is {abs(level - evened):.1f} LU {way} than the film"
        agrees, late = heard_at(film, source, span, fps)
        if agrees < _AGREES:
            yield f"what is heard in shot {shot} is not its own sound"
        elif abs(late) > _IN_STEP:
            yield f"the sound of shot {shot} comes {abs(late) * 1000:.0f} ms too {'late' if late > 0 else 'early'}"


def _cuts(film: Film, layout: Layout) -> Iterator[str]:
    """Each shot that does not begin where it was ordered to, inside of a clip with several."""
    for clip in layout.parts:
        for before, part in pairwise(clip):
            around = [film.grids.get(tick) for tick in around_cut(before, part, layout.shape.fps)]
            if None in around or apart(*filter(None, around)) > SAME:
                continue
            yield (
                f"no cut is seen at {float(part.first / layout.shape.fps):.1f} s, where shot {part.shot} was to begin "
                f"in one clip with {before.shot}: its vendor may have set it elsewhere"
            )


def _seams(film: Film, layout: Layout) -> Iterator[tuple[str, bool]]:
    """Each seam that shows, and whether the shots are like that themselves."""
    for index, (one, two) in enumerate(pairwise(layout.sources)):
        ticks = film.seams[index]
        seen = {tick: film.grids[tick] for tick in ticks if tick in film.grids}
        between = f"between shot {one.clip.shot} and shot {two.clip.shot}"
        black = [tick for tick, grid in seen.items() if is_black(grid)]
        still = frozen_run(seen, layout.spans[index + 1].first)
        long = still >= _STILL_S * layout.shape.fps
        if len(black) < _BLACK_FRAMES and not long:
            continue
        wanted = expected(layout, index, ticks)
        if len(black) >= _BLACK_FRAMES:
            own = sum(is_black(grid) for grid in wanted.values()) >= len(black) - 1
            yield f"the seam {between} is black for {len(black)} pictures" + (_OWN if own else ""), own
        elif long:
            own = frozen_run(wanted, layout.spans[index + 1].first) >= still - _BLACK_FRAMES
            seconds = float(still / layout.shape.fps)
            yield f"the picture stands still for {seconds:.1f} s {between}" + (_OWN if own else ""), own
