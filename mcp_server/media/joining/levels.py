"""How loud each shot becomes, so that none stands out (EBU R128), and how a sound bed keeps below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mcp_server.media.joining.loudness import Loudness

LOUDEST: Final = -16.0
"""LUFS of a film where every shot's peaks allow it: what AES TD1008 asks of streamed speech within 2 LU."""
SOFTEST: Final = -24.0
"""LUFS below which a film is not brought for the sake of one shot's peaks: R128's own broadcast level, about."""
CEILING: Final = -1.5
"""dBFS no sample passes: coding to AAC adds up to a decibel."""
LIMITED: Final = 6.0
"""Decibels a limiter may take off a peak before it is heard as pumping."""
MOST: Final = 30.0
"""Decibels a shot is raised at most: beyond is noise."""
BED_BELOW: Final = 6.0
"""LU by which the bed is softer than the shots where it plays alone."""
WORTH_SAYING: Final = 1.0


@dataclass(frozen=True, slots=True)
class Levels:
    """Gains in decibels: one for each shot (0 where nothing is heard), one for the bed."""

    target: float
    shots: tuple[float, ...]
    bed: float


def levels_of(shots: Sequence[Loudness | None], bed: Loudness | None) -> Levels:
    """One loudness for all shots: as loud as the peaks of each allow, between the loudest and the softest."""
    target = LOUDEST
    for heard in shots:
        if heard is not None and not heard.silent:
            target = min(target, heard.integrated() + CEILING - heard.peak_db + LIMITED)
    target = max(SOFTEST, target)
    alone = all(heard is None or heard.silent for heard in shots)
    return Levels(
        target=target,
        shots=tuple(_gain(heard, target) for heard in shots),
        bed=_gain(bed, target if alone else target - BED_BELOW),
    )


def _gain(heard: Loudness | None, target: float) -> float:
    if heard is None or heard.silent:
        return 0.0
    # A click in silence has a peak and no loudness.
    level = heard.integrated()
    return max(-MOST, min(MOST, target - level)) if level > float("-inf") else 0.0
