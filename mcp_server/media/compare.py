"""The order against the file: every difference, as a sentence with what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mcp_server.domain.delivered import RATIO_TOLERANCE, Delivered
from mcp_server.domain.money import money

_SECONDS = 0.5
"""Lengths are sold in whole seconds: what is nearer to another whole second is another order."""
_SIDE = 0.05
"""Encoders round sides to multiples of 16."""
_SHORT_SIDE = {"720p": 720, "1080p": 1080, "4k": 2160}
_PIXELS = {"720p": 1280 * 720, "1080p": 1920 * 1080, "4k": 3840 * 2160}
"""Kling's own square clips keep the number of pixels (960x960 for 720p), not the short side."""
_BLACK_PART, _STILL_PART = 0.2, 0.5
"""Shares of a clip above which black or stillness is no longer a fade or a held breath."""
_WORTH_SAYING_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is known about the money, for the consequence of a difference."""

    quoted: Decimal | None = None
    charged: Decimal | None = None
    """Only what the vendor itself reported."""
    per_second: Decimal | None = None
    currency: str = "USD"


def differences(ordered: Mapping[str, Any], delivered: Delivered, bill: Bill | None = None) -> tuple[str, ...]:
    """Everything in which the file is not what was ordered; empty when it is."""
    if delivered.unreadable and not delivered.frames:
        return (f"the file is no clip that plays: {delivered.unreadable}",)
    found = [
        *_length_and_sound(ordered, delivered),
        *_shape(ordered, delivered),
        *_picture(delivered),
    ]
    if not found:
        return ()
    money = _money(ordered, delivered, bill or Bill())
    if money:
        found[0] = f"{found[0]}: {money}"
    return tuple(found)


def defects_of(ordered: Mapping[str, Any], delivered: Delivered) -> tuple[str, ...]:
    """What makes a clip nothing to build on: what else differs from the order costs no second shot."""
    if delivered.unreadable and not delivered.frames:
        return (f"the file is no clip that plays: {delivered.unreadable}",)
    found = _picture(delivered)
    seconds = ordered.get("duration")
    if seconds is not None and delivered.duration <= seconds - _SECONDS:
        found.append(f"it is {_seconds(delivered.duration)} s long instead of {seconds} s")
    if ordered.get("audio") and not _heard(delivered):
        found.append(f"sound was ordered, and it has {_sound(delivered, alone=True)}")
    return tuple(found)


def _length_and_sound(ordered: Mapping[str, Any], delivered: Delivered) -> list[str]:
    """Length and sound in one sentence, since they are billed together."""
    seconds = ordered.get("duration")
    wanted: list[str] = []
    got: list[str] = []
    if seconds is not None and not _same_length(seconds, delivered):
        wanted.append(f"{seconds} s")
        got.append(f"{_seconds(delivered.duration)} s")
    if ordered.get("audio") is not None and ordered["audio"] is not _heard(delivered):
        wanted.append("with sound" if ordered["audio"] else "silent")
        got.append(_sound(delivered, alone=not got))
    join = " " if got[-1:] == ["with sound"] else " and "
    return [f"ordered {' '.join(wanted)}, got {join.join(got)}"] if wanted else []


def _heard(delivered: Delivered) -> bool:
    return delivered.audio and not delivered.mute


def _sound(delivered: Delivered, *, alone: bool) -> str:
    if _heard(delivered):
        return "a clip with sound" if alone else "with sound"
    return "a sound track that holds only silence" if delivered.audio else "no sound track"


def _same_length(seconds: int, delivered: Delivered) -> bool:
    return abs(delivered.duration - seconds) < _SECONDS


def _shape(ordered: Mapping[str, Any], delivered: Delivered) -> list[str]:
    found: list[str] = []
    size = f"{delivered.width}x{delivered.height}"
    ratio = ordered.get("aspect_ratio")
    if isinstance(ratio, str) and not _same_ratio(ratio, delivered):
        found.append(f"ordered {ratio}, got {delivered.aspect_ratio} ({size})")
    resolution = ordered.get("resolution")
    if isinstance(resolution, str) and resolution in _PIXELS and not _same_resolution(resolution, delivered):
        found.append(f"ordered {resolution}, got {size}")
    return found


def _same_ratio(ratio: str, delivered: Delivered) -> bool:
    wide, _, high = ratio.partition(":")
    if not (wide.isdigit() and high.isdigit() and int(high)):
        # "auto" and the like promise nothing that could be compared.
        return True
    return abs(delivered.width / delivered.height / (int(wide) / int(high)) - 1) <= RATIO_TOLERANCE


def _same_resolution(resolution: str, delivered: Delivered) -> bool:
    short = min(delivered.width, delivered.height) / _SHORT_SIDE[resolution]
    pixels = delivered.width * delivered.height / _PIXELS[resolution]
    return abs(short - 1) <= _SIDE or abs(pixels - 1) <= 2 * _SIDE


def _picture(delivered: Delivered) -> list[str]:
    found: list[str] = []
    if delivered.unreadable:
        found.append(f"the file breaks off after {_seconds(delivered.duration)} s: {delivered.unreadable}")
    if delivered.black:
        found.append("the picture is black from beginning to end")
    elif _long(delivered.black_s, delivered, _BLACK_PART):
        found.append(f"{_seconds(delivered.black_s)} of {_seconds(delivered.duration)} s are black")
    if delivered.frozen:
        found.append("the picture is frozen: nothing moves from beginning to end")
    elif not delivered.black and _long(delivered.still_s - delivered.black_s, delivered, _STILL_PART):
        found.append(f"the picture stands still for {_seconds(delivered.still_s)} of {_seconds(delivered.duration)} s")
    return found


def _long(seconds: float, delivered: Delivered, part: float) -> bool:
    return seconds >= _WORTH_SAYING_S and seconds >= part * delivered.duration


def _money(ordered: Mapping[str, Any], delivered: Delivered, bill: Bill) -> str:
    """What the difference did to the bill, where the vendor said so or the quote's rate tells."""
    if bill.quoted and bill.charged is not None and bill.charged != bill.quoted:
        billed, quoted = money(bill.charged, bill.currency), money(bill.quoted, bill.currency)
        return f"billed {_times(bill.charged / bill.quoted)} ({billed} instead of {quoted})"
    seconds = ordered.get("duration")
    if bill.charged is None and bill.per_second and seconds is not None and not _same_length(seconds, delivered):
        each = money(bill.per_second, bill.currency)
        real = money(bill.per_second * round(delivered.duration), bill.currency)
        quoted = money(bill.per_second * seconds, bill.currency)
        return f"at the quoted {each} per second that is {real} instead of {quoted}"
    return ""


def _times(factor: Decimal) -> str:
    if factor == 2:
        return "double"
    if factor == Decimal("0.5"):
        return "half"
    return "more" if factor > 1 else "less"


def _seconds(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
