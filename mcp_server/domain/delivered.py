"""What a saved file really is, as looking into it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """One clip as it lies on the disk."""

    unreadable: str = ""
    """Why it cannot be opened or played to its end; empty when it can."""
    duration: float = 0.0
    """Seconds of picture that really decode."""
    declared: float = 0.0
    """Seconds the file's own header promises."""
    width: int = 0
    height: int = 0
    """As shown: pixel shape and rotation are applied."""
    frames: int = 0
    fps: float = 0.0
    audio: bool = False
    """Whether there is a sound track."""
    mute: bool = False
    """Whether that track holds nothing but silence."""
    black_s: float = 0.0
    """Seconds of black picture."""
    still_s: float = 0.0
    """The longest stretch in which nothing moves."""

    @property
    def black(self) -> bool:
        """Whether there is nothing to see at all."""
        return self.frames > 0 and self.black_s >= WHOLE * self.duration

    @property
    def frozen(self) -> bool:
        """Whether the clip is one picture from beginning to end."""
        return self.frames > 1 and not self.black and self.still_s >= WHOLE * self.duration

    @property
    def aspect_ratio(self) -> str:
        """The named ratio this is, else the size's own (`2.39:1`)."""
        if not self.height:
            return ""
        shape = self.width / self.height
        name, nearest = min(_NAMED.items(), key=lambda named: abs(named[1] / shape - 1))
        return name if abs(nearest / shape - 1) <= RATIO_TOLERANCE else f"{shape:.2f}:1"

    def facts(self) -> dict[str, Any]:
        """As JSON, for the record and for answers."""
        if self.unreadable and not self.frames:
            return {"unreadable": self.unreadable}
        rows: dict[str, Any] = {
            "duration": round(self.duration, 2),
            "width": self.width,
            "height": self.height,
            "aspect_ratio": self.aspect_ratio,
            "fps": round(self.fps, 2),
            "frames": self.frames,
            "audio": self.audio,
        }
        odd = {
            "mute": self.mute,
            "black": self.black,
            "frozen": self.frozen,
            "unreadable": self.unreadable,
        }
        return rows | {name: value for name, value in odd.items() if value}


WHOLE = 0.95
"""A clip counts as black or frozen throughout from here on: encoders fade a few frames at either end."""
RATIO_TOLERANCE = 0.03
"""Encoders round sides to multiples of 16 (1928x1072 is sold as 16:9); the named ratios are 12 % apart or more."""
_NAMED = {
    "16:9": 16 / 9,
    "9:16": 9 / 16,
    "1:1": 1.0,
    "4:3": 4 / 3,
    "3:4": 3 / 4,
    "3:2": 3 / 2,
    "2:3": 2 / 3,
    "21:9": 21 / 9,
}
