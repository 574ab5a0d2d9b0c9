"""The timetable against a fixed two-second one, on a simulated clock: looks per clip and mean delay of noticing.

`python benchmarks/tasks_schedule.py [CLIPS]`: per median and spread of an offer's durations, after 0, 3, 10
and 40 earlier clips. `floor` is the least share of looks any timetable could do with at a mean delay of one second.
"""

from __future__ import annotations

import json
import random
import sys
from math import ceil, log
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from mcp_server.tasks.follow.intervals import Pace, gap, hazard, learn


def floor(median: float, sigma: float, draw: random.Random) -> float:
    """(∫ √(f·S))² / mean, which is the share of a fixed timetable's looks at the same mean delay of one second."""
    pace = Pace(log(median), sigma)
    ends = [draw.lognormvariate(log(median), sigma) for _ in range(4000)]
    ends.sort()
    total, step = 0.0, median / 400
    at, left = step / 2, len(ends)
    index = 0
    while index < len(ends):
        while index < len(ends) and ends[index] < at:
            index += 1
        total += hazard(at, pace) ** 0.5 * (left - index) / left * step
        at += step
    return total**2 / (sum(ends) / len(ends))


def row(median: float, sigma: float, known: int, clips: int) -> dict[str, float]:
    draw = random.Random(f"{median} {sigma} {known}")
    looks = lag = fixed_looks = fixed_lag = 0.0
    for _ in range(clips):
        pace = learn([draw.lognormvariate(log(median), sigma) for _ in range(known)])
        end = draw.lognormvariate(log(median), sigma)
        at = 0.0
        while at < end:
            at += gap(at, pace)
            looks += 1
        lag += at - end
        fixed_looks += ceil(end / 2)
        fixed_lag += 2 * ceil(end / 2) - end
    return {
        "median_s": median, "sigma": sigma, "known_clips": known, "looks": round(looks / clips, 1),
        "fixed": round(fixed_looks / clips, 1), "share": round(looks / fixed_looks, 2),
        "lag_s": round(lag / clips, 2), "fixed_lag_s": round(fixed_lag / clips, 2),
        "floor": round(floor(median, sigma, draw), 2),
    }  # fmt: skip


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(
        json.dumps(
            [
                row(median, sigma, known, number)
                for median in (60.0, 120.0, 240.0)
                for sigma in (0.1, 0.15, 0.2, 0.3)
                for known in (0, 3, 10, 40)
            ]
        ).replace("}, ", "},\n")
    )
