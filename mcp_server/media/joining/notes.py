"""What was done to make the shots fit each other, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from mcp_server.media.joining.levels import WORTH_SAYING
from mcp_server.media.joining.timeline import named_rate

if TYPE_CHECKING:
    from mcp_server.media.joining.film import Layout
    from mcp_server.media.joining.source import Source

_HDR = frozenset({16, 18})
"""Transfer functions of HDR: PQ and HLG."""


def notes_of(layout: Layout, obstacle: str) -> Iterator[str]:
    """Everything that is not simply the shot as it was."""
    from mcp_server.media.writing import CRF, PRESET

    if obstacle:
        yield f"the pictures were encoded once (H.264, CRF {CRF}, {PRESET}): {obstacle}"
    else:
        yield "the pictures are the shots' own, copied"
    for source in layout.sources:
        yield from _picture(layout, source)
    for source, span in zip(layout.sources, layout.spans, strict=True):
        wanted = source.clip.dissolve_s if source.clip.begin == "dissolve" and source is not layout.sources[0] else 0
        if wanted - float(span.overlap / layout.shape.fps) > 1 / layout.shape.fps:
            yield (
                f"shot {source.clip.shot} dissolves in {float(span.overlap / layout.shape.fps):.2f} s instead of "
                f"{wanted:g} s: more than half of a shot is not dissolved"
            )
    yield from _sound(layout)


def _picture(layout: Layout, source: Source) -> Iterator[str]:
    shot, shape = source.clip.shot, layout.shape
    size = f"{source.width}x{source.height}"
    if (source.width, source.height) != (shape.width, shape.height):
        scale = min(shape.width / source.width, shape.height / source.height)
        room = max(shape.width - source.width * scale, shape.height - source.height * scale)
        done = "letterboxed" if room >= 8 else "enlarged" if scale > 1 else "made smaller"
        yield f"shot {shot} is {size}, {done} to {shape.width}x{shape.height}"
    if named_rate(source.fps) != shape.fps:
        yield f"shot {shot} has {float(source.fps):.4g} pictures a second, shown at {float(shape.fps):.4g}"
    if source.colour.transfer in _HDR:
        yield f"shot {shot} is HDR, and the film is not: its colours look pale"


def _sound(layout: Layout) -> Iterator[str]:
    if not layout.audio:
        yield "no shot has sound, so the film has none"
        return
    for source, gain in zip(layout.sources, layout.levels.shots, strict=True):
        shot = source.clip.shot
        if source.loudness is None:
            yield f"shot {shot} has no sound track: silence"
        elif not source.heard:
            yield f"the sound track of shot {shot} holds only silence"
        elif abs(gain) >= WORTH_SAYING:
            yield f"shot {shot} was made {abs(gain):.1f} dB {'louder' if gain > 0 else 'softer'}"
    if layout.bed is not None and len(layout.bed.steps) / 10 < layout.frames / layout.shape.fps - 1:
        yield f"the sound laid under the film ends after {len(layout.bed.steps) / 10:.0f} s"
