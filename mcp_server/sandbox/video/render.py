"""Simulated clips: real H.264 and AAC in MP4, that say on every frame that they are simulated."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from math import pi, sin
from pathlib import Path
from random import Random
from typing import Any, Final, Literal
from zlib import crc32

from mcp_server.sandbox.jobs import Scene
from mcp_server.sandbox.video import font
from mcp_server.sandbox.video.drawing import BLACK, INK, Picture, Still, av, flat, put, stamp, still
from mcp_server.sandbox.video.scenery import Scenery

RENDERER: Final = 2
"""Raised when the same order would be drawn differently."""
SAMPLE_RATE: Final = 44_100
CHANGES_PER_SECOND: Final = 2
WAVES: Final = (150, 126, 112, 100, 84, 75)
"""Samples a wave is long: d f g a c d, which sound well in any order."""
LOUD: Final = 0.15
SOFT: Final = LOUD / 10**0.5
"""Ten decibels below."""
THROUGH_S: Final = 1.2
"""How long the camera takes to get through a given picture."""
SHOUT: Final = 4
"""How much larger than the rest it says that it is simulated."""

Look = Literal["normal", "black", "frozen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A clip as it will be drawn."""

    width: int
    height: int
    audio: bool
    title: str
    """Vendor, model, tier."""
    shots: tuple[Scene, ...]
    first: Still | None = None
    last: Still | None = None
    look: Look = "normal"
    soft: bool = False
    """Whether its sound is ten decibels below that of others."""

    @property
    def seconds(self) -> float:
        return sum(shot.seconds for shot in self.shots)

    @property
    def fps(self) -> int:
        """Few frames where they are big: a rehearsal should not heat the machine."""
        return 12 if self.width * self.height > 1920 * 1080 else 24

    @property
    def held(self) -> int:
        """For how many frames the camera stands: what is drawn by hand moves every other one, and so does this."""
        if self.fps < 24:
            return 1
        return 2 if self.width * self.height <= 1280 * 720 else 3

    def digest(self) -> str:
        """The same for the same clip, whoever draws it."""
        return sha256(f"{RENDERER}{self!r}".encode()).hexdigest()[:32]


def can_render() -> bool:
    """Whether the `media` extra is here."""
    return find_spec("av") is not None


