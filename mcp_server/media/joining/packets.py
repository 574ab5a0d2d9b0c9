"""Joining without encoding: the shots' own packets one after the other, where everything about them matches."""

# PyAV leaves the types of its packets open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.media.joining.source import Source, clip_of
from mcp_server.media.joining.timeline import Shape, Span
from mcp_server.media.writing import AUDIO_BITS, CONTAINER, Soundtrack

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class _Track:
    """What must be the same in every clip whose packets stand in one track."""

    codec: str
    extradata: bytes
    width: int
    height: int
    pixels: str
    time_base: Fraction
    step: int
    """Ticks between two pictures."""
    delay: int
    """Ticks by which the first picture is decoded before it is shown."""


def obstacle(sources: Sequence[Source], spans: Sequence[Span], shape: Shape) -> str:
    """Why the pictures cannot be copied as they are; empty when they can."""
    if len(sources) < 2:
        return "a film of one shot is levelled and indexed anew"
    if any(span.overlap for span in spans):
        return "there are dissolves"
    if any((source.width, source.height) != (shape.width, shape.height) or source.rotation for source in sources):
        return "the shots differ in size"
    first: _Track | None = None
    for source, span in zip(sources, spans, strict=True):
        track = _track(source, span)
        if isinstance(track, str):
            return track
        if first is not None and track != first:
            return f"shot {source.clip.shot} is encoded otherwise than shot {sources[0].clip.shot}"
        first = track
    return ""


def copied(
    path: Path,
    sources: Sequence[Source],
    spans: Sequence[Span],
    fps: Fraction,
    sound: Iterable[AudioFrame] | None,
    tick: Callable[[], None],
) -> None:
    """Writes the file; `tick` is called for every picture."""
    import av

    with av.open(str(path), "w", format="mp4", options=CONTAINER) as out, ExitStack() as ended:
        video: VideoStream | None = None
        audio: Soundtrack | None = None
        for source, span in zip(sources, spans, strict=True):
            with clip_of(source.clip) as container:
                own = container.streams.video[0]
                if video is None:
                    video = out.add_stream_from_template(own)
                    if sound is not None:
                        audio = ended.enter_context(closing(Soundtrack(out, sound, AUDIO_BITS)))
                base = own.time_base or Fraction(1, 1)
                shift = round(span.first / fps / base) - round(source.start / base)
                for packet in container.demux(own):
                    if packet.pts is None or packet.dts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    moment = packet.dts * base
                    packet.stream = video
                    out.mux_one(packet)
                    if audio is not None:
                        audio.until(moment)
                    tick()
        if audio is not None:
            audio.finish()


def _track(source: Source, span: Span) -> _Track | str:
    """The clip's track, or why its packets cannot stand in a row with others."""
    shot = source.clip.shot
    with clip_of(source.clip) as container:
        video = container.streams.video[0]
        packets = [
            (packet.pts, packet.dts, packet.is_keyframe, packet.is_discard)
            for packet in container.demux(video)
            if packet.size
        ]
        if video.codec.name != "h264":
            return f"shot {shot} is not H.264"
        context, base = video.codec_context, video.time_base
        step = (1 / source.fps / base) if base else Fraction(1, 2)
        if base is None or step.denominator != 1 or len(packets) != span.frames:
            return f"the pictures of shot {shot} are not evenly spaced"
        moments = [(pts, dts) for pts, dts, _, _ in packets if pts is not None and dts is not None]
        begin = round(source.start / base)
        if sorted(pts for pts, _ in moments) != [begin + number * int(step) for number in range(span.frames)]:
            return f"the pictures of shot {shot} are not evenly spaced"
        if [dts - moments[0][1] for _, dts in moments] != [number * int(step) for number in range(span.frames)]:
            return f"the pictures of shot {shot} are not evenly decoded"
        if not packets[0][2] or packets[0][0] != begin or any(discarded for *_, discarded in packets):
            return f"shot {shot} does not begin with a key frame"
        return _Track(
            video.codec.name, bytes(context.extradata or b""), context.width, context.height,
            context.pix_fmt or "", base, int(step), moments[0][0] - moments[0][1],
        )  # fmt: skip
