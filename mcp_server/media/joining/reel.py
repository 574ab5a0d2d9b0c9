"""The film's pictures from the first to the last, shot after shot, two at a time while one dissolves into the next."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from mcp_server.media.joining.source import THREADS, Source, clip_of, damaged
from mcp_server.media.joining.timeline import Shape, Span
from mcp_server.media.pictures import BT709, Colour, Letterbox, blended, steady

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_MISSING = 2
"""Pictures a file may promise and not hold: encoders end a track one early."""


def colour_of(sources: Sequence[Source]) -> Colour:
    """What all pictures of the film mean: what they mean already where they agree, else BT.709."""
    first = sources[0].colour
    return first if not first.full and all(source.colour == first for source in sources) else BT709


def pictures_of(sources: Sequence[Source], spans: Sequence[Span], shape: Shape) -> Iterator[VideoFrame]:
    """Every picture of the film, letterboxed, at the film's rate."""
    colour = colour_of(sources)
    before: Generator[VideoFrame] | None = None
    for index, (source, span) in enumerate(zip(sources, spans, strict=True)):
        shot = shot_pictures(source, span.frames, shape, colour)
        if before is not None:
            for step in range(span.overlap):
                yield blended(next(before), next(shot), (step + 1) / (span.overlap + 1))
            before.close()
        until = spans[index + 1].first if index + 1 < len(spans) else span.last
        for _ in range(span.first + span.overlap, until):
            yield next(shot)
        before = shot


def decoder(container: InputContainer) -> VideoStream:
    """The clip's picture track, decoded by a few threads."""
    video = container.streams.video[0]
    video.thread_type = "AUTO"
    video.codec_context.thread_count = THREADS
    return video


def shot_pictures(source: Source, count: int, shape: Shape, colour: Colour) -> Generator[VideoFrame]:
    """So many pictures of one clip, letterboxed, at a steady rate."""
    box = Letterbox(shape.width, shape.height, colour)
    with clip_of(source.clip) as container:
        video = decoder(container)
        pixel = video.codec_context.sample_aspect_ratio
        for frame in steady(_whole(source, container, video), source.start, shape.fps, count):
            yield box.fit(frame, pixel)


def _whole(source: Source, container: InputContainer, video: VideoStream) -> Iterator[VideoFrame]:
    """Every picture the clip holds; a ClipError where it breaks off."""
    seen, end = 0, Fraction(0)
    for frame in container.decode(video):
        seen += 1
        end = frame.pts * frame.time_base - source.start if frame.pts is not None and frame.time_base else end
        yield frame
    if seen < source.pictures - _MISSING:
        raise damaged(source.clip, f"it breaks off after {float(end):.1f} of {float(source.duration):.1f} s")