def render(clip: Clip, path: Path) -> None:
    """Draw the clip into a file; takes CPU, so call it in a thread."""
    with av().open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as output:
        output.metadata.update({"title": "SIMULATED", "comment": clip.title})
        # One thread and x264's own tables make the same bytes on every run, so a half-fetched file can be resumed.
        video = output.add_stream("libx264", rate=clip.fps, options={"preset": "ultrafast", "qp": "28"})
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if clip.audio else None
        for frame in _frames(clip):
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            audio.codec_context.bit_rate = 48_000
            for sound in _sounds(clip):
                output.mux(audio.encode(sound))
            output.mux(audio.encode(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Show:
    """A stretch of frames between two cuts."""

    first: int
    end: int
    shot: int
    """Its number; the first is 1."""
    given: Picture | None = None
    """The picture it begins with, where one was given."""
    scenery: Scenery | None = None
    """What moves; behind a given picture it comes nearer until it fills the frame."""


def _frames(clip: Clip) -> Iterator[Any]:
    kind = av().video.frame.PictureType
    frame = av().VideoFrame(clip.width, clip.height, "yuv420p")
    total = max(1, round(clip.seconds * clip.fps))
    for show in _shows(clip, total):
        for index in range(show.first, show.end):
            cut = index == show.first
            if cut:
                put(frame.planes, show.given or _backdrop(show))
            if clip.look == "normal" and (index - show.first) % clip.held == 0:
                _push(frame.planes, show, index - show.first, clip.fps)
            if clip.look == "normal" or (clip.look == "frozen" and index == 0):
                _move(frame.planes[0], clip, index, total, show.shot)
            frame.pts = index
            frame.pict_type = kind.I if cut else kind.NONE
            # libx264 copies what it is given, so one frame serves for all.
            yield frame


def _shows(clip: Clip, total: int) -> Iterator[_Show]:
    """What is seen from which frame on."""
    if clip.look == "black":
        yield _Show(first=0, end=total, shot=1, given=flat(clip.width, clip.height))
        return
    closing = total - max(1, clip.fps // 2) if clip.last is not None else total
    starts = 0.0
    for number, shot in enumerate(clip.shots):
        first, starts = round(starts * clip.fps), starts + shot.seconds
        end = closing if number + 1 == len(clip.shots) else min(closing, round(starts * clip.fps))
        if first >= end:
            continue
        given = still(clip.width, clip.height, clip.first) if number == 0 and clip.first is not None else None
        scenery = Scenery(clip.width, clip.height, f"{number}{shot.prompt}")
        for picture in (scenery.backdrop, given):
            if picture is not None:
                _letter(picture, clip, number)
        yield _Show(first=first, end=end, shot=number + 1, given=given, scenery=scenery)
    if clip.last is not None:
        number = len(clip.shots) - 1
        picture = still(clip.width, clip.height, clip.last)
        _letter(picture, clip, number)
        yield _Show(first=closing, end=total, shot=number + 1, given=picture)


def _backdrop(show: _Show) -> Picture:
    assert show.scenery is not None
    return show.scenery.backdrop


def _push(planes: Any, show: _Show, index: int, fps: int) -> None:
    """The camera moves on; out of a given picture it takes a moment to get through."""
    scenery = show.scenery
    if scenery is None or (index == 0 and show.given is not None):
        return
    through = index / (fps * THROUGH_S) if show.given is not None else 2.0
    if through >= 1:
        if through - 3 / (fps * THROUGH_S) < 1:
            put(planes, scenery.backdrop)
        scenery.draw(memoryview(planes[0]), planes[0].line_size, index / fps)
        return
    scenery.draw(memoryview(scenery.backdrop.luma), scenery.width, index / fps)
    across, down = scenery.vanish, scenery.horizon
    sides = (
        across * (1 - through),
        down * (1 - through),
        across + (scenery.width - across) * through,
        down + (scenery.height - down) * through,
    )
    left, top, right, bottom = (round(side / 2) * 2 for side in sides)
    put(planes, scenery.backdrop, (left, top, right, bottom))


def _letter(picture: Picture, clip: Clip, number: int) -> None:
    """Write SIMULATED, what was ordered, and the prompt (which a given picture needs no room for)."""
    top = picture.write("SIMULATED", top=4 * picture.scale, scale=SHOUT * picture.scale)
    sound = "sound" if clip.audio else "silent"
    facts = f"{clip.title} {clip.width}x{clip.height} {clip.seconds:g}s {sound}"
    top = picture.write_lines(facts, top=top, lines=2)
    if not picture.genuine:
        picture.write_lines(
            clip.shots[number].prompt, top=top + 2 * picture.scale, lines=4, scale=5 * picture.scale // 3
        )


def _move(plane: Any, clip: Clip, index: int, total: int, shot: int) -> None:
    """What changes from frame to frame: the counter, the bar, and a block that wanders."""
    pixels, stride = memoryview(plane), plane.line_size
    scale = max(1, min(clip.width, clip.height) // 240)
    counter = f"FRAME {index + 1:04}/{total:04}  {index / clip.fps:05.2f}S  SHOT {shot}/{len(clip.shots)}"
    rows = font.line(counter, scale=scale, ink=INK, paper=BLACK)
    bottom = clip.height - 20 * scale
    stamp(pixels, stride, clip.width, rows, left=4 * scale, top=bottom, scale=scale)
    done = clip.width * (index + 1) // total
    bar = bytes([INK]) * done + bytes([BLACK]) * (clip.width - done)
    block = 8 * scale
    left = (clip.width - block) * (index * 2 % total) // total
    wander = bytes([BLACK]) * left + bytes([INK]) * block
    track = wander + bytes([BLACK]) * (clip.width - len(wander))
    stamp(pixels, stride, clip.width, (bar, track), left=0, top=clip.height - 10 * scale, scale=4 * scale)


def _sounds(clip: Clip) -> Iterator[Any]:
    """A soft tone that changes twice a second as the words of each shot say, exactly as long as the pictures."""
    total = round(clip.seconds * SAMPLE_RATE)
    step = SAMPLE_RATE // CHANGES_PER_SECOND
    tunes = [Random(crc32(shot.prompt.encode())).sample(WAVES, len(WAVES)) for shot in clip.shots]  # noqa: S311
    starts = [sum(shot.seconds for shot in clip.shots[:number]) for number in range(len(clip.shots))]
    for number, start in enumerate(range(0, total, step)):
        length = min(step, total - start)
        shot = max(index for index, begin in enumerate(starts) if begin * SAMPLE_RATE <= start)
        tone = _tone(tunes[shot][number % len(WAVES)], step, SOFT if clip.soft else LOUD)
        frame = av().AudioFrame(format="fltp", layout="mono", samples=length)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        frame.planes[0].update(tone[:length].tobytes())
        yield frame


@cache
def _tone(wave: int, length: int, loud: float) -> array[float]:
    """Waves of so many samples each, that swell and fade, so that nothing clicks."""
    once = array("f", (loud * sin(2 * pi * at / wave) for at in range(wave)))
    tone = (once * (length // wave + 1))[:length]
    soft = length // 10
    for at in range(soft):
        tone[at] *= at / soft
        tone[-1 - at] *= at / soft
    return tone
