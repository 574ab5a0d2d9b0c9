"""Pictures of a clip: a sheet to judge it by, and its last frame to go on from."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from fractions import Fraction
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from mcp_server.errors import LocalError
from mcp_server.media.part import whole
from mcp_server.media.probe import opened, stands_at

if TYPE_CHECKING:
    from av.buffer import Buffer
    from av.container import InputContainer
    from av.video.frame import VideoFrame

SHEET_BYTES = 150_000
"""A model reads it in one look, and a client shows it inline."""
_FRAMES = 6
_LONG_SIDE = 1080
"""Of the whole sheet: enough to read a face, small enough for the limit."""
_HIGH = 2400
"""Of a film's sheet, which has a row for each shot."""
_GAP = 4
_GRAY = 128
_QUALITIES = (3, 5, 8, 12, 18, 25, 31)
"""JPEG quantiser scales, finest first."""
_POSTER_SIDE = 720
_POSTER_QUALITY = 5
_EDGE = 0.2
"""Seconds after an ordered cut at which the new shot is surely on screen: models cut a few frames late."""


def contact_sheet(path: str | Path, shots: Sequence[float] = ()) -> bytes:
    """First, last and evenly spaced frames as one JPEG; given the lengths of `shots`, each shot's first frame too."""
    frames = _frames(path, shots)
    return _sheet(frames, _columns(frames[0].width, frames[0].height))


def last_frame(path: str | Path) -> bytes:
    """The last picture as PNG, in full size, to chain another clip to."""
    with _opened(path) as container:
        video = container.streams.video[0]
        if video.duration is not None:
            container.seek(max(0, video.duration - 1), stream=video)
        last = None
        for frame in container.decode(video):
            last = frame
    if last is None:
        raise _no_picture(path, "nothing decodes")
    return _encoded(last, "png", "rgb24")


def poster(path: str | Path, made: str | Path) -> Path:
    """The poster of the clip at that place; no more is decoded than it takes."""
    with _opened(path) as container:
        video = container.streams.video[0]
        due, found = stands_at(video), None
        for frame in container.decode(video):
            found = frame
            if (frame.time or 0.0) >= due:
                break
    if found is None:
        raise _no_picture(path, "nothing decodes")
    return keep_poster(found, made)


def keep_poster(picture: VideoFrame, made: str | Path) -> Path:
    """The picture that stands for a clip as a small JPEG at that place."""
    made = Path(made)
    made.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scale = min(_POSTER_SIDE / max(picture.width, picture.height), 1.0)
    small = _sized(picture, max(16, round(picture.width * scale)))
    return _keep(made, _encoded(small, "mjpeg", "yuvj420p", _POSTER_QUALITY))


def sheet_beside(path: str | Path, shots: Sequence[float] = ()) -> Path:
    """The contact sheet as `<name>.sheet.jpg` beside the clip, made when it is not there yet."""
    beside = Path(path).with_suffix(".sheet.jpg")
    return beside if beside.exists() else _keep(beside, contact_sheet(path, shots))


def last_frame_beside(path: str | Path) -> Path:
    """The last frame as `<name>.last.png` beside the clip, made when it is not there yet."""
    beside = Path(path).with_suffix(".last.png")
    return beside if beside.exists() else _keep(beside, last_frame(path))


def rows_beside(film: str | Path, rows: Sequence[Sequence[VideoFrame]]) -> Path:
    """The contact sheet of a film beside it: small pictures, row under row."""
    return _keep(Path(film).with_suffix(".sheet.jpg"), _fitted(_stacked(rows)))


def small(frame: VideoFrame, rows: Sequence[Sequence[object]], columns: int) -> VideoFrame:
    """A picture as it stands in a row of so many, on a sheet of these rows: all are equally wide."""
    high = sum(frame.height / frame.width / len(row) for row in rows)
    wide = min(_LONG_SIDE, _HIGH / high)
    return _sized(frame, max(16, min(frame.width, round(wide / columns))))


def _frames(path: str | Path, shots: Sequence[float]) -> list[VideoFrame]:
    """The frames of the sheet in their order, already small; the last one is the clip's last."""
    with _opened(path) as container:
        video = container.streams.video[0]
        video.thread_type = "AUTO"
        length = float(video.duration * video.time_base) if video.duration and video.time_base else 0.0
        due = _moments(length, shots)
        found: list[VideoFrame] = []
        last: VideoFrame | None = None
        for frame in container.decode(video):
            last = frame
            # The clip's last frame closes the sheet, so one place is kept for it.
            if len(found) < len(due) - 1 and (frame.time or 0.0) >= due[len(found)]:
                found.append(_small(frame))
        if last is None:
            raise _no_picture(path, "nothing decodes")
        return [*found, _small(last)]


