"""`kling-video route`: one request explained, or one per line."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest
from support.labelled import labelled

from mcp_server.__main__ import main
from mcp_server.cli import COMMANDS

KEYS = set("tier mode model provider duration aspect_ratio resolution audio shots prompt matched none".split())


def lines(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str) -> list[dict[str, object]]:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["route", "--jsonl"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_the_command_is_listed() -> None:
    assert "route" in COMMANDS


def test_one_line_in_one_line_out(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["kling 4k, vertical, ten seconds, with sound: a neon city", "how much is kling?", "", "kling"]
    first, second, third, fourth = lines(monkeypatch, capsys, "\n".join(asked) + "\n")
    assert {key: value for key, value in first.items() if key != "matched"} == {
        "tier": "4k",
        "duration": 10,
        "aspect_ratio": "9:16",
        "audio": True,
        "prompt": "a neon city",
    }
    assert first["matched"][0] == {"words": "4k", "start": 6, "field": "tier", "value": "4k"}  # type: ignore[index]
    assert second.keys() == {"none"}
    assert third.keys() == {"none"}
    assert fourth == {}


def test_only_what_is_wished_is_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row for row in labelled("first_half") if "\n" not in row["text"] and "\t" not in row["text"]][:200]
    for row, found in zip(rows, lines(monkeypatch, capsys, "".join(f"{row['text']}\n" for row in rows)), strict=True):
        wanted = {key: value for key, value in row["want"].items() if key in KEYS and key != "none"}
        assert {key: value for key, value in found.items() if key in KEYS - {"matched", "none"}} == wanted
        assert bool(found.get("none")) is row["want"].get("none", False)
        assert None not in found.values()


def test_a_provider_is_there_only_if_it_was_named_or_the_id_is_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "kling 3.0: fog\nkling-v3-pro-audio: fog\nkling via runapi: fog\nkling-3.0: fog\n"
    assert [found.get("provider") for found in lines(monkeypatch, capsys, text)] == [None, "uniall", "runapi", None]


def test_json_says_the_route_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "--json", "kling", "pro", "5s:", "fog"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["tier"], found["duration"], found["prompt"]) == ("pro", 5, "fog")
    assert found["offer"].endswith("/kling-3.0/pro/text-to-video")
    assert found["offer"] in found["route"]
    assert isinstance(found["dropped"], dict)


def test_a_person_reads_which_words_set_what_and_why_this_offer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "kling 4k, not runapi, vertical: fog"]) == 0
    said = capsys.readouterr().out
    assert "“4k” → tier: 4k" in said
    assert "“vertical” → aspect ratio: 9:16" in said
    assert "not wanted: vendor runapi" in said
    assert "prompt: fog" in said
    assert "runcomfy/kling-3.0/4k/text-to-video: " in said


def test_what_is_no_order_yields_no_route_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "make a sora video of fog"]) == 65
    assert "No route: they name sora, not Kling" in capsys.readouterr().err


def test_a_wish_nobody_can_meet_says_what_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "--json", "kling, half a minute: fog"]) == 65
    found = json.loads(capsys.readouterr().out)
    assert found["duration"] == 30
    assert "duration 30 is not sold" in found["error"]["what"]
    assert "3 to 15 seconds" in found["error"]["next_step"]


def test_contradictions_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route", "--json", "kling 4k pro: fog"]) == 65
    found = json.loads(capsys.readouterr().out)
    assert "tier" not in found
    assert "“4k” and “pro”" in found["contradictions"][0]
    assert found["error"]["code"] == "bad_request"


def test_without_words_it_is_a_wrong_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["route"]) == 64
    assert "no words" in capsys.readouterr().err


def test_reading_words_imports_nothing_heavy() -> None:
    script = (
        "import sys; from mcp_server import catalog; from mcp_server.language import reader;"
        "reader.read('kling 4k: fog', catalog=catalog.load());"
        "print([name for name in ('pydantic', 'jsonschema', 'httpx', 'mcp', 'rich', 'asyncio') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "[]\n"
