"""A copy of a clip that is small enough for where it goes: just as long, and what it gives up is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mcp_server.errors import ClipError, LocalError, RequestError
from mcp_server.media.fitted_copy import FittedCopy
from mcp_server.media.joining.cut_list import Clip
from mcp_server.media.joining.reel import colour_of, shot_pictures
from mcp_server.media.joining.sound import Exact
from mcp_server.media.joining.source import Source, clip_of, measured
from mcp_server.media.joining.timeline import Shape, named_rate
from mcp_server.media.part import room_for, whole
from mcp_server.media.probe import opened
from mcp_server.media.sounds import RATE, heard_from
from mcp_server.media.writing import Encoding, encoded

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

    from mcp_server.media.progress import Work

MEGABYTE: Final = 1_000_000
"""The smaller of the two meanings: what fits it fits the other."""
_SIDES: Final = (2160, 1440, 1080, 720, 540, 480, 360, 270, 180)
"""Short sides a picture is made smaller to."""
_GOOD: Final = 0.06
"""Bits for a pixel from which x264's `medium` shows a moving scene without blocks."""
_POOR: Final = 0.03
"""Below it nothing is recognised."""
_SLOWEST: Final = 12
"""Pictures a second below which it is no video."""
_AUDIO: Final = ((1_500_000, 128_000), (700_000, 96_000), (300_000, 64_000), (0, 32_000))
"""Bits a second for all, and how many of them the sound gets; the last is mono."""
_MUXED: Final = 300
"""Bits the container spends on a picture, with the sound that goes with it."""
_AIM: Final = 0.95
"""Of the limit: a rate is met within a few per cent."""
_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class _Plan:
    shape: Shape
    video_bits: int
    audio_bits: int


def fitted(path: str, megabytes: float, work: Work) -> FittedCopy:
    """The copy beside the clip, made when it is not there yet; the clip itself where it is small enough."""
    limit = int(megabytes * MEGABYTE)
    if limit <= 0:
        raise RequestError("A copy has more than no bytes", next_step="Give a size in MB above 0")
    clip = Path(path)
    work.begin("measuring", 0.05, 1)
    try:
        source = measured(Clip(shot="", path=path))
    except ClipError as error:
        raise LocalError(f"No smaller copy can be made of {path}", why=error.why) from error
    if clip.stat().st_size <= limit:
        return _described(clip, source, clip)
    copy = clip.with_name(f"{clip.stem}.fit-{megabytes:g}mb.mp4")
    if not _made(copy, clip, limit):
        with room_for(copy, "The copy"), whole(copy) as part:
            _encode(part, source, limit, work)
    return _described(copy, source, clip)


def _made(copy: Path, clip: Path, limit: int) -> bool:
    try:
        found = copy.stat()
    except FileNotFoundError:
        return False
    return found.st_size <= limit and found.st_mtime_ns >= clip.stat().st_mtime_ns


def _encode(part: Path, source: Source, limit: int, work: Work) -> None:
    """Encodes until it fits: how many bytes a picture takes shows only when it is encoded."""
    aim, size = limit * _AIM, 0
    for attempt in range(_TRIES):
        plan = _planned(source, aim * 8 / float(source.duration))
        if plan is None:
            least = _least(source, Fraction(limit) / Fraction(aim) if attempt else Fraction(1))
            raise RequestError(
                f"No copy of this clip fits into {limit / MEGABYTE:g} MB",
                why=f"{float(source.duration):.0f} s of video that can be watched take {least:g} MB",
                next_step=f"Ask for {least:g} MB or more",
                details={"least_mb": least},
            )
        frames = max(1, round(source.duration * plan.shape.fps))
        work.begin("encoding", 1 - 0.5 ** (attempt + 2), frames)
        pictures = shot_pictures(source, frames, plan.shape, colour_of([source]))
        sound = _sound(source, round(frames / plan.shape.fps * RATE)) if source.heard else None
        encoded(part, _encoding(plan), pictures, sound, work.tick)
        size = part.stat().st_size
        if size <= limit:
            return
        aim *= limit / size * _AIM
    raise LocalError(f"The copy does not become smaller than {size / MEGABYTE:.2f} MB", next_step="Ask for more")


def _planned(source: Source, bits: float) -> _Plan | None:
    """The most that so many bits a second show: the size first, then the frame rate, then how good it looks."""
    fps = named_rate(source.fps)
    audio = next(sound for least, sound in _AUDIO if bits >= least) if source.heard else 0
    for quality, rates in ((_GOOD, (fps,)), (_POOR, (fps, fps / 2))):
        for rate in rates:
            if rate < min(fps, _SLOWEST):
                continue
            video = bits - audio - _MUXED * rate
            for width, height in _sizes(source):
                if video >= quality * width * height * rate:
                    return _Plan(Shape(width, height, rate), int(video), audio)
    return None


def _least(source: Source, overshoot: Fraction) -> float:
    """Megabytes of the smallest copy, rounded up."""
    fps = named_rate(source.fps)
    rate = fps / 2 if fps / 2 >= _SLOWEST else fps
    width, height = _sizes(source)[-1]
    bits = _POOR * width * height * rate + _MUXED * rate + (_AUDIO[-1][1] if source.heard else 0)
    return ceil(float(bits * source.duration) / 8 / _AIM * float(overshoot) / MEGABYTE * 100 + 1) / 100


def _sizes(source: Source) -> list[tuple[int, int]]:
    short = min(source.width, source.height)
    sides = [short, *(side for side in _SIDES if side < short)]
    return [(_even(source.width * side / short), _even(source.height * side / short)) for side in sides]


def _even(side: float) -> int:
    return max(2, round(side / 2) * 2)


def _encoding(plan: _Plan) -> Encoding:
    rate = str(plan.video_bits)
    return Encoding(
        width=plan.shape.width,
        height=plan.shape.height,
        fps=plan.shape.fps,
        x264={"preset": "medium", "b": rate, "maxrate": str(plan.video_bits * 2), "bufsize": str(plan.video_bits * 2)},
        audio_bits=plan.audio_bits,
        mono=plan.audio_bits == _AUDIO[-1][1],
    )


def _sound(source: Source, samples: int) -> Iterator[AudioFrame]:
    with clip_of(source.clip) as container:
        yield from Exact(heard_from(container, source.start)).pieces(samples)


def _described(copy: Path, source: Source, clip: Path) -> FittedCopy:
    """The copy as it lies there, beside the clip."""
    with opened(copy) as container:
        video = container.streams.video[0]
        rate = named_rate(video.average_rate or source.fps)
        width, height = (source.width, source.height) if copy == clip else (video.width, video.height)
        mono = bool(container.streams.audio) and container.streams.audio[0].channels == 1
    size = copy.stat().st_size
    given_up: list[str] = []
    if copy != clip:
        if (width, height) != (source.width, source.height):
            given_up.append(f"size: {width}x{height} instead of {source.width}x{source.height}")
        if rate < named_rate(source.fps):
            given_up.append(f"frame rate: {float(rate):.4g} instead of {float(named_rate(source.fps)):.4g} a second")
        given_up.append(f"bit rate: {_rate(size, source)} instead of {_rate(clip.stat().st_size, source)}")
        if mono:
            given_up.append("sound: mono, as on a telephone")
    return FittedCopy(
        path=str(copy), bytes=size, width=width, height=height, fps=round(float(rate), 3), given_up=tuple(given_up)
    )


def _rate(size: int, source: Source) -> str:
    bits = size * 8 / float(source.duration)
    return f"{bits / 1e6:.1f} Mbit/s" if bits >= 1e6 else f"{bits / 1e3:.0f} kbit/s"
