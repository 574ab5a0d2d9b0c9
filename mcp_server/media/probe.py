"""One pass over a file: what it really is."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import sub
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.domain.delivered import Delivered
from mcp_server.domain.file_format import ENOUGH, MATROSKA, sniff
from mcp_server.media.pictures import is_full

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_GRID = (64, 36)
"""Frames are compared as this many block means: codec noise vanishes, a moving digit does not."""
_MATRIX, _LIMITED, _FULL = 1, 1, 2
_DARK = 25
"""Of 255: a tenth of the range above black is noise."""
_DARK_SHARE = 0.98
MOVED = 3
"""A block mean that changed by more is movement; a key frame of a still picture changes it by 1 or 2."""
_SILENCE = 33
"""Peak of a 16-bit sample below -60 dBFS: nobody hears it."""
_STANDS_AT_S = 0.8
"""Early in a clip, but not its first picture, which is often dark."""
_THREADS = 2
"""Enough for 4K in about real time, and it leaves the machine to its user."""


def look(path: str | Path) -> Delivered:
    """What this file is; a file that cannot be opened is an answer too, not an error."""
    return watched(path)[0]


def watched(path: str | Path) -> tuple[Delivered, VideoFrame | None]:
    """The same with the picture that stands for the clip, which the look came by; None where nothing decodes."""
    from av.error import FFmpegError

    try:
        with opened(path) as container:
            if not container.streams.video:
                return Delivered(unreadable="there is no picture in it", audio=bool(container.streams.audio)), None
            return _watch(container, container.streams.video[0])
    except MemoryError:
        # Ours, not the file's: what it holds was not seen.
        raise
    except (FFmpegError, OSError, ValueError) as error:
        return Delivered(unreadable=_words(error)), None


def stands_at(video: VideoStream) -> float:
    """The second at which the picture comes that stands for the clip."""
    length = float(video.duration * video.time_base) if video.duration and video.time_base else 0.0
    return min(_STANDS_AT_S, length / 2)


def opened(path: str | Path) -> InputContainer:
    """The file as the container it begins like, from this machine alone: others name files and addresses to read."""
    import av

    with Path(path).open("rb") as file:
        kind = "matroska" if sniff(file.read(ENOUGH)) is MATROSKA else "mov"
    return av.open(str(path), format=kind, options={"protocol_whitelist": "file", "max_streams": "32"})


def grid_maker() -> Callable[[VideoFrame], bytes]:
    """Makes pictures into block means, to be compared with others; for one thread at a time."""
    from av.video.reformatter import VideoReformatter

    # One scaler for all pictures: setting one up takes four times what scaling does.
    scaler = VideoReformatter()

    def grid(frame: VideoFrame) -> bytes:
        # The numbers alone: a picture that says how it is to be shown is not another one than one that does not.
        small = scaler.reformat(
            frame,
            width=_GRID[0],
            height=_GRID[1],
            format="gray",
            interpolation="AREA",
            src_colorspace=_MATRIX,
            dst_colorspace=_MATRIX,
            src_color_range=_FULL if is_full(frame) else _LIMITED,
            dst_color_range=_FULL,
        )
        plane = small.planes[0]
        raw, stride = bytes(plane), plane.line_size
        if stride == _GRID[0]:
            return raw[: _GRID[0] * _GRID[1]]
        return b"".join(raw[row * stride : row * stride + _GRID[0]] for row in range(_GRID[1]))

    return grid


@dataclass
class _Seen:
    """What has been seen so far."""

    stands_at: float = 0.0
    stands: VideoFrame | None = None
    frames: int = 0
    end: float = 0.0
    width: int = 0
    height: int = 0
    peak: int = 0
    black_s: float = 0.0
    still_s: float = 0.0
    _anchor: bytes = b""
    _anchor_at: float = 0.0
    grid: Callable[[VideoFrame], bytes] = field(default_factory=grid_maker)

    def picture(self, at: float, length: float, grid: bytes) -> None:
        self.frames += 1
        self.end = max(self.end, at + length)
        if is_black(grid):
            self.black_s += length
        if not self._anchor or max(map(abs, map(sub, grid, self._anchor))) > MOVED:
            self._anchor, self._anchor_at = grid, at
        # A run of one frame is not still: it has nothing to be compared with.
        elif at + length - self._anchor_at > self.still_s:
            self.still_s = at + length - self._anchor_at

    def sound(self, samples: array[int]) -> None:
        self.peak = max(self.peak, max(samples, default=0), -min(samples, default=0))


def _watch(container: InputContainer, video: VideoStream) -> tuple[Delivered, VideoFrame | None]:
    video.thread_type = "AUTO"
    video.codec_context.thread_count = _THREADS
    audio = container.streams.audio[0] if container.streams.audio else None
    fps = float(video.average_rate or 0)
    seen = _Seen(stands_at(video))
    broken = _decoded(container, video, audio, seen, fps)
    declared = _declared(container, video)
    if not seen.frames:
        broken = broken or "there is no picture in it"
    elif not broken and video.frames > seen.frames + 1:
        broken = f"it holds {seen.frames} of the {video.frames} pictures it promises"
    width, height = _shown(video, seen)
    delivered = Delivered(
        unreadable=broken,
        duration=seen.end,
        declared=declared,
        width=width,
        height=height,
        frames=seen.frames,
        fps=fps or (seen.frames / seen.end if seen.end else 0.0),
        audio=audio is not None,
        mute=audio is not None and seen.peak < _SILENCE,
        black_s=seen.black_s,
        still_s=seen.still_s,
    )
    return delivered, seen.stands


def _decoded(container: InputContainer, video: VideoStream, audio: AudioStream | None, seen: _Seen, fps: float) -> str:
    """Everything that decodes, into `seen`; why it ends early, or nothing when it does not."""
    import av
    from av.error import FFmpegError

    resampler = av.AudioResampler(format="s16", layout="mono", rate=8000) if audio else None
    try:
        for frame in container.decode(*([video] if audio is None else [video, audio])):
            if isinstance(frame, av.VideoFrame):
                _see(seen, frame, fps)
            elif resampler is not None and isinstance(frame, av.AudioFrame) and seen.peak < _SILENCE:
                for piece in resampler.resample(frame):
                    seen.sound(array("h", bytes(piece.planes[0])[: piece.samples * 2]))
    except MemoryError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        return _words(error)
    return ""


def _see(seen: _Seen, frame: VideoFrame, fps: float) -> None:
    at = frame.time if frame.pts is not None else seen.end
    length = float(frame.duration * frame.time_base) if frame.duration and frame.time_base else 1 / fps if fps else 0.0
    if not seen.frames:
        turned = frame.rotation % 180 == 90
        seen.width, seen.height = (frame.height, frame.width) if turned else (frame.width, frame.height)
    if seen.stands is None or (seen.stands.time or 0.0) < seen.stands_at:
        seen.stands = frame
    seen.picture(at, length, seen.grid(frame))


def is_black(grid: bytes) -> bool:
    """Whether there is nothing to see in a picture."""
    return sum(value <= _DARK for value in grid) >= _DARK_SHARE * len(grid)


def _shown(video: VideoStream, seen: _Seen) -> tuple[int, int]:
    shape = video.codec_context.sample_aspect_ratio
    if shape and shape > 0 and shape != 1:
        return round(seen.width * shape), seen.height
    return seen.width, seen.height


def _declared(container: InputContainer, video: VideoStream) -> float:
    if video.duration is not None and video.time_base is not None:
        return float(video.duration * video.time_base)
    return container.duration / 1_000_000 if container.duration else 0.0


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:] if text else type(error).__name__
