"""When to look: seldom before a clip can be ready, closely when it is due, never all at once."""

from __future__ import annotations

import random
from math import ceil, log

import pytest

from mcp_server.tasks.follow.intervals import (
    FARTHEST_S,
    FIRST,
    NEAREST_S,
    Pace,
    could_be_done,
    deadline_s,
    gap,
    hazard,
    learn,
    poll_after_s,
    stretch,
    trouble,
)


def looks(end: float, pace: Pace) -> tuple[int, float]:
    at, count = 0.0, 0
    while at < end:
        at += gap(at, pace)
        count += 1
    return count, at - end


@pytest.mark.parametrize("median", [60.0, 120.0, 240.0])
def test_at_a_steady_vendor_two_fifths_of_the_looks_see_the_end_no_later(median: float) -> None:
    draw = random.Random(11)
    count = lag = fixed = fixed_lag = 0.0
    for _ in range(400):
        pace = learn([draw.lognormvariate(log(median), 0.15) for _ in range(20)])
        end = draw.lognormvariate(log(median), 0.15)
        made, late = looks(end, pace)
        count, lag = count + made, lag + late
        fixed, fixed_lag = fixed + ceil(end / 2), fixed_lag + 2 * ceil(end / 2) - end

    assert count <= 0.4 * fixed
    assert lag <= 1.02 * fixed_lag


def test_looks_are_closest_when_a_clip_is_due() -> None:
    pace = learn([100.0, 110.0, 120.0, 105.0, 95.0, 112.0])

    assert gap(30, pace) > 5 * gap(105, pace)
    assert gap(5_000, pace) > 10 * gap(105, pace)


@pytest.mark.parametrize("age", [0.0, 0.1, 3, 19, 60, 110, 400, 5_000, 1e6, -5])
@pytest.mark.parametrize("pace", [FIRST, Pace(log(3), 0.8), Pace(log(110), 0.08, 40), Pace(log(900), 0.3, 5)])
def test_a_gap_is_always_a_sane_number_of_seconds(age: float, pace: Pace) -> None:
    assert NEAREST_S <= gap(age, pace) <= FARTHEST_S
    assert hazard(age, pace) >= 0


def test_an_early_refusal_is_seen_within_seconds_also_when_a_look_comes_a_little_soon() -> None:
    for median in (110.0, 240.0):
        pace = Pace(log(median), 0.2, 20)
        assert gap(0, pace) == 4
        assert gap(4, pace) == 10
        assert gap(3.8, pace) == pytest.approx(10.2)


def test_three_clips_replace_the_guess_and_one_odd_clip_does_not() -> None:
    assert learn([]) is FIRST
    assert learn([30.0] * 3).median == pytest.approx(30)
    assert 50 < learn([30.0]).median < 110
    assert learn([100.0] * 20 + [9_000.0]).median < 130


def test_a_crowd_is_looked_at_less_often_each() -> None:
    pace = learn([110.0 + n for n in range(10)])

    assert stretch(1, pace, 4) == 1
    assert stretch(10_000, pace, 4) > 20
    assert gap(100, pace, stretch=20) > 5 * gap(100, pace)
    assert gap(0, pace, stretch=20) > 5 * gap(0, pace)


def test_what_was_taken_over_is_looked_at_at_once_only_if_it_could_be_done() -> None:
    pace = learn([110.0 + n for n in range(10)])

    assert not could_be_done(20, pace)
    assert could_be_done(100, pace)
    assert could_be_done(86_400, pace)


def test_trouble_is_met_with_patience_up_to_two_minutes() -> None:
    assert [trouble(count) for count in (1, 2, 3, 9, 500)] == [2, 4, 8, 120, 120]


def test_only_off_peak_has_no_deadline() -> None:
    assert deadline_s("text-to-video", off_peak=True) is None
    assert deadline_s("text-to-video", off_peak=False) == 12 * 3600
    assert deadline_s("something new", off_peak=False) == 24 * 3600


def test_the_hint_to_come_back_halves_what_is_left() -> None:
    pace = Pace(log(100), 0.2)
    assert poll_after_s(0, pace) in {50, 51}
    assert poll_after_s(96, pace) == 3
    assert poll_after_s(500, pace) == 5
