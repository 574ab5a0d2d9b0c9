"""Simulated clips: real H.264 and AAC in MP4, that say on every frame that they are simulated."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from math import pi, sin
from pathlib import Path
from typing import Any, Final, Literal

from mcp_server.sandbox.jobs import Scene
from mcp_server.sandbox.video import font
from mcp_server.sandbox.video.drawing import BLACK, INK, Picture, Still, av, flat, put, scene, stamp, still

RENDERER: Final = 1
"""Raised when the same order would be drawn differently."""
SAMPLE_RATE: Final = 44_100
CHANGES_PER_SECOND: Final = 2
NOTES: Final = (262, 330, 392, 440, 330, 524)
"""Hertz; even numbers fill each half second with whole waves, so nothing clicks."""

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

    @property
    def seconds(self) -> float:
        return sum(shot.seconds for shot in self.shots)

    @property
    def fps(self) -> int:
        """Few frames where they are big: a rehearsal should not heat the machine."""
        return 12 if self.width * self.height > 1920 * 1080 else 24

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
        video = output.add_stream("libx264", rate=clip.fps, options={"preset": "ultrafast", "crf": "28"})
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        video.codec_context.thread_count = 1
        audio = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if clip.audio else None
        for frame in _frames(clip):
            output.mux(video.encode(frame))
        output.mux(video.encode(None))
        if audio is not None:
            audio.codec_context.bit_rate = 48_000
            for sound in _sounds(clip.seconds):
                output.mux(audio.encode(sound))
            output.mux(audio.encode(None))


def _frames(clip: Clip) -> Iterator[Any]:
    kind = av().video.frame.PictureType
    frame = av().VideoFrame(clip.width, clip.height, "yuv420p")
    total = max(1, round(clip.seconds * clip.fps))
    cuts = _cuts(clip, total)
    upcoming = next(cuts, None)
    shot = 0
    for index in range(total):
        cut = False
        while upcoming is not None and upcoming[0] <= index:
            _, shot, picture = upcoming
            put(frame.planes, picture)
            upcoming, cut = next(cuts, None), True
        if clip.look == "normal" or (clip.look == "frozen" and index == 0):
            _move(frame.planes[0], clip, index, total, shot)
        frame.pts = index
        frame.pict_type = kind.I if cut else kind.NONE
        # libx264 copies what it is given, so one frame serves for all.
        yield frame


def _cuts(clip: Clip, total: int) -> Iterator[tuple[int, int, Picture]]:
    """Where a picture begins: frame number, number of the shot, the picture."""
    if clip.look == "black":
        yield 0, 1, flat(clip.width, clip.height)
        return
    if clip.look == "frozen":
        yield 0, 1, _lettered(scene(clip.width, clip.height, ""), clip, 0)
        return
    starts = 0.0
    for number, shot in enumerate(clip.shots):
        if number == 0 and clip.first is not None:
            picture = still(clip.width, clip.height, clip.first)
        else:
            picture = scene(clip.width, clip.height, f"{number}{shot.prompt}")
        yield round(starts * clip.fps), number + 1, _lettered(picture, clip, number)
        starts += shot.seconds
    if clip.last is not None:
        number = len(clip.shots) - 1
        picture = _lettered(still(clip.width, clip.height, clip.last), clip, number)
        yield total - max(1, clip.fps // 2), number + 1, picture


def _lettered(picture: Picture, clip: Clip, number: int) -> Picture:
    """With the word SIMULATED, what was ordered, and the prompt (which a given picture needs no room for)."""
    top = picture.write("SIMULATED", top=4 * picture.scale, scale=2 * picture.scale)
    sound = "sound" if clip.audio else "silent"
    facts = f"{clip.title} {clip.width}x{clip.height} {clip.seconds:g}s {sound}"
    top = picture.write_lines(facts, top=top, lines=2)
    if not picture.genuine:
        picture.write_lines(clip.shots[number].prompt, top=max(top, picture.height // 2), lines=6)
    return picture


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


def _sounds(seconds: float) -> Iterator[Any]:
    """A soft tone that changes twice a second, exactly as long as the pictures."""
    total = round(seconds * SAMPLE_RATE)
    step = SAMPLE_RATE // CHANGES_PER_SECOND
    tones = [_tone(note, step) for note in NOTES]
    for number, start in enumerate(range(0, total, step)):
        length = min(step, total - start)
        frame = av().AudioFrame(format="fltp", layout="mono", samples=length)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        frame.planes[0].update(tones[number % len(tones)][:length].tobytes())
        yield frame


def _tone(hertz: int, length: int) -> array[float]:
    soft = length // 10
    return array(
        "f",
        (
            0.15 * min(1.0, at / soft, (length - at) / soft) * sin(2 * pi * hertz * at / SAMPLE_RATE)
            for at in range(length)
        ),
    )
