"""SIGKILL while a film is made: it goes on, no shot is bought twice, no half file has a final name.

The whole drill, every point × every vendor, is `python tests/drill/films.py`; here is one vendor at the points between
which money and files change hands.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from drill.films import crash, verdict
from drill.lives import Vendors, vendors


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    with vendors(tmp_path_factory.mktemp("vendors"), rendering=True) as house:
        yield house


@pytest.mark.parametrize(
    ("point", "asked_again"),
    [
        ("film.started", False),
        ("film.shot_recorded", False),
        ("film.shot_recorded:2", True),
        ("film.joining", False),
        ("all=film.checking", False),
        ("film.joined", False),
    ],
)
def test_a_killed_film_goes_on_and_buys_nothing_twice(
    tmp_path: Path, shops: Vendors, point: str, asked_again: bool
) -> None:
    made = crash(tmp_path / "home", shops, "runcomfy", point, asked_again=asked_again)

    assert verdict(made, point, asked_again=asked_again) == []
