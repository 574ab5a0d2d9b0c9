"""`kling-video film` as a person and as a script meet it: an empty home, no key, one command."""

# pyright: basic
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("a pty is a Unix thing", allow_module_level=True)

from support.small_disk import SmallDisk
from support.terminal import Terminal, command, environment

BOARD: dict[str, Any] = {
    "title": "Boat",
    "look": {"provider": "runcomfy", "tier": "standard", "audio": False},
    "shots": [
        {"id": "street", "prompt": "a paper boat in a gutter", "duration": 3},
        {"id": "drain", "prompt": "it falls into the drain", "duration": 3, "begin": "continue"},
    ],
}


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "board.json").write_text(json.dumps(BOARD), encoding="utf-8")
    return environment(tmp_path, KLING_SANDBOX_SECONDS="0.2")


def run(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*words), env=home, cwd=home["HOME"], capture_output=True, text=True, check=False)


def facts(home: dict[str, str], *words: str) -> dict[str, Any]:
    done = run(home, *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_without_a_limit_the_board_is_priced_and_nothing_bought(home: dict[str, str]) -> None:
    done = run(home, "film", "board.json")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kf-")
    assert "Price $0.504 for all of it: 2 × $0.252 = $0.504" in done.stderr
    assert "Planned, and nothing bought." in done.stderr
    found = facts(home, "tasks")
    assert "tasks" not in found
    assert [(film["film_id"], film["state"]) for film in found["films"]] == [(done.stdout.strip(), "planned")]


def test_one_command_makes_the_film_and_all_commands_know_it(home: dict[str, str]) -> None:
    done = run(home, "film", "board.json", "--yes")

    assert done.returncode == 0, done.stderr
    path = Path(done.stdout.strip())
    assert path.is_file() and path.suffix == ".mp4"
    assert "Ready: 6 s · 2 shots" in done.stderr
    listed = facts(home, "tasks")
    assert len(listed["tasks"]) == 2
    (film,) = listed["films"]
    shown = facts(home, "task", film["film_id"])
    assert [shot["state"] for shot in shown["shots"]] == ["succeeded", "succeeded"]
    assert facts(home, "task", path.name)["film_id"] == film["film_id"]
    assert f"{film['film_id']}  " in run(home, "tasks").stdout
    assert str(path) in run(home, "task", film["film_id"]).stdout
    assert run(home, "cancel", film["film_id"]).returncode == 69


def test_a_full_disk_is_said_with_what_to_do_and_waiting_joins_it_once_there_is_room(home: dict[str, str]) -> None:
    disk = SmallDisk(Path(home["HOME"]) / "disk", 50_000)
    small = home | {"PYTHONPATH": f"{disk.path}{os.pathsep}{home['PYTHONPATH']}"}
    failed = run(small, "film", "board.json", "--yes")
    (film,) = facts(small, "tasks")["films"]

    assert (failed.returncode, failed.stdout) == (73, "")
    assert "cannot be written to" in failed.stderr and "there is no room left" in failed.stderr
    assert f"Make room there; then `kling-video wait {film['film_id']}` joins it" in failed.stderr
    assert run(small, "wait", film["film_id"]).returncode == 73

    disk.make_room()
    done = run(small, "wait", film["film_id"])
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_file()
    assert len(facts(home, "tasks")["tasks"]) == 2


def test_called_again_it_buys_nothing_twice(home: dict[str, str]) -> None:
    run(home, "film", "board.json", "--yes", "--no-wait")
    first = run(home, "film", "board.json", "--yes")
    second = run(home, "film", "board.json", "--yes")

    assert (first.returncode, second.returncode) == (0, 0), second.stderr
    assert len(facts(home, "tasks")["tasks"]) == 2


def test_one_shot_is_redone_with_its_new_words(home: dict[str, str]) -> None:
    run(home, "film", "board.json", "--yes")
    film_id = facts(home, "tasks")["films"][0]["film_id"]
    again = facts(home, "film", film_id, "--redo", "drain", "--yes")

    assert again["film_id"] == film_id and again["state"] == "succeeded"
    assert len(facts(home, "tasks")["tasks"]) == 3


def test_more_than_the_limit_ends_with_the_code_of_a_refused_price(home: dict[str, str]) -> None:
    refused = run(home, "film", "board.json", "--max-cost-usd", "0.5")

    assert refused.returncode == 78
    assert "0.504" in refused.stderr
    assert "tasks" not in facts(home, "tasks")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"shots": [{"id": "a", "prompt": "x", "durration": 3}]}, 64, "shots[0].durration; the nearest known one is"),
        ({"shots": [{"id": "a", "prompt": "x", "begin": "continue"}]}, 64, "there is nothing to continue from"),
        ({"shots": [{"id": "a", "clip": "gone.mp4"}]}, 65, "there is no file"),
    ],
    ids=["misspelt", "nothing before", "gone"],
)
def test_a_mistake_is_told_before_anything_is_written(
    home: dict[str, str], change: dict[str, Any], code: int, words: str
) -> None:
    (Path(home["HOME"]) / "board.json").write_text(json.dumps(BOARD | change), encoding="utf-8")
    refused = run(home, "film", "board.json", "--yes")

    assert refused.returncode == code, refused.stderr
    assert words in refused.stderr


def test_a_person_is_asked_once_and_watches_the_shots(home: dict[str, str]) -> None:
    person = Terminal("film", f"{home['HOME']}/board.json", env=home)
    try:
        person.until("Rehearse it for free? [y/N]")
        person.type("y\n")
        shown = person.until("Ready: 6 s · 2 shots")
        assert person.end() == 0
    finally:
        person.close()
    assert "rendering" in shown or "in the queue" in shown
    assert "drain" in shown


def test_a_long_order_in_words_is_planned_as_a_film_even_with_a_yes(home: dict[str, str]) -> None:
    words = "kling standard, 40 seconds. Shot 1 (8s): a paper boat. Shot 2: it falls. Shot 3: the sea at dawn"
    done = run(home, "generate", words, "--yes")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("kf-")
    assert "come to 38 of 40 s" in done.stderr
    assert "tasks" not in facts(home, "tasks")


def test_a_long_order_in_words_is_priced_as_a_film(home: dict[str, str]) -> None:
    words = "kling standard, 40 seconds. Shot 1 (8s): a paper boat. Shot 2: it falls. Shot 3: the sea at dawn"
    done = run(home, "estimate", words)
    found = facts(home, "estimate", words)

    assert done.returncode == 0, done.stderr
    assert f"Price ${found['total']['usd']} for all of it" in done.stdout
    assert "shot-3" in done.stdout and "come to 38 of 40 s" in done.stderr
    assert "film_id" not in found and "films" not in facts(home, "tasks")


def test_a_draft_is_cheaper_and_says_what_the_final_costs(home: dict[str, str]) -> None:
    dear = BOARD | {"look": {"provider": "runcomfy", "tier": "4k", "audio": True}}
    (Path(home["HOME"]) / "board.json").write_text(json.dumps(dear), encoding="utf-8")
    draft = facts(home, "film", "board.json", "--draft", "--yes")
    final = facts(home, "film", draft["film_id"], "--no-draft")

    assert draft["draft"] and draft["state"] == "succeeded"
    assert float(draft["total"]["usd"]) < float(draft["final_total"]["usd"])
    assert final["film_id"] == draft["film_id"] and final["total"] == draft["final_total"]
    assert final["state"] == "planned"
