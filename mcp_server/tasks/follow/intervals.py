"""When to poll a job again: seldom while its clip cannot be ready, closely when it is due.

A poll costs the vendor and us; not polling costs the user. With the chance per second that a job is done just now
(its hazard), the fewest polls for a given mean delay are those whose density follows the square root of the
hazard: for density n, polls are ∫ n·S and delay is ∫ f / 2n (f: when jobs end, S: the share still running), and
n = c·√(f/S) makes their product smallest. The hazard comes from a log-normal fit to the offer's own past clips.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil, erfc, exp, log, pi, sqrt
from typing import Final

TARGET_LAG_S: Final = 1.0
"""Delay to plan for between a clip's end and our noticing; a little less comes out. A fixed two-second one has 1.0."""
GUESSED_LAG_S: Final = 2.0
"""The same while the offer's pace is still a guess."""
POLLS_PER_TURN_S: Final = 5.0
"""Polls per second and call in flight at one vendor at most; no vendor publishes a limit, so this is ours."""
SAFETY_S: Final = 30.0
"""Between polls of a job that is late and whose end was to be posted."""
NEAREST_S: Final = 0.5
FARTHEST_S: Final = 300.0
REFUSALS_S: Final = (4.0, 14.0)
"""Ages at which a job is polled for refusals by moderation, which come long before any clip could; where clips take
less than six times that, their own polls come soon enough."""
_PRIOR_WEIGHT: Final = 1.5
_PRIOR_SIGMA: Final = 0.3
_HOURS: Final = 3600.0

DEADLINE_S: Final[Mapping[str, float]] = {
    "text-to-video": 12 * _HOURS,
    "image-to-video": 12 * _HOURS,
    "reference-to-video": 12 * _HOURS,
    "template-effect": 12 * _HOURS,
    "video-edit": 24 * _HOURS,
    "motion-control": 24 * _HOURS,
    "avatar": 24 * _HOURS,
    "lip-sync": 24 * _HOURS,
    "extend": 24 * _HOURS,
}
"""Ours, far beyond any clip's time: no vendor promises one. Off-peak orders have none."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long an offer's clips take: log-normal, in seconds."""

    mu: float
    sigma: float
    clips: int = 0
    """How many past clips it was learned from."""

    @property
    def lag_s(self) -> float:
        """The delay to aim at: a guess is not worth many polls."""
        return TARGET_LAG_S if self.clips >= 3 else GUESSED_LAG_S

    @property
    def median(self) -> float:
        return exp(self.mu)


FIRST: Final = Pace(log(110.0), 0.55)
"""Before anything is known: Kling clips are reported to take one to five minutes."""
FIRST_SIMULATED: Final = Pace(log(3.0), 0.8)
"""The sandbox plays in seconds what takes minutes."""


def learn(durations: Iterable[float], first: Pace = FIRST) -> Pace:
    """The pace after these clips; the first guess counts as a clip or two among them."""
    logs = [log(max(0.05, seconds)) for seconds in durations]
    if not logs:
        return first
    # The guess about the middle gives way after three clips; the guess about the spread fades.
    guess = [first.mu] if len(logs) < 3 else []
    mu = sum(logs + guess) / len(logs + guess)
    spread = sum((value - mu) ** 2 for value in logs) + _PRIOR_WEIGHT * _PRIOR_SIGMA**2
    return Pace(mu, max(0.08, sqrt(spread / (len(logs) + _PRIOR_WEIGHT))), len(logs))


def gap(age: float, pace: Pace, *, stretch: float = 1.0, nearest: float = NEAREST_S) -> float:
    """Seconds until the next poll of a job that has run for `age` seconds; `stretch` for more jobs than polls."""
    age = max(0.0, age)
    farthest = min(FARTHEST_S, stretch * max(nearest, pace.median / 2, age / 4))
    # A job far beyond all others is not due every moment: something is wrong with it.
    nearest = min(farthest, max(nearest, (age - pace.median * exp(2.5 * pace.sigma)) / 8))
    refusal = next((at for at in REFUSALS_S if 1.5 * age < at * stretch < pace.median / 6), None)
    if refusal is not None:
        farthest = min(farthest, max(nearest, stretch * refusal - age))
    scale = _constant(pace.sigma) * sqrt(pace.median) / (2 * pace.lag_s * stretch)
    seen = 0.0
    at = age
    step = farthest / 16
    while at - age < farthest:
        density = scale * sqrt(hazard(at + step / 2, pace))
        if seen + density * step >= 1:
            return min(farthest, max(nearest, at - age + (1 - seen) / density))
        seen += density * step
        at += step
    return farthest


def safety_gap(age: float, pace: Pace) -> float:
    """The same for a job whose end will be posted: once when nine in ten have ended, then seldom; posts get lost."""
    late = pace.median * exp(1.3 * pace.sigma)
    return min(FARTHEST_S, late - age if age < late - NEAREST_S else max(SAFETY_S, age / 4))


def could_be_done(age: float, pace: Pace) -> bool:
    """Whether a job of this age may have ended while nobody polled: all but one in a hundred take longer before."""
    return age > pace.median * exp(-2.3 * pace.sigma)


def stretch(crowd: int, pace: Pace, turns: float) -> float:
    """How much longer to wait when this many jobs share a vendor: polls per second stay polite."""
    each_per_s = _constant(pace.sigma) ** 2 / (2 * pace.lag_s)
    return max(1.0, crowd * each_per_s / (POLLS_PER_TURN_S * turns))


def hazard(age: float, pace: Pace) -> float:
    """The chance per second that a job still running at this age ends now."""
    if age <= 0:
        return 0.0
    z = (log(age) - pace.mu) / pace.sigma
    if z > 6:
        # Where erfc loses its digits; Mills' ratio is z there.
        return z / (age * pace.sigma)
    return exp(-z * z / 2) / (age * pace.sigma * sqrt(2 * pi) * 0.5 * erfc(z / sqrt(2)))


@lru_cache(maxsize=256)
def _constant(sigma: float) -> float:
    """∫ √(f·S) for a median of one second; it scales with the root of the median."""
    pace = Pace(0.0, sigma)
    steps = 200
    low, high = exp(-5 * sigma), exp(5 * sigma)
    width = log(high / low) / steps
    total = 0.0
    for index in range(steps):
        at = low * exp(width * (index + 0.5))
        z = log(at) / sigma
        share = 0.5 * erfc(z / sqrt(2))
        total += sqrt(hazard(at, pace)) * share * at * width
    return total


def trouble(failures: int) -> float:
    """Seconds until the next try after so many in a row went wrong: 2, 4, 8 … 120."""
    return float(min(120, 2 ** min(failures, 7)))


def reminder(asked: int) -> float:
    """Seconds until the vendor is asked once more for a link that works: 2, 4, 8 … half an hour."""
    return float(min(1_800, 2 ** min(asked, 11)))


def deadline_s(mode: str, *, off_peak: bool) -> float | None:
    """How long to follow; None: as long as it takes."""
    return None if off_peak else DEADLINE_S.get(mode, 24 * _HOURS)


def poll_after_s(age: float, pace: Pace) -> float:
    """A hint for callers who come back by themselves: half of what is left, in whole seconds."""
    left = pace.median - age
    return float(max(3, min(60, ceil(left / 2)))) if left > 0 else 5.0
