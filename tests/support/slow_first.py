"""Who runs what, where several workers share the suite.

A worker of pytest-xdist begins with an equal part of the list as it stands, and takes from the others when it has nothing
left. The slow files come first in every part, a file whole, so that what a module prepares is prepared once and what is
left at the end is short. Where a file is missing here, or is quick by now, the end of a run is a little longer; nothing else.
"""

from __future__ import annotations

from itertools import chain, cycle
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pytest

SLOW = (
    "cli/test_tables.py",
    "cli/test_films.py",
    "cli/test_terminal.py",
    "tasks/test_crash_drill.py",
    "test_consent.py",
    "cli/test_batch.py",
    "media/test_media.py",
    "films/test_film_drill.py",
    "films/test_filming.py",
    "films/test_film_races.py",
    "language/test_hostile.py",
    "tasks/test_interleavings.py",
    "media/test_film_checks.py",
    "films/test_rehearsal.py",
    "films/test_multi_shot.py",
    "house/test_new_vendor.py",
    "house/test_recipes.py",
    "media/test_joining.py",
    "media/test_fitting.py",
    "sandbox/test_video.py",
    "tasks/test_machines.py",
    "test_earlier_tasks.py",
    "tasks/test_processes.py",
    "server/test_films.py",
    "studio/test_films.py",
    "sandbox/test_server.py",
    "tasks/store/test_postgres.py",
    "hostile/test_environment.py",
    "server/test_stdio.py",
    "hostile/test_tool_fuzz.py",
    "hostile/test_vendor_fuzz.py",
    "release/test_generated.py",
)
"""What takes more than some seconds of a core, the dearest first."""


def slow_first(items: Sequence[pytest.Item], workers: int) -> list[pytest.Item]:
    """The same tests, so that each of `workers` equal parts begins with its share of the slow files."""
    slow: dict[str, list[pytest.Item]] = {name: [] for name in SLOW}
    quick: list[pytest.Item] = []
    for item in items:
        slow.get(item.nodeid.partition("::")[0].removeprefix("tests/"), quick).append(item)
    parts: list[list[pytest.Item]] = [[] for _ in range(workers)]
    # There and back: who got the dearest of one round gets the cheapest of the next.
    for part, file in zip(cycle([*parts, *reversed(parts)]), filter(None, slow.values())):
        part.extend(file)
    for number, part in enumerate(parts):
        # As many as xdist counts: what does not divide evenly goes to the last ones.
        size = (len(items) + number) // workers
        room = max(0, size - len(part))
        part.extend(quick[:room])
        del quick[:room]
    return list(chain(*parts, quick))
