"""Clips as a vendor might deliver them, drawn for the tests: good ones, and wrong in one known way."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from math import pi, sin
from pathlib import Path
from typing import Literal

import av


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a test clip is like; the defaults are a good five-second 720p clip without sound."""

    seconds: float = 5.0
    width: int = 1280
    height: int = 720
    sound: Literal["none", "tone", "mute"] = "none"
    look: Literal["moving", "black", "frozen", "ends black", "stops", "faint", "noisy black", "night"] = "moving"
    fps: int = 24
    cuts: tuple[float, ...] = ()
    shape: Fraction | None = None
    """The sample aspect ratio, where pixels are not square."""


def draw(path: Path, clip: Drawn = Drawn()) -> Path:
    """The clip as a real H.264/AAC file."""
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=clip.fps, options={"preset": "ultrafast", "crf": "30"})
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        if clip.shape:
            video.codec_context.sample_aspect_ratio = clip.shape
        audio = out.add_stream("aac", rate=44_100, layout="mono") if clip.sound != "none" else None
        total = round(clip.seconds * clip.fps)
        for index in range(total):
            frame = _frame(clip, index, total)
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            for start in range(0, int(clip.seconds * 44_100), 1024):
                out.mux(audio.encode(_tone(start, loud=clip.sound == "tone")))
            out.mux(audio.encode(None))
    return path


def _frame(clip: Drawn, index: int, total: int) -> av.VideoFrame:
    frame = av.VideoFrame(clip.width, clip.height, "yuv420p")
    dark = clip.look in ("black", "noisy black") or (clip.look == "ends black" and index >= total / 2)
    shot = sum(index / clip.fps >= cut for cut in clip.cuts)
    ground = {"noisy black": 28, "night": 50}.get(clip.look, 16 if dark else 60 + 40 * shot)
    luma = bytearray(bytes([ground]) * (frame.planes[0].line_size * clip.height))
    if not dark:
        place = {"frozen": 0, "stops": min(index, total // 4)}.get(clip.look, index)
        side = clip.height // 10
        left = (clip.width - side) * place // total
        if clip.look == "faint":
            # A firefly in a dark field: one small thing that moves.
            side = clip.height // 36
        for row in range(clip.height // 2, clip.height // 2 + side):
            at = row * frame.planes[0].line_size + left
            luma[at : at + side] = bytes([220]) * side
    frame.planes[0].update(bytes(luma))
    for plane, value in zip(frame.planes[1:], (128, 128 if dark else 90 + 20 * shot), strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    return frame


def _tone(start: int, *, loud: bool) -> av.AudioFrame:
    samples = array("h", (int(8000 * sin(2 * pi * 440 * (start + i) / 44_100)) if loud else 0 for i in range(1024)))
    sound = av.AudioFrame(format="s16", layout="mono", samples=1024)
    sound.planes[0].update(samples.tobytes())
    sound.sample_rate = 44_100
    sound.pts, sound.time_base = start, Fraction(1, 44_100)
    return sound
