"""Answers for eyes and for programs: tables that lose nothing at any width, JSON that keeps to its schema."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache

import pytest
from jsonschema import Draft202012Validator
from support.sandboxes import exported
from support.terminal import Terminal, command, environment

from mcp_server import catalog, places
from mcp_server.__main__ import main
from mcp_server.domain.task import short_name
from mcp_server.tasks.store import base

if sys.platform == "win32":
    pytest.skip("a pty is a Unix thing", allow_module_level=True)

SCENE = "a heron   stands in\nthe reeds while the mist rises from a lake that nobody has seen"
MOTION = ("--mode", "motion-control", "--image", "https://example.com/a.png", "--video", "https://example.com/a.mp4")
TABLES = {
    "tasks": ("tasks",),
    "models": ("models",),
    "detail": ("models", "--detail", "--tier", "4k"),
    "estimate": ("estimate", "--prompt", "a heron", *MOTION),
    "spend": ("spend", "--by", "model"),
    "task": ("task", "TASK"),
    "film": ("task", "FILM"),
    "doctor": ("doctor",),
}
BOARD = """
title = "Herons, at length"
[look]
tier = "standard"
[[shots]]
id = "reeds"
prompt = "a heron stands in the reeds"
duration = 3
[[shots]]
id = "lake"
prompt = "mist rises from the lake"
duration = 3
begin = "dissolve"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A home with two rehearsals, a film and a bought clip in its record."""
    home = tmp_path_factory.mktemp("home")
    (home / "board.toml").write_text(BOARD)
    env = environment(home, KLING_SANDBOX_SECONDS="0.1")
    for words in (
        ("generate", "--prompt", SCENE, "--tier", "4k", "--duration", "3"),
        ("generate", "--prompt", SCENE, "--duration", "3", "--provider", "sandbox"),
        ("film", str(home / "board.toml"), "--yes"),
    ):
        done = subprocess.run(
            command(*words),
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    vendors = subprocess.Popen(
        command("sandbox", "--seconds", "0.1", "--store", str(home / "vendors.db")),
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        there = exported(vendors.stdout)
        order = command("generate", "--prompt", SCENE, "--provider", "runcomfy", "--duration", "3")
        assert (
            subprocess.run(order, env={**env, **there}, capture_output=True, timeout=120, check=False).returncode == 0
        )
    finally:
        vendors.terminate()
        vendors.wait()
        vendors.stdout.close()
    return env


@pytest.fixture(scope="module")
def words(house):
    """The command of each table, with an id where it takes one."""
    found = json.loads(piped(house, "tasks", "--json"))
    ids = {"TASK": found["tasks"][-1]["task_id"], "FILM": found["films"][-1]["film_id"]}
    return {name: tuple(ids.get(word, word) for word in TABLES[name]) for name in TABLES}


@pytest.fixture(scope="module")
def plain(house, words):
    """A table as a pipe gets it; a process each, so once for all widths."""
    return cache(lambda name: piped(house, *words[name]))


@pytest.fixture(scope="module")
def drawn(house, words):
    """A table as a terminal of this width shows it; once for whoever reads it."""

    def shown(name: str, width: int) -> str:
        terminal = Terminal(*words[name], env={**house, "COLUMNS": str(width)}, width=width)
        try:
            assert terminal.end() == 0
            return terminal.text
        finally:
            terminal.close()

    return cache(shown)


def piped(env, *words: str) -> str:
    done = subprocess.run(command(*words), env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_no_cell_loses_a_character_at_any_width(plain, drawn, name, width) -> None:
    shown = drawn(name, width).split()
    # A file's place is left to `task` and `open`, a prompt is shortened; every other word of every cell is whole.
    there = {word for word in plain(name).split() if name != "tasks" or not word.endswith(".mp4")}
    # How much room a disk has changes meanwhile.
    there = {word for word in there if not word.removeprefix("(").isdecimal()} if name == "doctor" else there
    # Where each row stands by itself, its first heading goes without saying.
    missing = there - set(shown) - {"file", "task", "offer", "model", "shot"}
    assert sorted(missing - (set(SCENE.split()) if name == "tasks" else set())) == []
    if name == "tasks":
        assert any(word.endswith("…") for word in shown)


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_is_drawn_fits_its_terminal(drawn, name, width) -> None:
    lines = drawn(name, width).splitlines()
    if any("───" in line for line in lines):
        head = next(at for at, line in enumerate(lines) if "───" in line)
        assert all(len(line.rstrip()) <= width for line in lines[head - 1 : head + 10])


def test_piped_there_is_one_line_a_task(house) -> None:
    lines = piped(house, "tasks").splitlines()
    found = json.loads(piped(house, "tasks", "--json"))
    ids = [task["task_id"] for task in found["tasks"]] + [film["film_id"] for film in found["films"]]
    assert sorted(line.split()[0] for line in lines) == sorted(["task", *ids])
    assert sum(" ".join(SCENE.split()) in line for line in lines) == len(found["tasks"]) - 2


@pytest.mark.parametrize(
    "words",
    [
        ("models",),
        ("models", "--detail", "--mode", "lip-sync"),
        ("estimate", "--prompt", "a heron"),
        ("estimate", "--prompt", "a heron", "--count", "3", *MOTION),
        ("tasks",),
        ("spend",),
        ("estimate", "sora: a heron"),
        ("task", "kv-261129-000000000000"),
        ("tasks", "--provider", "nobody"),
    ],
    ids=" ".join,
)
def test_json_keeps_to_its_schema(house, words) -> None:
    done = subprocess.run(
        command(*words, "--json"), env=house, capture_output=True, text=True, timeout=120, check=False
    )
    found = json.loads(done.stdout)
    assert ("error" in found) is bool(done.returncode)
    schema = json.loads((places.schemas() / "cli" / f"{words[0]}.json").read_text())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(found)] == []


def test_a_task_keeps_to_its_schema_and_a_wrong_one_does_not(house) -> None:
    task = json.loads(piped(house, "tasks", "--json"))["tasks"][-1]["task_id"]
    found = json.loads(piped(house, "task", task, "--sheet", "--last-frame", "--fit", "16MB", "--json"))
    validator = Draft202012Validator(json.loads((places.schemas() / "cli" / "task.json").read_text()))
    assert [error.message for error in validator.iter_errors(found)] == []
    assert found["sheet_path"] and found["last_frame_path"]
    assert found["fitted_copy"]["path"] == found["video_path"]
    assert not validator.is_valid({**found, "cost_usd": 1})
    assert not validator.is_valid({name: value for name, value in found.items() if name != "state"})


def test_models_as_json_count_every_offer_twice_alike_and_name_its_parts(house) -> None:
    found = json.loads(piped(house, "models", "--json"))
    known = catalog.load()
    assert [line["offer"] for line in found["offers"]] == [offer.id for offer in known.offers]
    grouped = [
        (vendor, group["model"], group["tier"], group["mode"])
        for group in found["models"]
        for vendor in (*group.get("sold_by", []), *group.get("only_listed_by", []))
    ]
    fields = [tuple(line[name] for name in ("provider", "model", "tier", "mode")) for line in found["offers"]]
    assert sorted(grouped) == sorted(fields)
    line = next(line for line in found["offers"] if line["offer"] == "runcomfy/kling-3.0/pro/text-to-video")
    assert line["seconds"] == list(range(3, 16)) and line["aspect_ratios"] == ["16:9", "9:16", "1:1"]
    assert (line["rates"][0]["per"], line["rates"][0]["silent"], line["rates"][0]["audio"]) == (
        "second",
        "0.112",
        "0.168",
    )
    unsold = [line for line in found["offers"] if line.get("not_sold_because")]
    assert unsold and sum(len(group.get("only_listed_by", [])) for group in found["models"]) == len(unsold)


def test_a_clip_goes_by_the_end_of_its_files_name(house) -> None:
    task = json.loads(piped(house, "tasks", "--json"))["tasks"][-1]
    end = task["task_id"][-6:]
    assert task["video_path"].endswith(f"-{end}.mp4")
    for name in (end, task["video_path"], task["task_id"]):
        assert json.loads(piped(house, "task", name, "--json"))["task_id"] == task["task_id"]
    assert piped(house, "wait", end).strip() == task["video_path"]
    again = json.loads(piped(house, "again", end, "pro", "--no-wait", "--json"))
    assert (again["tier"], again["prompt"]) == ("pro", task["prompt"])


def test_an_end_that_fits_several_tasks_or_none_is_refused(monkeypatch, capsys) -> None:
    ids = iter(("kv-261129-aaaaaasame00", "kv-261129-bbbbbbsame00"))
    monkeypatch.setattr(base, "new_id", lambda _now: next(ids))
    for _ in range(2):
        assert main(["generate", "--prompt", "x", "--no-wait"]) == 0
    capsys.readouterr()
    assert main(["cancel", "same00"]) == 65
    assert "could be kv-261129-bbbbbbsame00, kv-261129-aaaaaasame00" in capsys.readouterr().err
    assert main(["task", "nosuch"]) == 65
    assert "There is no task 'nosuch'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("n1a24r", "n1a24r"),
        ("2026-11-29-a-fox-simulated-n1a24r.mp4", "n1a24r"),
        ("/x/y/a-fox-n1a24r.sheet.jpg", "n1a24r"),
        ("a-fox-n1a24r.last.png", "n1a24r"),
        ("kv-261129-9atxtfn1a24r", None),
        ("abc", None),
        ("N1A24R!", None),
        ("%%%%%%", None),
    ],
)
def test_what_is_the_end_of_an_id_and_what_is_not(text, end) -> None:
    assert short_name(text) == end


@pytest.mark.parametrize(
    "words",
    [
        ("estimate", "--prompt", "x", "--tier", "PRO", "--provider", "RunComfy"),
        ("models", "--tier", "Standard", "--mode", "Text-To-Video", "--provider", "RUNAPI"),
        ("tasks", "--state", "Succeeded", "--provider", "Sandbox"),
        ("generate", "--prompt", "x", "--mode", "TEXT-TO-VIDEO", "--resolution", "1080P", "--tier", "Pro", "--no-wait"),
    ],
    ids=" ".join,
)
def test_case_does_not_matter_in_our_own_words(words, capsys) -> None:
    assert main([*words]) == 0, capsys.readouterr().err
