"""One clip of a film, measured before anything is joined: its pictures' times, its shape, how loud it is."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.errors import ClipError
from mcp_server.media.joining.cut_list import Clip
from mcp_server.media.joining.loudness import Loudness, Meter
from mcp_server.media.part import FULL
from mcp_server.media.pictures import Colour
from mcp_server.media.probe import opened
from mcp_server.media.sounds import heard_from

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

THREADS: Final = 3
"""Of a decoder: two pictures are decoded ahead while an encoder takes what it gets."""
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What is known of a clip."""

    clip: Clip
    width: int
    height: int
    """As shown: pixel shape and rotation are applied."""
    rotation: int
    """Degrees counter-clockwise by which it is shown turned."""
    fps: Fraction
    start: Fraction
    """When its first picture is shown, by its own clock."""
    duration: Fraction
    """Seconds of picture, from the first one to the end of the last."""
    pictures: int
    colour: Colour
    loudness: Loudness | None
    """None where it has no sound track."""

    @property
    def heard(self) -> bool:
        """Whether there is anything to hear in it."""
        return self.loudness is not None and not self.loudness.silent


def measured(clip: Clip) -> Source:
    """The clip as it lies there; a ClipError where it cannot be used."""
    with clip_of(clip) as container:
        _same_file(clip)
        video = container.streams.video[0]
        first, end, pictures = _times(container, video)
        if not pictures:
            raise damaged(clip, "there is no picture in it")
        base = video.time_base or Fraction(1, 1)
        picture = _first_picture(container, video)
    duration = (end - first) * base
    turned = picture.rotation % 180 == 90
    wide = _square(picture.width, video.codec_context.sample_aspect_ratio)
    return Source(
        clip=clip,
        width=picture.height if turned else wide,
        height=wide if turned else picture.height,
        rotation=picture.rotation,
        fps=_rate(video, pictures, duration),
        start=first * base,
        duration=duration,
        pictures=pictures,
        colour=Colour.of(picture),
        loudness=_loudness(clip, first * base),
    )


@contextmanager
def clip_of(clip: Clip) -> Generator[InputContainer]:
    """The clip's file, with every way it can fail said in our words and under the shot's name."""
    from av.error import FFmpegError

    try:
        with opened(clip.path) as container:
            if not container.streams.video:
                raise damaged(clip, "there is no picture in it")
            yield container
    except FileNotFoundError:
        raise ClipError(
            f"The clip of shot {clip.shot} is not there: {clip.path}",
            why="it was moved or deleted",
            next_step=f"Put the file back, or film shot {clip.shot} again; all other shots are kept",
            shot=clip.shot,
        ) from None
    except (FFmpegError, OSError, ValueError) as error:
        if getattr(error, "errno", None) in FULL:
            # It was the film that could not be written: nobody shall buy a good shot again for that.
            raise
        raise damaged(clip, getattr(error, "strerror", None) or str(error)) from error


def damaged(clip: Clip, why: str) -> ClipError:
    """The refusal of a clip that does not play."""
    return ClipError(
        f"The clip of shot {clip.shot} cannot be joined: {clip.path}",
        why=why[:1].lower() + why[1:],
        next_step=f"Film shot {clip.shot} again, or give another file for it; all other shots are kept",
        shot=clip.shot,
    )


def _same_file(clip: Clip) -> None:
    if not clip.sha256:
        return
    digest = hashlib.sha256()
    with Path(clip.path).open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    if digest.hexdigest() != clip.sha256:
        raise ClipError(
            f"The clip of shot {clip.shot} is another file than the one that was saved: {clip.path}",
            why=f"its SHA-256 is {digest.hexdigest()[:12]}…, not {clip.sha256[:12]}…",
            next_step=f"Put the file back, or film shot {clip.shot} again; all other shots are kept",
            shot=clip.shot,
        )


def _times(container: InputContainer, video: VideoStream) -> tuple[int, int, int]:
    """First moment, last moment and number of the pictures that are shown, from the packets alone."""
    first = end = None
    pictures = 0
    step = round(1 / (video.average_rate * video.time_base)) if video.average_rate and video.time_base else 0
    for packet in container.demux(video):
        # What an edit list leaves out is decoded and not shown.
        if packet.pts is None or packet.is_discard:
            continue
        pictures += 1
        first = packet.pts if first is None else min(first, packet.pts)
        end = max(end or 0, packet.pts + (packet.duration or step))
    return first or 0, end or 0, pictures


def _first_picture(container: InputContainer, video: VideoStream) -> VideoFrame:
    container.seek(0)
    return next(iter(container.decode(video)))


def _rate(video: VideoStream, pictures: int, duration: Fraction) -> Fraction:
    return video.average_rate or (pictures / duration if duration else Fraction(24))


def _square(width: int, shape: Fraction | None) -> int:
    return round(width * shape) if shape and shape > 0 else width


def _loudness(clip: Clip, start: Fraction) -> Loudness | None:
    with clip_of(clip) as container:
        if not container.streams.audio:
            return None
        meter = Meter()
        for frame in heard_from(container, start):
            meter.take(frame)
    return meter.measured()