def _moments(length: float, shots: Sequence[float]) -> list[float]:
    """When to look: where each shot begins (and at its middle, while there is room), or evenly; then the end."""
    starts = [0.0, *accumulate(shots[:-1])]
    if len(shots) < 2 or starts[-1] >= length:
        return [length * step / (_FRAMES - 1) for step in range(_FRAMES)]
    looks = [start + _EDGE if start else 0.0 for start in starts]
    if 2 * len(shots) < _FRAMES:
        looks += [start + shot / 2 for start, shot in zip(starts, shots, strict=True)]
    return [*sorted(looks), length]


def _small(frame: VideoFrame) -> VideoFrame:
    return _sized(frame, min(frame.width, _LONG_SIDE // _columns(frame.width, frame.height)))


def _sized(frame: VideoFrame, width: int) -> VideoFrame:
    height = round(frame.height * width / frame.width)
    return frame.reformat(width=width & ~1, height=height & ~1, format="yuvj420p", interpolation="AREA")


def _columns(width: int, height: int) -> int:
    """Upright clips stand in one row, all others in rows of three."""
    return _FRAMES if height > width * 1.2 else _FRAMES // 2


def _sheet(frames: Sequence[VideoFrame], columns: int) -> bytes:
    return _fitted(_tiled(frames, min(len(frames), columns)))


def _fitted(sheet: VideoFrame) -> bytes:
    """As JPEG, as fine as the limit allows."""
    while True:
        for quality in _QUALITIES:
            data = _encoded(sheet, "mjpeg", "yuvj420p", quality)
            if len(data) <= SHEET_BYTES:
                return data
        # Only a screen full of noise gets here; half the size holds a quarter of it.
        sheet = sheet.reformat(width=sheet.width // 4 * 2, height=sheet.height // 4 * 2, interpolation="AREA")


def _tiled(frames: Sequence[VideoFrame], columns: int) -> VideoFrame:
    from av.filter import Graph

    first = frames[0]
    rows = -(-len(frames) // columns)
    graph = Graph()
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=Fraction(1, 1))
    tile = graph.add("tile", f"{columns}x{rows}:nb_frames={len(frames)}:padding={_GAP}:color=gray")
    sink = graph.add("buffersink")
    graph.link_nodes(source, tile, sink).configure()
    for index, frame in enumerate(frames):
        frame.pts, frame.time_base = index, Fraction(1, 1)
        graph.vpush(frame)
    graph.vpush(None)
    return graph.vpull()


def _stacked(rows: Sequence[Sequence[VideoFrame]]) -> VideoFrame:
    """Rows of pictures on gray, one under the other."""
    from av.video.frame import VideoFrame

    def across(row: Sequence[VideoFrame]) -> int:
        return sum(frame.width + _GAP for frame in row) - _GAP

    width, height = max(map(across, rows)), sum(row[0].height + _GAP for row in rows) - _GAP
    sheet = VideoFrame(width, height, "yuvj420p")
    strides = [plane.line_size for plane in sheet.planes]
    drawn = [bytearray([_GRAY]) * plane.buffer_size for plane in sheet.planes]
    top = 0
    for row in rows:
        left = (width - across(row)) // 4 * 2
        for frame in row:
            for index, plane in enumerate(frame.planes):
                part = 2 if index else 1
                given, stride, wide = bytes(plane), plane.line_size, frame.width // part
                for line in range(frame.height // part):
                    at = (top // part + line) * strides[index] + left // part
                    drawn[index][at : at + wide] = given[line * stride : line * stride + wide]
            left += frame.width + _GAP
        top += row[0].height + _GAP
    for plane, data in zip(sheet.planes, drawn, strict=True):
        plane.update(bytes(data))
    return sheet


def _encoded(frame: VideoFrame, codec: Literal["mjpeg", "png"], pixels: str, quality: int | None = None) -> bytes:
    from av.codec import CodecContext

    picture = frame.reformat(format=pixels)
    context = CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt = picture.width, picture.height, pixels
    context.time_base = Fraction(1, 25)
    if quality is not None:
        context.qmin = context.qmax = quality
    picture.pts, picture.time_base = 0, Fraction(1, 25)
    encode = cast("Callable[[VideoFrame | None], Iterable[Buffer]]", context.encode)  # type: ignore[reportUnknownMemberType]
    return b"".join(bytes(packet) for given in (picture, None) for packet in encode(given))


@contextmanager
def _opened(path: str | Path) -> Generator[InputContainer]:
    """The clip, with every way it can fail said in our words."""
    from av.error import FFmpegError

    try:
        with opened(path) as container:
            if not container.streams.video:
                raise _no_picture(path, "it has no picture track")
            yield container
    except (FFmpegError, OSError, ValueError) as error:
        raise _no_picture(path, getattr(error, "strerror", None) or str(error)) from error


def _no_picture(path: str | Path, why: str) -> LocalError:
    return LocalError(f"No picture can be taken from {path}", why=why)


def _keep(beside: Path, data: bytes) -> Path:
    """The file appears whole or not at all, also when two processes make it at once."""
    with whole(beside) as draft:
        draft.write_bytes(data)
    return beside
