"""What the frames of a simulated clip look like: flat colours, given pictures, burnt-in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from io import BytesIO
from typing import Any

from mcp_server.sandbox.video import font

BLACK, GRAY, INK, NEUTRAL = 16, 72, 235, 128
"""Luma of black, of a placeholder, of letters; chroma without colour."""


def av() -> Any:
    """PyAV, from the `media` extra; imported only when a picture is needed."""
    return import_module("av")


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """A picture that goes into a clip."""

    label: str
    """What it is and where it came from, burnt in when the picture itself cannot be shown."""
    data: bytes | None = None
    """The picture file; None for an address, which is never fetched."""


@dataclass(slots=True)
class Picture:
    """One frame as YUV 4:2:0, without padding."""

    width: int
    height: int
    luma: bytearray
    blue: bytes
    red: bytes
    genuine: bool = False
    """Whether a given picture is shown, not a drawing of ours."""

    @property
    def scale(self) -> int:
        """How many pixels a dot of a letter is wide."""
        return max(1, min(self.width, self.height) // 240)

    @property
    def letters(self) -> int:
        """How many letters fit on a line."""
        return max(8, (self.width - 8 * self.scale) // (font.COLUMNS * self.scale))

    def write(self, text: str, *, top: int, scale: int | None = None) -> int:
        """Burn one line of words in; answers where the next line begins."""
        size = scale or self.scale
        rows = font.line(text, scale=size, ink=INK, paper=BLACK)
        stamp(memoryview(self.luma), self.width, self.width, rows, left=4 * self.scale, top=top, scale=size)
        return top + (font.ROWS + 2) * size

    def write_lines(self, text: str, *, top: int, lines: int, scale: int | None = None) -> int:
        """Burn several lines in, each below the one before."""
        for part in font.wrap(text, letters=self.letters * self.scale // (scale or self.scale), lines=lines):
            top = self.write(part, top=top, scale=scale)
        return top


def flat(width: int, height: int, luma: int = BLACK) -> Picture:
    """A picture of one gray."""
    chroma = bytes([NEUTRAL]) * (width // 2 * (height // 2))
    return Picture(width, height, bytearray(bytes([luma]) * (width * height)), chroma, chroma)


def still(width: int, height: int, given: Still) -> Picture:
    """The given picture, filling the frame; a labelled gray one where it cannot be shown."""
    shown = _decoded(width, height, given.data) if given.data else None
    if shown is not None:
        return shown
    picture = flat(width, height, GRAY)
    picture.write_lines(given.label, top=picture.height // 3, lines=4)
    return picture


def size_of(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture file; None when it is none."""
    try:
        with av().open(BytesIO(data)) as source:
            stream = source.streams.video[0]
            return int(stream.width), int(stream.height)
    except (av().error.FFmpegError, IndexError):
        return None


def _decoded(width: int, height: int, data: bytes) -> Picture | None:
    library = av()
    try:
        with library.open(BytesIO(data)) as source:
            frame = next(source.decode(video=0))
            graph = library.filter.Graph()
            graph.link_nodes(
                graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)),
                graph.add("scale", f"{width}:{height}:force_original_aspect_ratio=increase"),
                graph.add("crop", f"{width}:{height}"),
                graph.add("format", "yuv420p"),
                graph.add("buffersink"),
            ).configure()
            graph.push(frame)
            made = graph.pull()
    except (library.error.FFmpegError, StopIteration, IndexError, ValueError):
        return None
    luma, blue, red = (_tight(plane) for plane in made.planes)
    return Picture(width, height, bytearray(luma), blue, red, genuine=True)


def _tight(plane: Any) -> bytes:
    data, stride = bytes(plane), plane.line_size
    if stride == plane.width:
        return data[: plane.width * plane.height]
    return b"".join(data[row * stride : row * stride + plane.width] for row in range(plane.height))


def stamp(
    plane: memoryview, stride: int, width: int, rows: Iterable[bytes], *, left: int, top: int, scale: int
) -> None:
    """Lay rows of gray into a plane, each `scale` pixels high; what would stick out is cut off."""
    room = width - left
    for number, row in enumerate(rows):
        part = row[:room]
        for line in range(scale):
            start = (top + number * scale + line) * stride + left
            if start + len(part) <= len(plane):
                plane[start : start + len(part)] = part


def put(planes: Any, picture: Picture, window: tuple[int, int, int, int] | None = None) -> None:
    """Make the frame show the picture; only within left, top, right, bottom (even numbers) where these are given."""
    if window is not None:
        _put_part(planes, picture, window)
        return
    for plane, data in zip(planes, (picture.luma, picture.blue, picture.red), strict=True):
        target, stride, width = memoryview(plane), plane.line_size, plane.width
        if stride == width:
            target[: len(data)] = data
            continue
        for row in range(plane.height):
            target[row * stride : row * stride + width] = data[row * width : (row + 1) * width]


def _put_part(planes: Any, picture: Picture, window: tuple[int, int, int, int]) -> None:
    halves = (1, 2, 2)
    for plane, data, half in zip(planes, (picture.luma, picture.blue, picture.red), halves, strict=True):
        left, top, right, bottom = (side // half for side in window)
        target, stride, width = memoryview(plane), plane.line_size, picture.width // half
        for row in range(top, bottom):
            target[row * stride + left : row * stride + right] = data[row * width + left : row * width + right]
