"""The scene of a shot that nobody filmed: a road under a sky, driven along slowly; other words, another place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby, pairwise
from math import pi, sin
from random import Random
from typing import Final, NamedTuple
from zlib import crc32

from mcp_server.sandbox.video.drawing import Picture

HORIZON: Final = 0.62
"""Of the height: above it is room for words."""
RIDGE: Final = 0.1
"""Of the height: what stands on the horizon."""
SPEED: Final = 0.3
"""Of the distance from the camera to the lower edge, a second: a push, not a race."""
STRIPES: Final = 2
POSTS: Final = 6
_SPACING: Final = 1.1
_STEPS: Final = 160
"""How finely the ridge is cut."""


class _Row(NamedTuple):
    """A row of the ground: what it shows on a light stripe and on a dark one, and how many stripes away it is."""

    light: bytes
    dark: bytes
    stripes: float


@dataclass(slots=True)
class Scenery:
    """A place the words decide: light, colours, ridge or skyline, and where the road leads."""

    width: int
    height: int
    words: str
    backdrop: Picture = field(init=False)
    """All of it as it stands before the camera moves; words may be written above the ridge."""
    horizon: int = field(init=False)
    vanish: int = field(init=False)
    """Where the road meets the horizon."""
    _ground: list[_Row] = field(init=False)
    _post: int = field(init=False)
    _planes: dict[int, tuple[bytes, bytes]] = field(default_factory=dict[int, tuple[bytes, bytes]], init=False)

    def __post_init__(self) -> None:
        chance = Random(crc32(self.words.encode()))  # noqa: S311 - it decides where the sun stands
        self.horizon = round(self.height * HORIZON)
        self.vanish = round(self.width * chance.uniform(0.38, 0.62))
        top = chance.choice((24, 60, 110))
        sky = [top + 70 * row // self.horizon for row in range(self.horizon)]
        far, near = sky[-1] - 24, max(34, top - 8)
        self._ground = list(self._drawn_ground(far, near))
        self._post = max(20, near - 26)
        self.backdrop = self._painted(chance, sky)
        self.draw(memoryview(self.backdrop.luma), self.width, 0)

    def draw(self, pixels: memoryview, stride: int, seconds: float) -> None:
        """Lay everything that moves into a plane, as it stands so many seconds into the shot."""
        light, dark = self._laid(stride)
        gone, begin, start = seconds * SPEED * STRIPES, 0, self.horizon * stride
        # Rows of one stripe lie together: they are copied together.
        for stripe, rows in groupby(int(row.stripes + gone) for row in self._ground):
            end = begin + stride * sum(1 for _ in rows)
            pixels[start + begin : start + end] = (light if stripe & 1 else dark)[begin:end]
            begin = end
        for number in range(POSTS, 0, -1):
            self._stand(pixels, stride, number * _SPACING - seconds * SPEED % _SPACING)

    def _laid(self, stride: int) -> tuple[bytes, bytes]:
        """The whole ground, light and dark, as the rows of such a plane."""
        if stride not in self._planes:
            pad = bytes(stride - self.width)
            light = b"".join(row.light + pad for row in self._ground)
            self._planes[stride] = light, b"".join(row.dark + pad for row in self._ground)
        return self._planes[stride]

    def _stand(self, pixels: memoryview, stride: int, far: float) -> None:
        """A post on either side of the road; it ends below the horizon, where the ground is drawn anew each time."""
        if far < 1:
            return
        deep = (self.height - self.horizon) / far
        foot, wide = self.horizon + int(deep), max(1, int(self.width * 0.025 / far))
        dark = bytes([self._post])
        for side in (-1, 1):
            left = self.vanish + int(side * self.width * 0.62 / far)
            begin, end = max(0, left), min(self.width, left + wide)
            if begin < end:
                part = dark * (end - begin)
                for row in range(foot - int(deep * 0.6), min(foot, self.height)):
                    pixels[row * stride + begin : row * stride + end] = part

    def _painted(self, chance: Random, sky: list[int]) -> Picture:
        """Sky, ridge, sun or moon, and the colours."""
        width, height = self.width, self.height
        ridge = self._drawn_ridge(chance, sky)
        air = [bytes([shade]) * width for shade in sky[: -len(ridge)]]
        luma = bytearray(b"".join((*air, *ridge)) + bytes(width * (height - self.horizon)))
        blue, red = (chance.randrange(84, 172) for _ in "br")
        half, over = width // 2, self.horizon // 2
        under = height // 2 - over
        blues = bytearray(bytes([blue]) * (half * over) + bytes([(384 - blue) // 2]) * (half * under))
        reds = bytearray(bytes([red]) * (half * over) + bytes([(384 - red) // 2]) * (half * under))
        radius = min(width, height) // 14
        middle, centre = round(width * chance.uniform(0.12, 0.88)), self.horizon - round(height * RIDGE) - radius - 2
        for row in range(-radius, radius):
            reach = int((radius * radius - row * row) ** 0.5)
            at = (centre + row) * width + middle
            luma[at - reach : at + reach] = bytes([228]) * (2 * reach)
            if row % 2 == 0:
                at, reach = (centre + row) // 2 * half + middle // 2, reach // 2
                blues[at - reach : at + reach] = bytes([104]) * (2 * reach)
                reds[at - reach : at + reach] = bytes([150]) * (2 * reach)
        return Picture(width, height, luma, bytes(blues), bytes(reds))

    def _drawn_ridge(self, chance: Random, sky: list[int]) -> list[bytes]:
        """Hills, or a skyline: rows down to the horizon."""
        high = round(self.height * RIDGE)
        tops = _hills(chance) if chance.random() < 0.5 else _houses(chance)
        edges = [step * self.width // _STEPS for step in range(_STEPS + 1)]
        widths = [two - one for one, two in pairwise(edges)]
        rows: list[bytes] = []
        for row in range(high):
            level = 1 - row / high
            air = sky[self.horizon - high + row]
            line = b"".join(
                bytes([air - 40 if top >= level else air]) * wide for top, wide in zip(tops, widths, strict=True)
            )
            rows.append(line)
        return rows

    def _drawn_ground(self, far: int, near: int) -> Iterator[_Row]:
        deep = self.height - self.horizon
        for row in range(deep):
            close = (row + 1) / deep
            base = round(far + (near - far) * close)
            # Far away stripes are finer than the rows that show them.
            contrast = round(13 * min(1.0, close / 0.4))
            line = partial(self._line, close, base)
            yield _Row(line(contrast, dashed=True), line(-contrast, dashed=False), STRIPES / close)

    def _line(self, close: float, base: int, contrast: int, *, dashed: bool) -> bytes:
        """One row of meadow, road, and the dashes in its middle."""
        meadow, road = bytes([base + contrast]), bytes([max(18, base - 22)])
        reach = int(self.width * 0.42 * close)
        left, right = max(0, self.vanish - reach), min(self.width, self.vanish + reach)
        row = bytearray(meadow * left + road * (right - left) + meadow * (self.width - right))
        dash = int(self.width * 0.012 * close)
        if dashed and dash:
            row[self.vanish - dash : self.vanish + dash] = bytes([210]) * (2 * dash)
        return bytes(row)


def _hills(chance: Random) -> list[float]:
    """How high the ridge is, from 0 to 1."""
    waves = [(number, chance.uniform(0, 2 * pi), 0.32 / number**0.5) for number in (1, 2, 3, 5)]

    def top(turn: float) -> float:
        return 0.5 + sum(size * sin(number * turn + begin) for number, begin, size in waves)

    return [min(0.96, max(0.1, top(2 * pi * step / _STEPS))) for step in range(_STEPS)]


def _houses(chance: Random) -> list[float]:
    tops: list[float] = []
    while len(tops) < _STEPS:
        tops += [chance.uniform(0.15, 0.96)] * chance.randrange(3, 9)
    return tops[:_STEPS]
