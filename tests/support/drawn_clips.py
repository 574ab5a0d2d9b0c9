"""Clips as a vendor might deliver them, drawn for the tests: good ones, and wrong in one known way."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import pi, sin
from pathlib import Path
from random import Random
from typing import Literal

import av


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a test clip is like; the defaults are a good five-second 720p clip without sound."""

    seconds: float = 5.0
    width: int = 1280
    height: int = 720
    sound: Literal["none", "tone", "noise", "mute"] = "none"
    look: Literal["moving", "black", "frozen", "ends black", "stops", "faint", "noisy black", "night", "grain"] = (
        "moving"
    )
    fps: int = 24
    cuts: tuple[float, ...] = ()
    shape: Fraction | None = None
    """The sample aspect ratio, where pixels are not square."""
    ground: int = 60
    """How bright it is around what moves, 16 to 235."""
    pitch: int = 440
    volume: int = 8000
    """Of the tone's peak, of 32767."""
    sound_s: float | None = None
    """How long the sound is, where it is not as long as the pictures."""
    hush: float = 0.0
    """For how many seconds the sound keeps silent before it begins."""
    rate: int = 44_100
    layout: Literal["mono", "stereo"] = "mono"
    preset: str = "ultrafast"
    """`medium` has B-frames, whose first picture is decoded before it is shown."""


def draw(path: Path, clip: Drawn = Drawn()) -> Path:
    """The clip as a real H.264/AAC file."""
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=clip.fps, options={"preset": clip.preset, "crf": "30"})
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        if clip.shape:
            video.codec_context.sample_aspect_ratio = clip.shape
        audio = out.add_stream("aac", rate=clip.rate, layout=clip.layout) if clip.sound != "none" else None
        total = round(clip.seconds * clip.fps)
        for index in range(total):
            frame = _frame(clip, index, total)
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            for start in range(0, int((clip.sound_s or clip.seconds) * clip.rate), 1024):
                out.mux(audio.encode(_tone(clip, start)))
            out.mux(audio.encode(None))
    return path


def _frame(clip: Drawn, index: int, total: int) -> av.VideoFrame:
    frame = av.VideoFrame(clip.width, clip.height, "yuv420p")
    dark = clip.look in ("black", "noisy black") or (clip.look == "ends black" and index >= total / 2)
    shot = sum(index / clip.fps >= cut for cut in clip.cuts)
    ground = {"noisy black": 28, "night": 50}.get(clip.look, 16 if dark else clip.ground + 40 * shot)
    luma = bytearray(bytes([ground]) * (frame.planes[0].line_size * clip.height))
    if clip.look == "grain":
        # What no encoder makes small: every picture is another one, and the same one in every run.
        luma = bytearray(Random(index).randbytes(len(luma)))
    elif not dark:
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


@cache
def _noise() -> list[float]:
    """No part of it is like another, the same in every run."""
    chance = Random(1)
    return [chance.uniform(-1, 1) for _ in range(30 * 48_000)]


def _tone(clip: Drawn, start: int) -> av.AudioFrame:
    volume = clip.volume if clip.sound != "mute" else 0
    turn = 2 * pi * clip.pitch / clip.rate
    quiet = int(clip.hush * clip.rate)
    times = [at - quiet for at in range(start, start + 1024)]
    if clip.sound == "noise":
        values = [volume * _noise()[at] if at >= 0 else 0 for at in times]
    else:
        values = [volume * sin(turn * at) if at >= 0 else 0 for at in times]
    samples = array("h", map(int, values))
    if clip.layout == "stereo":
        samples = array("h", (value for sample in samples for value in (sample, sample)))
    sound = av.AudioFrame(format="s16", layout=clip.layout, samples=1024)
    sound.planes[0].update(samples.tobytes())
    sound.sample_rate = clip.rate
    sound.pts, sound.time_base = start, Fraction(1, clip.rate)
    return sound
