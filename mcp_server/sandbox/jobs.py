"""What a vendor was asked to make, in plain words, and how it gets on: a job is its order and the clock."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Final, Literal

Phase = Literal["queued", "running", "done", "failed", "cancelled"]
Ending = Literal["done", "failed", "moderated"]

SHORT_SIDE: Final[Mapping[str, int]] = {"720p": 720, "1080p": 1080, "4k": 2160}
OF_TIER: Final[Mapping[str, str]] = {"standard": "720p", "pro": "1080p", "4k": "4k"}
"""What is drawn where a vendor has no word for the resolution: ours, not the vendor's promise."""
_NUMBERED: Final = re.compile(r"\bShot\s+\d+\s*(?:\((\d+)\s*s\)\s*)?:", re.IGNORECASE)
_STORYBOARD: Final = re.compile(r"\bshot \d+, (\d+), (.*?);(?=\s*(?:shot \d+, \d+, |$))", re.DOTALL)
QUEUED_SHARE: Final = 0.25
"""How much of a job's life it waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What one shot of a clip shows, and for how long."""

    prompt: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipOrder:
    """One clip as a vendor understood it."""

    vendor: str
    endpoint: str
    """The action, path or type it was ordered under."""
    vendor_model: str
    model: str = ""
    """Ours, from the catalog; empty where the catalog does not list it."""
    tier: str = "standard"
    mode: str = ""
    prompt: str = ""
    seconds: float = 5
    ratio: str = ""
    """Empty where a picture or clip that goes in decides it."""
    resolution: str = ""
    audio: bool = False
    image: str = ""
    end_image: str = ""
    references: tuple[str, ...] = ()
    video: str = ""
    source_task: str = ""
    shots: tuple[Scene, ...] = ()
    off_peak: bool = False

    def given(self, name: str) -> bool:
        """Whether this input came, by the name the price tables use for it."""
        return bool(getattr(self, name, None))

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ClipOrder:
        row: dict[str, Any] = json.loads(text)
        row["shots"] = tuple(Scene(**shot) for shot in row["shots"])
        row["references"] = tuple(row["references"])
        return cls(**row)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxJob:
    """An accepted order: what the vendor would look up when asked."""

    id: str
    order: ClipOrder
    account: str
    accepted: float
    starts: float
    ends: float
    ending: Ending
    words: str
    """What the vendor says when it fails."""
    price: Decimal | None
    """In the vendor's currency; None where nobody publishes one."""
    defect: str = ""
    """A flaw the clip was ordered to have, for tests."""
    cancelled: float | None = None

    def phase(self, now: float) -> Phase:
        """How far it is: only the clock decides, so it survives the process that served it."""
        if self.cancelled is not None:
            return "cancelled"
        if now >= self.ends:
            return "done" if self.ending == "done" else "failed"
        return "running" if now >= self.starts else "queued"

    def progress(self, now: float) -> int:
        """How much is done, in percent: 100 only when it has ended."""
        if now >= self.ends:
            return 100
        if now <= self.starts:
            return 0
        return min(99, int(100 * (now - self.starts) / (self.ends - self.starts)))


def listed(items: Any, seconds: float) -> tuple[Scene, ...]:
    """Shots from a vendor's list, also as JSON text; where the look of its items is not documented, what can be seen
    in them counts.
    """
    if isinstance(items, str) and items.lstrip().startswith("["):
        with suppress(ValueError):
            items = json.loads(items)
    shots = [_item(item) for item in items] if isinstance(items, list) else []  # type: ignore[reportUnknownVariableType]
    return _timed(shots, seconds)


def numbered(prompt: str, seconds: float) -> tuple[Scene, ...]:
    """Shots written into a prompt as docs 004 advises ("Shot 1: … Shot 2: …") or in Kling's own notation
    ("shot 1, 3, words; shot 2, 4, words;"); a prompt without them is one shot.
    """
    if storyboard := _STORYBOARD.findall(prompt):
        return _timed([(words.strip(), float(length)) for length, words in storyboard], seconds)
    parts = _NUMBERED.split(prompt)
    shots = [
        (words.strip(), float(length) if length else None)
        for length, words in zip(parts[1::2], parts[2::2], strict=True)
    ]
    return _timed(shots, seconds) if len(shots) > 1 else (Scene(prompt=prompt, seconds=seconds),)


def _item(item: Any) -> tuple[str, float | None]:
    if not isinstance(item, dict):
        return str(item), None
    row: dict[str, Any] = item  # type: ignore[reportUnknownVariableType]
    length = row.get("duration")
    if isinstance(length, str) and length.isdecimal():
        length = int(length)
    known = isinstance(length, (int, float)) and length > 0
    return str(row.get("prompt", "")), float(length) if known else None  # type: ignore[reportArgumentType]


def _timed(shots: list[tuple[str, float | None]], seconds: float) -> tuple[Scene, ...]:
    """With their own lengths where these fill the clip, else in equal parts."""
    lengths = [length for _, length in shots if length is not None]
    fitting = len(lengths) == len(shots) and sum(lengths) == seconds
    each = seconds / len(shots) if shots else 0.0
    return tuple(Scene(prompt=words, seconds=(length or each) if fitting else each) for words, length in shots)


def weight(order: ClipOrder) -> float:
    """How heavy a clip is, 0 to 1: longer, bigger and louder takes longer."""
    length = min(max((order.seconds - 3) / 12, 0.0), 1.0)
    size = {"standard": 0.0, "pro": 0.5, "4k": 1.0}.get(order.tier, 0.0)
    return 0.5 * length + 0.3 * size + 0.2 * order.audio


def life_seconds(order: ClipOrder) -> float:
    """What it would take in life: 30 to 120 seconds (docs 000)."""
    return 30 + 90 * weight(order)


def sandbox_seconds(order: ClipOrder, seconds: float) -> float:
    """What it takes here: about `seconds`, a heavy clip a little more; off-peak waits twice as long."""
    return seconds * (0.75 + 0.5 * weight(order)) * (2 if order.off_peak else 1)


def pixels(order: ClipOrder, picture: tuple[int, int] | None = None) -> tuple[int, int]:
    """Width and height: the short side by resolution, the shape by ratio or by the picture that goes in."""
    short = SHORT_SIDE[order.resolution or OF_TIER.get(order.tier, "720p")]
    wide, _, high = order.ratio.partition(":")
    if wide.isdigit() and high.isdigit() and int(wide) and int(high):
        across, down = int(wide), int(high)
    else:
        across, down = picture or (16, 9)
    if across >= down:
        return _even(short * min(across / down, 3)), short
    return short, _even(short * min(down / across, 3))


def _even(side: float) -> int:
    return round(side / 2) * 2
