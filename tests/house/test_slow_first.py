"""The suite is dealt out to its workers without losing a test, and the slow files are where they are said to be."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.slow_first import SLOW, slow_first

TESTS = Path(__file__).parents[1]


def listed(count: int, *slow: int) -> list[Any]:
    """A quick file of so many tests, and the first slow files with so many each."""
    files = [("test_quick.py", count), *((name, many) for name, many in zip(SLOW, slow, strict=False))]
    return [SimpleNamespace(nodeid=f"tests/{name}::test[{number}]") for name, many in files for number in range(many)]


@pytest.mark.parametrize(("count", "slow"), [(17, (3, 1, 2)), (90, (5, 5, 4, 4, 3)), (2, (9, 1)), (0, (1,)), (3, ())])
@pytest.mark.parametrize("workers", [2, 3, 4])
def test_every_test_is_there_once_and_each_file_in_its_order(count: int, slow: tuple[int, ...], workers: int) -> None:
    items = listed(count, *slow)

    found = slow_first(items, workers)

    assert sorted(map(id, found)) == sorted(map(id, items))
    for name in {item.nodeid.partition("::")[0] for item in items}:
        before, after = ([item for item in order if item.nodeid.startswith(name)] for order in (items, found))
        assert before == after


def test_each_worker_begins_with_its_share_of_the_slow_files() -> None:
    found = slow_first(listed(87, 4, 3, 2, 1), 4)

    # As xdist cuts the list.
    parts = [found[:24], found[24:48], found[48:72], found[72:]]
    for part, name, many in zip(parts, SLOW[:4], (4, 3, 2, 1), strict=True):
        assert [f"tests/{name}" in item.nodeid for item in part] == [True] * many + [False] * (len(part) - many)


def test_every_slow_file_is_there() -> None:
    assert [name for name in SLOW if not (TESTS / name).is_file()] == []
    assert len(SLOW) == len(set(SLOW))
