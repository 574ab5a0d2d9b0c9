"""The film's sound from its first sample to its last: silence where a shot has none, one loudness, a bed below it."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, cast

from mcp_server.errors import LocalError
from mcp_server.media.joining.levels import CEILING, Levels
from mcp_server.media.joining.loudness import Loudness, Meter
from mcp_server.media.joining.source import Source, clip_of
from mcp_server.media.joining.timeline import Span
from mcp_server.media.sounds import FORMAT, RATE, heard_from, opened_sound, pulled, silence

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.filter.context import FilterContext
    from av.filter.graph import Graph

_PIECE: Final = 4096
_EDGE: Final = RATE // 200
"""A cut fades for 5 ms: a wave that is cut through is heard as a click."""
_BED_END: Final = RATE * 3 // 2
"""The bed fades out with the film."""
_DUCK: Final = "threshold=0.0316:ratio=6:attack=20:release=600:knee=4"
"""Gives way 14 dB below what shots are levelled to, at once; comes back slowly, not between two words."""
_LIMIT: Final = f"limit={10 ** (CEILING / 20):.4f}:level=0:latency=1:attack=5:release=80"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mix:
    """Everything the film's sound is made of."""

    sources: Sequence[Source]
    spans: Sequence[Span]
    fps: Fraction
    levels: Levels
    bed: str

    @property
    def samples(self) -> int:
        """Of the whole film."""
        return self.at(self.spans[-1].last)

    def at(self, frame: int) -> int:
        """The sample at which a frame begins."""
        return round(frame / self.fps * RATE)


def bed_loudness(path: str) -> Loudness:
    """How loud the sound laid under the film is; a LocalError where it is not there or does not play."""
    meter = Meter()
    for frame in _bed(path):
        meter.take(frame)
    found = meter.measured()
    if found.silent:
        raise LocalError(f"The film's sound holds only silence: {path}", next_step="Give another file, or none")
    return found


def mixed(mix: Mix) -> Iterator[AudioFrame]:
    """The film's sound in small pieces, as 48 kHz stereo, exactly as long as its pictures."""
    from av.filter import Graph

    graph = Graph()
    shots, limiter, sink = _input(graph), graph.add("alimiter", _LIMIT), graph.add("abuffersink")
    bed = _under(graph, shots, limiter) if mix.bed else None
    if bed is None:
        shots.link_to(limiter)
    graph.link_nodes(limiter, graph.add("aformat", FORMAT), sink).configure()
    under = Exact(_bed(mix.bed, *_bed_filters(mix))) if mix.bed else None
    at = 0
    for frame in _shots(mix):
        samples = frame.samples
        if bed is not None and under is not None:
            bed.push(_timed(under.read(samples), at))
        shots.push(_timed(frame, at))
        at += samples
        yield from pulled(sink)
    for end in (shots, bed):
        if end is not None:
            end.push(None)
    yield from pulled(sink)


class Exact:
    """Gives a sound in pieces of exactly the samples asked for; silence after its end."""

    def __init__(self, frames: Iterable[AudioFrame]) -> None:
        from av import AudioFifo

        self._frames = iter(frames)
        self._fifo = AudioFifo()
        self._held = 0

    def read(self, samples: int) -> AudioFrame:
        """The next samples."""
        while self._held < samples:
            frame = next(self._frames, None) or silence(samples - self._held)
            frame.pts = None
            self._held += frame.samples
            self._fifo.write(frame)
        self._held -= samples
        return cast("AudioFrame", self._fifo.read(samples))

    def pieces(self, samples: int) -> Iterator[AudioFrame]:
        """So many samples, a piece at a time."""
        while samples > 0:
            yield self.read(min(samples, _PIECE))
            samples -= _PIECE


def _shots(mix: Mix) -> Iterator[AudioFrame]:
    """The shots one after the other, dissolves mixed."""
    before = Exact(())
    for index, (source, span, gain) in enumerate(zip(mix.sources, mix.spans, mix.levels.shots, strict=True)):
        begin, alone = mix.at(span.first), mix.at(span.first + span.overlap)
        until = mix.at(mix.spans[index + 1].first if index + 1 < len(mix.spans) else span.last)
        shot = Exact(_shot(source, gain, mix.at(span.last) - begin) if source.heard else ())
        if alone > begin:
            yield _crossfaded(before.read(alone - begin), shot.read(alone - begin))
        yield from shot.pieces(until - alone)
        before = shot


def _shot(source: Source, gain: float, samples: int) -> Iterator[AudioFrame]:
    ends = f"afade=t=out:ss={max(0, samples - _EDGE)}:ns={_EDGE}"
    with clip_of(source.clip) as container:
        yield from heard_from(
            container, source.start, f"volume={gain:.3f}dB:precision=float", f"afade=t=in:ns={_EDGE}", ends
        )


def _bed(path: str, *filters: str) -> Iterator[AudioFrame]:
    with _playing(path), opened_sound(path) as container:
        yield from heard_from(container, Fraction(0), *filters)


def _bed_filters(mix: Mix) -> tuple[str, str]:
    fade = f"afade=t=out:ss={max(0, mix.samples - _BED_END)}:ns={min(_BED_END, mix.samples)}"
    return f"volume={mix.levels.bed:.3f}dB:precision=float", fade


def _under(graph: Graph, shots: FilterContext, limiter: FilterContext) -> FilterContext:
    """The bed's way into the mix: pressed down by what the shots say."""
    bed, both = _input(graph), graph.add("amix", "inputs=2:normalize=0:duration=first")
    split, duck = graph.add("asplit"), graph.add("sidechaincompress", _DUCK)
    shots.link_to(split)
    split.link_to(both, 0, 0)
    bed.link_to(duck, 0, 0)
    split.link_to(duck, 1, 1)
    duck.link_to(both, 0, 1)
    both.link_to(limiter)
    return bed


def _crossfaded(leaving: AudioFrame, coming: AudioFrame) -> AudioFrame:
    """One sound fades into the other, their power together steady."""
    from av.filter import Graph

    graph = Graph()
    both, sink, samples = graph.add("amix", "inputs=2:normalize=0"), graph.add("abuffersink"), leaving.samples
    ends: list[tuple[FilterContext, AudioFrame]] = []
    for place, (frame, way) in enumerate(((leaving, "out"), (coming, "in"))):
        source, fade = _input(graph), graph.add("afade", f"t={way}:ns={samples}:curve=qsin")
        source.link_to(fade)
        fade.link_to(both, 0, place)
        ends.append((source, frame))
    both.link_to(sink)
    graph.configure()
    for source, frame in ends:
        source.push(_timed(frame, 0))
        source.push(None)
    return Exact(pulled(sink)).read(samples)


def _input(graph: Graph) -> FilterContext:
    return graph.add_abuffer(sample_rate=RATE, format="fltp", layout="stereo", time_base=Fraction(1, RATE))


def _timed(frame: AudioFrame, at: int) -> AudioFrame:
    frame.pts, frame.time_base = at, Fraction(1, RATE)
    return frame


@contextmanager
def _playing(path: str) -> Generator[None]:
    from av.error import FFmpegError

    try:
        yield
    except FileNotFoundError:
        raise LocalError(
            f"The film's sound is not there: {path}", next_step="Put the file back, or give another one or none"
        ) from None
    except (FFmpegError, OSError, ValueError) as error:
        raise LocalError(
            f"The film's sound does not play: {path}",
            why=getattr(error, "strerror", None) or str(error),
            next_step="Give another file, or none",
        ) from error
