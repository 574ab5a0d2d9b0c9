"""The board: what its author may write, in a call or in a file, and one line of help for each mistake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcp_server.errors import ArgumentError, RequestError
from mcp_server.films import board

SHOT = {"id": "a", "prompt": "a paper boat"}


def read(**more: Any) -> board.Board:
    return board.from_arguments({"title": "Boat", "shots": [SHOT], **more})


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"shots": [SHOT, SHOT]}, "2 shots have the id 'a'"),
        ({"shots": [{**SHOT, "begin": "continue"}]}, "shot 'a': it is the first, so there is nothing to continue from"),
        ({"shots": [{**SHOT, "begin": "dissolve"}]}, "nothing to dissolve from"),
        ({"shots": [{**SHOT, "cast": ["bob"]}], "cast": {"ann": {}}}, "the cast has no 'bob'; in `cast` is ann"),
        ({"shots": [{**SHOT, "cast": ["bob"]}]}, "in `cast` is nobody"),
        ({"shots": [{"id": "a"}]}, "`prompt` is missing"),
        (
            {"shots": [{"id": "a", "clip": "x.mp4", "prompt": "x", "duration": 5}]},
            "so `prompt` and `duration` would do",
        ),
        ({"shots": [SHOT, {"id": "b", "clip": "x.mp4", "begin": "continue"}]}, "it cannot continue another"),
        ({"shots": [SHOT, {**SHOT, "id": "b", "image": "x.png", "begin": "continue"}]}, "both say how it begins"),
        ({"shots": [{**SHOT, "seconds": 5}]}, "Unknown argument shots[0].seconds"),
        ({"shots": [{**SHOT, "duraton": 5}]}, "the nearest known one is duration"),
        (
            {"shots": [{**SHOT, "begin": "fade"}]},
            "shots[0].begin must be 'cut', 'continue', 'dissolve' or 'multi-shot'",
        ),
        ({"shots": [{"id": "a b", "prompt": "x"}]}, "an id is one word"),
        ({"shots": []}, "shots"),
        (
            {"shots": [{"id": f"s{number}", "prompt": "x"} for number in range(101)]},
            "shots has 101 entries, at most 100",
        ),
        ({"look": {"tier": "8k"}}, "look.tier must be 'standard', 'pro' or '4k'"),
        ({"look": {"aspect": "9:16"}}, "the nearest known one is aspect_ratio"),
    ],
)
def test_a_mistake_is_told_in_one_line_and_nothing_is_charged(more: dict[str, Any], says: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        read(**more)

    assert says in refused.value.what
    assert "\n" not in str(refused.value)
    assert str(refused.value).endswith("Nothing was charged.")


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(ArgumentError) as refused:
        read(shots=[{**SHOT, "begin": "continue"}, {"id": "b"}, {**SHOT, "id": "c", "cast": ["bob"]}])

    assert len(refused.value.problems) == 3


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_a_file_says_the_same_as_a_call_and_its_paths_lie_beside_it(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"board{suffix}"
    if suffix == ".json":
        path.write_text(
            json.dumps(
                {
                    "title": "Boat",
                    "look": {"tier": "pro"},
                    "cast": {"ann": {"pictures": ["ann.png", "https://example.com/a.png"]}},
                    "shots": [
                        {**SHOT, "duration": 5, "image": "first.png"},
                        {"id": "b", "clip": "kv-261121-000000000000"},
                    ],
                    "sound": "/music/rain.mp3",
                }
            )
        )
    else:
        path.write_text(
            'title = "Boat"\nsound = "/music/rain.mp3"\n[look]\ntier = "pro"\n'
            '[cast.ann]\npictures = ["ann.png", "https://example.com/a.png"]\n'
            '[[shots]]\nid = "a"\nprompt = "a paper boat"\nduration = 5\nimage = "first.png"\n'
            '[[shots]]\nid = "b"\nclip = "kv-261121-000000000000"\n'
        )

    found = board.from_file(path)

    assert found.look.tier == "pro"
    assert found.shots[0].image == str(tmp_path / "first.png")
    assert found.shots[1].clip == "kv-261121-000000000000"
    assert found.cast["ann"].pictures == [str(tmp_path / "ann.png"), "https://example.com/a.png"]
    assert found.sound == "/music/rain.mp3"
    assert found.written()["shots"][0]["duration"] == 5


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("board.toml", "title = ", "cannot be read"),
        ("board.json", "[1]", "no object with `title` and `shots`"),
        ("board.json", "{", "cannot be read"),
        ("board.yaml", "title: x", "a board is a .toml or .json file"),
        ("missing.toml", None, "No such file"),
    ],
)
def test_a_file_that_is_no_board_is_refused_in_words(tmp_path: Path, name: str, text: str | None, says: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)

    with pytest.raises(RequestError) as refused:
        board.from_file(tmp_path / name)

    assert says in str(refused.value)
