"""The way from a cut list to a film: measured, laid out, written once, checked by what it shows, named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.errors import RequestError
from mcp_server.media.frames import rows_beside
from mcp_server.media.joining import packets
from mcp_server.media.joining.checks import checked
from mcp_server.media.joining.cut_list import CutList, JoinedFilm, Placed
from mcp_server.media.joining.levels import Levels, levels_of
from mcp_server.media.joining.loudness import Loudness
from mcp_server.media.joining.notes import notes_of
from mcp_server.media.joining.reel import colour_of, pictures_of
from mcp_server.media.joining.sound import Mix, bed_loudness, mixed
from mcp_server.media.joining.source import Source, measured
from mcp_server.media.joining.timeline import Part, Shape, Span, parts_of, shape_of, spans_of
from mcp_server.media.part import room_for, whole
from mcp_server.media.writing import Encoding, encoded

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.frame import VideoFrame

    from mcp_server.media.progress import Work

_PIECE: Final = 1024 * 1024
_MEASURED, _WRITTEN = 0.05, 0.8
"""Parts of the whole time by which the clips are measured and the film is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A film before it is written."""

    cut_list: CutList
    sources: tuple[Source, ...]
    shape: Shape
    spans: tuple[Span, ...]
    levels: Levels
    bed: Loudness | None

    @property
    def frames(self) -> int:
        """Of the whole film."""
        return self.spans[-1].last

    @property
    def parts(self) -> tuple[tuple[Part, ...], ...]:
        """For each clip the shots in it."""
        return tuple(parts_of(self.sources, self.spans, self.shape.fps))

    @property
    def audio(self) -> bool:
        """Whether there is anything to hear."""
        return self.bed is not None or any(source.heard for source in self.sources)

    def sound(self) -> Iterator[AudioFrame] | None:
        """The film's sound, from its beginning."""
        if not self.audio:
            return None
        return mixed(
            Mix(
                sources=self.sources,
                spans=self.spans,
                fps=self.shape.fps,
                levels=self.levels,
                bed=self.cut_list.sound,
            )
        )


def joined(cut_list: CutList, work: Work) -> JoinedFilm:
    """The film under its final name, looked into; a KlingError where there is none, and then nothing is left behind."""
    layout = _laid_out(cut_list, work)
    target = Path(cut_list.target)
    obstacle = packets.obstacle(layout.sources, layout.spans, layout.shape)
    with room_for(target, "The film"), whole(target) as part:
        _write(part, layout, work, copy=not obstacle)
        work.begin("checking", 1.0, layout.frames)
        seen = checked(part, layout, work.tick)
        if seen.failed and not obstacle:
            # The seams of a copy are proved by what they show, or it is none.
            obstacle = f"copied they would not do, {seen.failed[0]}"
            _write(part, layout, work, copy=False)
            seen = checked(part, layout, work.tick)
        facts = _facts(part)
        # The sheet of what stood there before is none of this film.
        target.with_suffix(".sheet.jpg").unlink(missing_ok=True)
    sheet, without = _sheet(target, seen.rows)
    return JoinedFilm(
        path=str(target),
        sha256=facts[0],
        bytes=facts[1],
        duration=round(float(layout.frames / layout.shape.fps), 3),
        frames=layout.frames,
        width=layout.shape.width,
        height=layout.shape.height,
        fps=round(float(layout.shape.fps), 3),
        audio=layout.audio,
        copied=not obstacle,
        shots=tuple(_placed(layout)),
        failed_checks=seen.failed,
        notes=(*notes_of(layout, obstacle), *seen.notes, *without),
        sheet=sheet,
    )


def _laid_out(cut_list: CutList, work: Work) -> Layout:
    if not cut_list.clips:
        raise RequestError("There is nothing to join: the cut list has no clips")
    work.begin("measuring", _MEASURED, len(cut_list.clips))
    sources: list[Source] = []
    for clip in cut_list.clips:
        sources.append(measured(clip))
        work.tick()
    shape = shape_of(sources)
    bed = bed_loudness(cut_list.sound) if cut_list.sound else None
    return Layout(
        cut_list=cut_list,
        sources=tuple(sources),
        shape=shape,
        spans=spans_of(sources, shape.fps),
        levels=levels_of([source.loudness for source in sources], bed),
        bed=bed,
    )


def _write(part: Path, layout: Layout, work: Work, *, copy: bool) -> None:
    work.begin("joining", _WRITTEN, layout.frames)
    if copy:
        packets.copied(part, layout.sources, layout.spans, layout.shape.fps, layout.sound(), work.tick)
        return
    shape = layout.shape
    encoding = Encoding(width=shape.width, height=shape.height, fps=shape.fps, colour=colour_of(layout.sources))
    encoded(part, encoding, pictures_of(layout.sources, layout.spans, shape), layout.sound(), work.tick)


def _sheet(target: Path, rows: Sequence[Sequence[VideoFrame]]) -> tuple[str, tuple[str, ...]]:
    """The contact sheet beside the film; where it cannot be written the film stands without one, and that is said."""
    if not rows:
        return "", ()
    try:
        return str(rows_beside(target, rows)), ()
    except OSError as error:
        return "", (f"there is no contact sheet: {error.strerror or error}",)


def _facts(part: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with part.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return digest.hexdigest(), size


def _placed(layout: Layout) -> Iterator[Placed]:
    fps = layout.shape.fps
    for part in (part for clip in layout.parts for part in clip):
        yield Placed(
            shot=part.shot,
            start=round(float(part.first / fps), 3),
            end=round(float(part.last / fps), 3),
        )
