"""Sound as everything here works on it: 48 kHz stereo, planar floats, from the moment it is asked from."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from mcp_server.domain.file_format import AAC, ENOUGH, FLAC, MATROSKA, MP3, OGG, WAV, sniff

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.filter.context import FilterContext

RATE: Final = 48_000
FORMAT: Final = f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={RATE}"
_DEMUXERS: Final = {AAC: "aac", FLAC: "flac", MATROSKA: "matroska", MP3: "mp3", OGG: "ogg", WAV: "wav"}


def opened_sound(path: str | Path) -> InputContainer:
    """A file with sound in it as the container it begins like, from this machine alone; ValueError for any other."""
    import av

    with Path(path).open("rb") as file:
        kind = sniff(file.read(ENOUGH))
    if kind is None or kind.sort == "image":
        raise ValueError("it is no sound file")
    container = av.open(str(path), format=_DEMUXERS.get(kind, "mov"), options={"protocol_whitelist": "file"})
    if not container.streams.audio:
        container.close()
        raise ValueError("there is no sound in it")
    return container


def heard_from(container: InputContainer, start: Fraction, *filters: str) -> Iterator[AudioFrame]:
    """The sound through the filters, its first sample heard at `start`: gaps and a late begin are silence."""
    from av.filter import Graph

    graph = source = sink = None
    for frame in container.decode(container.streams.audio[0]):
        if source is None or sink is None:
            graph = Graph()
            source = graph.add_abuffer(
                sample_rate=frame.sample_rate,
                format=frame.format.name,
                layout=frame.layout.name,
                time_base=Fraction(1, frame.sample_rate),
            )
            steady = graph.add("aresample", f"{RATE}:async=1:first_pts=0"), graph.add("aformat", FORMAT)
            sink = graph.add("abuffersink")
            made = (graph.add(name, options) for name, _, options in (text.partition("=") for text in filters))
            graph.link_nodes(source, *steady, *made, sink).configure()
        if frame.pts is not None and frame.time_base is not None:
            frame.pts = round((frame.pts * frame.time_base - start) * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
        source.push(frame)
        yield from pulled(sink)
    if source is not None and sink is not None:
        source.push(None)
        yield from pulled(sink)


def pulled(sink: FilterContext) -> Iterator[AudioFrame]:
    """What a graph has ready."""
    from av import error

    while True:
        try:
            yield cast("AudioFrame", sink.pull())
        except (error.BlockingIOError, error.EOFError):
            return


def silence(samples: int) -> AudioFrame:
    """So many samples of nothing."""
    from av import AudioFrame

    frame = AudioFrame(format="fltp", layout="stereo", samples=samples)
    frame.sample_rate = RATE
    for plane in frame.planes:
        plane.update(bytes(plane.buffer_size))
    return frame
