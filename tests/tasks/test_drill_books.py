"""The drill's books find what they are there to find."""

from __future__ import annotations

from typing import Any

import pytest
from drill.books import Ordered, Turns, reckoned
from drill.killed_films import misfits

BOAT = Ordered("a boat", "runcomfy")
ROW = {
    "id": "kv-1", "prompt": "a boat", "state": "succeeded", "job_id": "job-1", "note": "", "error": None,
    "artifact": {"path": "/out/boat.mp4", "sha256": "abc"},
}  # fmt: skip
GOOD: dict[str, Any] = {
    "told": {"a boat": "kv-1"}, "bought": {"a boat": [("runcomfy", "job-1")]}, "rows": [ROW], "files": {"boat.mp4": "abc"},
    "keyed": {"runapi"},
}  # fmt: skip
TWICE = {"a boat": [("runcomfy", "job-1"), ("runcomfy", "job-2")]}


def unsaved(state: str) -> dict[str, Any]:
    return {"rows": [ROW | {"state": state, "artifact": None}], "files": {}}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bought": TWICE}, "bought 2 times"),
        ({"rows": [], "files": {}}, "is lost"),
        ({"rows": [], "files": {}, "bought": {}}, "is lost"),
        ({"rows": [ROW, ROW | {"id": "kv-2"}]}, "has 2 rows"),
        ({"told": {"a boat": "kv-2"}}, "its row is kv-1"),
        ({"files": {"boat.mp4": "abd"}}, "is not the file"),
        ({"files": {}}, "is not the file"),
        ({"files": {"boat.mp4": "abc", "b.mp4": "abc"}}, "nobody's clip"),
        ({"left_over": [".boat.part"]}, "left over"),
        ({"bought": {"a boat": [("runcomfy", "job-2")]}}, "is followed as job-1"),
        (unsaved("failed"), "is called failed and was bought"),
        (unsaved("queued"), "is still queued"),
        (unsaved("uncertain") | {"keyed": {"runcomfy"}}, "stayed in doubt"),
        (unsaved("uncertain") | {"surely": {"a boat"}}, "stayed in doubt"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], says: str) -> None:
    assert says in " ".join(reckoned([BOAT], **(GOOD | change)).wrong)


@pytest.mark.parametrize("change", [{}, unsaved("uncertain"), unsaved("failed") | {"bought": {}}])
def test_what_is_right_is_not(change: dict[str, Any]) -> None:
    found = reckoned([BOAT], **(GOOD | change))
    assert found.wrong == []
    assert found.counts["double"] == found.counts["lost"] == 0


FILM: dict[str, Any] = {
    "id": "kf-1", "state": "succeeded", "error": None, "reserved_usd": "0", "shots": [{"task_id": "kv-1"}], "joined": {},
}  # fmt: skip


@pytest.mark.parametrize(
    ("films", "doubtful", "says"),
    [
        ([], set(), "became no film"),
        ([FILM, FILM | {"state": "joining"}], set(), "is joining"),
        ([FILM | {"state": "failed", "error": "no"}], set(), "is failed: no"),
        ([FILM | {"state": "uncertain"}], set(), "is uncertain"),
        ([FILM], {"kv-1"}, "is succeeded"),
        ([FILM | {"reserved_usd": "0.5"}], set(), "holds 0.5 USD"),
        ([FILM | {"joined": {"failed_checks": ["short"]}}], set(), "joined, short"),
        ([FILM, FILM], set(), ""),
        ([FILM | {"state": "uncertain"}], {"kv-1"}, ""),
    ],
)
def test_what_is_wrong_with_a_film_is_named(films: list[dict[str, Any]], doubtful: set[str], says: str) -> None:
    found = " ".join(misfits(films, doubtful))
    assert says in found and bool(found) is bool(says)


def test_turns_are_given_out_once_and_not_after_the_time_is_up() -> None:
    turns = Turns(3)
    assert [next(turns), *turns] == [0, 1, 2]
    assert str(turns) == "3"
    late = Turns(3, end=0.0)
    assert (list(late), str(late)) == ([], "0 of 3")
