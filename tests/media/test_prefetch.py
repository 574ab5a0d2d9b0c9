"""What a thread makes ahead comes as if it had been made when it was asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mcp_server.media.prefetch import prefetched


def test_everything_comes_in_its_order() -> None:
    assert list(prefetched(range(1000), 3)) == list(range(1000))
    assert list(prefetched([], 3)) == []


def test_no_more_is_made_than_there_is_room_for() -> None:
    made: list[int] = []
    full = threading.Event()

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            if len(made) == 3:
                full.set()
            yield number

    taken = prefetched(items(), 3)
    assert next(taken) == 0
    assert full.wait(10)
    # The third waits for room: the first is still held by whoever took it.
    assert made == [0, 1, 2]
    taken.close()
    assert len(made) <= 4


def test_what_goes_wrong_is_raised_where_it_would_have_been_made() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken off")

    taken = prefetched(items(), 3)
    assert next(taken) == 1
    with pytest.raises(ValueError, match="broken off"):
        next(taken)


def test_closed_early_nothing_is_made_any_more_and_what_made_it_is_left() -> None:
    left = threading.Event()

    def items() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            left.set()

    before = threading.active_count()
    taken = prefetched(items(), 3)
    assert next(taken) == 0
    taken.close()
    assert threading.active_count() == before
    assert left.is_set()
