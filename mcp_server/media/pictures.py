"""Pictures as everything here works on them: upright, letterboxed into one size, at one steady frame rate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from av.filter.context import FilterContext
    from av.filter.graph import Graph
    from av.video.frame import VideoFrame

PIXELS: Final = "yuv420p"
_TURNS: Final = {90: ("cclock",), 180: ("clock", "clock"), 270: ("clock",)}
"""How a picture is set upright that is to be shown turned by so many degrees counter-clockwise."""
_FULL_RANGE: Final = 2


@dataclass(frozen=True, slots=True)
class Colour:
    """What the numbers of a picture mean, in FFmpeg's numbers (2 is "not said")."""

    space: int
    primaries: int
    transfer: int
    full: bool

    @classmethod
    def of(cls, frame: VideoFrame) -> Colour:
        """As the frame is tagged."""
        return cls(
            int(frame.colorspace),
            int(frame.color_primaries),
            int(frame.color_trc),
            is_full(frame),
        )

    @property
    def matrix(self) -> str:
        """The matrix as the scaler calls it; BT.709 for a picture that does not say, which leaves its numbers alone."""
        return {1: "bt709", 2: "bt709", 9: "bt2020"}.get(self.space, "bt601")


BT709: Final = Colour(1, 1, 1, full=False)


class Letterbox:
    """Sets pictures upright and fits them into one size, whole, with black where their shape leaves room."""

    def __init__(self, width: int, height: int, colour: Colour | None = None) -> None:
        self._size = width, height
        self._colour = colour
        """What the pictures are turned into; None leaves it as it is."""
        self._given: tuple[object, ...] = ()
        self._graph: Graph | None = None
        self._ends: tuple[FilterContext, FilterContext] | None = None

    def fit(self, frame: VideoFrame, shape: Fraction | None = None) -> VideoFrame:
        """The picture in that size; `shape` is of one of its pixels, where they are not square."""
        if self._fits(frame, shape):
            return frame
        given = (frame.width, frame.height, frame.format.name, frame.rotation, shape, Colour.of(frame))
        if given != self._given or self._ends is None:
            self._given, self._ends = given, self._built(frame, shape)
        source, sink = self._ends
        frame.pts, frame.time_base = None, Fraction(1, 1)
        source.push(frame)
        return cast("VideoFrame", sink.pull())

    def _fits(self, frame: VideoFrame, shape: Fraction | None) -> bool:
        return (
            (frame.width, frame.height) == self._size
            and frame.format.name == PIXELS
            and frame.rotation % 360 == 0
            and _is_square(shape)
            and (self._colour is None or Colour.of(frame) == self._colour)
        )

    def _built(self, frame: VideoFrame, shape: Fraction | None) -> tuple[FilterContext, FilterContext]:
        from av.filter import Graph

        self._graph = graph = Graph()
        source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
        sink = graph.add("buffersink")
        made = [graph.add("transpose", f"dir={way}") for way in _TURNS.get(frame.rotation % 360, ())]
        width, height = self._inner(frame, shape)
        made += [
            graph.add("scale", f"{width}:{height}:flags=bicubic{self._colours(frame)}"),
            graph.add("format", PIXELS),
            graph.add("pad", f"{self._size[0]}:{self._size[1]}:-1:-1"),
            graph.add("setsar", "1"),
        ]
        graph.link_nodes(source, *made, sink).configure()
        return source, sink

    def _inner(self, frame: VideoFrame, shape: Fraction | None) -> tuple[int, int]:
        """The largest even size of the picture's own shape that has room."""
        wide = frame.width * (shape if shape is not None and not _is_square(shape) else 1)
        sides = (Fraction(wide), Fraction(frame.height))
        if frame.rotation % 180 == 90:
            sides = sides[1], sides[0]
        scale = min(self._size[0] / sides[0], self._size[1] / sides[1])
        width, height = (max(2, round(side * scale / 2) * 2) for side in sides)
        # A side that misses by a sliver is stretched over it: a black line of two pixels is no letterbox.
        return tuple(
            whole if whole - 8 <= side else side for side, whole in zip((width, height), self._size, strict=True)
        )  # type: ignore[return-value]

    def _colours(self, frame: VideoFrame) -> str:
        was, is_now = Colour.of(frame), self._colour
        if is_now is None:
            return ":in_range=full:out_range=limited" if was.full else ""
        ranges = ":".join(f"{way}_range={'full' if c.full else 'limited'}" for way, c in (("in", was), ("out", is_now)))
        return f":in_color_matrix={was.matrix}:out_color_matrix={is_now.matrix}:{ranges}"


def steady(frames: Iterable[VideoFrame], start: Fraction, fps: Fraction, count: int) -> Iterator[VideoFrame]:
    """At every tick the picture that is nearest in time to be shown: some twice, some not at all; `count` of them.

    Where the pictures end early the last one stays; ValueError where there was none.
    """
    tick, held = 0, None
    for frame in frames:
        at = frame.pts * frame.time_base - start if frame.pts is not None and frame.time_base is not None else None
        # Shown from the tick that is nearest to its moment on.
        due = tick if at is None else _rounded(at * fps)
        while held is not None and tick < min(due, count):
            yield held
            tick += 1
        held = frame
        if tick >= count:
            return
    if held is None:
        raise ValueError("nothing in it decodes")
    for _ in range(tick, count):
        yield held


def blended(leaving: VideoFrame, coming: VideoFrame, share: float) -> VideoFrame:
    """Two pictures of one size in one, the second with its share of the whole."""
    from av.filter import Graph

    graph = Graph()
    blend, sink = graph.add("blend", f"all_mode=normal:all_opacity={1 - share:.4f}"), graph.add("buffersink")
    sources: list[FilterContext] = []
    for place, frame in enumerate((leaving, coming)):
        source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
        source.link_to(blend, 0, place)
        sources.append(source)
    blend.link_to(sink)
    graph.configure()
    for source, frame in zip(sources, (leaving, coming), strict=True):
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        source.push(frame)
        source.push(None)
    return cast("VideoFrame", sink.pull())


def is_full(frame: VideoFrame) -> bool:
    """Whether black is 0 and not 16."""
    return int(frame.color_range) == _FULL_RANGE or (frame.format.name or "").startswith("yuvj")


def _is_square(shape: Fraction | None) -> bool:
    return not shape or shape < 0 or shape == 1


def _rounded(value: Fraction) -> int:
    """Half up, so that a rate halved or doubled picks every other picture the same way."""
    return int((value + Fraction(1, 2)) // 1)
