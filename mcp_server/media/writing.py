"""Pictures and sound into one MP4: H.264 and AAC, in step, so that neither piles up in memory."""

# PyAV leaves the types of its packets open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.media.pictures import PIXELS
from mcp_server.media.prefetch import prefetched
from mcp_server.media.sounds import RATE

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from mcp_server.media.pictures import Colour

CRF: Final = 18
"""x264's constant quality: the scale where most people see no difference to the original."""
PRESET: Final = "veryfast"
"""x264's effort: at a constant quality slower ones save bytes, not what is seen."""
AUDIO_BITS: Final = 192_000
"""AAC, stereo: transparent for nearly everything."""
KEY_S: Final = 4
"""Seconds between key frames at most, so that a player seeks at once."""
_SOUND_AHEAD: Final = 64
"""Pieces of sound that are encoded before their pictures: a second or a few."""
_NO_TYPE: Final = 0
CONTAINER: Final = {"movflags": "+faststart"}
"""The index first: a browser plays it while it loads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a film is encoded."""

    width: int
    height: int
    fps: Fraction
    colour: Colour | None = None
    x264: dict[str, str] = field(default_factory=lambda: {"crf": str(CRF), "preset": PRESET})
    audio_bits: int = AUDIO_BITS
    mono: bool = False


def encoded(
    path: Path,
    encoding: Encoding,
    pictures: Iterable[VideoFrame],
    sound: Iterable[AudioFrame] | None,
    tick: Callable[[], None],
) -> None:
    """Writes the file; `tick` is called for every picture."""
    import av

    with av.open(str(path), "w", format="mp4", options=CONTAINER) as out:
        video = _video(out, encoding)
        audio = Soundtrack(out, sound, encoding.audio_bits, mono=encoding.mono) if sound is not None else None
        # Both encoders are opened here, before another thread uses one.
        out.start_encoding()
        with closing(audio) if audio is not None else nullcontext():
            for number, frame in enumerate(pictures):
                frame.pts, frame.time_base = number, 1 / encoding.fps
                frame.duration = 1
                # As decoded it would tell the encoder which pictures to make key frames.
                frame.pict_type = _NO_TYPE
                out.mux(video.encode(frame))
                if audio is not None:
                    audio.until((number + 1) / encoding.fps)
                tick()
            out.mux(video.encode(None))
            if audio is not None:
                audio.finish()


class Soundtrack:
    """The sound track of a file that is written, brought up to a moment at a time.

    A thread of its own mixes and encodes it: whoever encodes pictures waits for none of that.
    """

    def __init__(self, out: OutputContainer, sound: Iterable[AudioFrame], bits: int, *, mono: bool = False) -> None:
        self._out = out
        self._stream: AudioStream = out.add_stream("aac", rate=RATE)
        self._stream.codec_context.layout = "mono" if mono else "stereo"
        self._stream.codec_context.bit_rate = bits
        self._made = prefetched(self._encoded(sound), _SOUND_AHEAD)
        self._at = 0

    def until(self, moment: Fraction) -> None:
        """Everything that is heard before it."""
        while self._at < moment * RATE and (made := next(self._made, None)) is not None:
            self._at, packets = made
            self._out.mux(packets)

    def finish(self) -> None:
        """All that is left."""
        for _, packets in self._made:
            self._out.mux(packets)

    def close(self) -> None:
        """Make no more of it, before the file is closed."""
        self._made.close()

    def _encoded(self, sound: Iterable[AudioFrame]) -> Iterator[tuple[int, list[Packet[AudioStream]]]]:
        """The packets, and up to which sample there are such."""
        at = 0
        for frame in sound:
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            at += frame.samples
            yield at, self._stream.encode(frame)
        yield at, self._stream.encode(None)


def _video(out: OutputContainer, encoding: Encoding) -> VideoStream:
    stream = out.add_stream("libx264", rate=encoding.fps, options=encoding.x264)
    stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, PIXELS
    context = stream.codec_context
    # Several pictures at once, as x264 does by itself; PyAV's default, slices of one, takes a sixth more of the
    # processor and makes larger files.
    context.thread_type = "AUTO"
    context.gop_size = round(KEY_S * encoding.fps)
    if encoding.colour is not None:
        context.colorspace = encoding.colour.space
        context.color_primaries = encoding.colour.primaries
        context.color_trc = encoding.colour.transfer
        context.color_range = 2 if encoding.colour.full else 1
    return stream
