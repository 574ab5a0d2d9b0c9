"""Half characters, by every door: a plain refusal before anything is recorded, and never silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.http_serving import free_port, running
from support.mcp_wire import LEGACY, MODERN, Web, message, pipe

from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.damaged_text import damaged, mended
from mcp_server.domain.parsing import read
from mcp_server.errors import ArgumentError
from mcp_server.server.http import build_app
from mcp_server.settings import Settings

HALF = "\ud83d"
CALLS = [
    ("generate_video", {"prompt": f"a boat {HALF}"}, "prompt (after 'a boat ')"),
    ("generate_video", {"request": HALF}, "request"),
    ("generate_video", {"prompt": "a boat", "idempotency_key": f"k{HALF}"}, "idempotency_key (after 'k')"),
    ("generate_video", {"prompt": "a boat", "output_dir": f"/tmp/{HALF}"}, "output_dir (after '/tmp/')"),
    ("generate_video", {"shots": [{"prompt": "a"}, {"prompt": HALF}]}, "shots[1].prompt"),
    ("generate_video", {"prompt": "x", "provider": "runapi", "options": {"a": {HALF: 1}}}, "options.a"),
    ("generate_video", {"prompt": "x", "provider": "runapi", "options": {"a": [{"b": HALF}]}}, "options.a[0].b"),
    ("generate_video", {HALF: 1}, "the text"),
    ("generate_video", {"prompt": "a boat \ufffd"}, "prompt (after 'a boat ')"),
    ("estimate_cost", {"prompt": HALF}, "prompt"),
    ("get_task", {"task_id": HALF}, "task_id"),
    ("get_task", {"task_ids": ["kv-1", HALF]}, "task_ids[1]"),
    ("cancel_task", {"task_id": HALF}, "task_id"),
    ("list_tasks", {"search": HALF}, "search"),
    ("list_models", {"model": HALF}, "model"),
]


def home(folder: Path) -> dict[str, str]:
    return {"HOME": str(folder), "KLING_HOME": str(folder / "home"), "KLING_OUTPUT_DIR": str(folder / "videos")}


def refused(answer: dict[str, Any], where: str) -> None:
    error = answer["structuredContent"]["error"]
    assert answer["isError"] is True
    assert (error["code"], error["money"]) == ("bad_argument", "not_spent")
    assert error["what"].endswith(f"in {where}")


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_on_a_pipe_it_is_answered_and_nothing_is_recorded(tmp_path: Path, era: str) -> None:
    """The SDK drops a line with half a character in it without a word."""
    async with pipe(home(tmp_path), era) as server:
        for name, arguments, where in CALLS:
            refused((await server.ask("tools/call", {"name": name, "arguments": arguments}))["result"], where)
        for method, params in (
            ("resources/read", {"uri": f"task://{HALF}"}),
            ("prompts/get", {"name": HALF}),
            ("tools/call", {"name": HALF, "arguments": {}}),
        ):
            assert "error" in await server.ask(method, params)
        whole = {"name": "estimate_cost", "arguments": {"prompt": "a boat 🚤 \\ud83d", "model": "kling-3.0"}}
        found = (await server.ask("tools/call", whole))["result"]["structuredContent"]
    assert found["prompt"] == "a boat 🚤 \\ud83d", "whole characters, and words about halves, stay what they are"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("era", [LEGACY, MODERN])
async def test_over_http_the_request_is_turned_away(tmp_path: Path, era: str) -> None:
    settings = Settings.read(home(tmp_path))
    port = free_port()
    app = build_app(settings, host="127.0.0.1", port=port, make=lambda: build(settings))
    async with running(app, port) as address, httpx.AsyncClient(timeout=60) as http:
        web = Web(http, f"{address}/mcp", era)
        for name, arguments, _ in CALLS:
            headers, body = web.post("tools/call", {"name": name, "arguments": arguments})
            reply = await http.post(
                web.address, headers={**headers, "Content-Type": "application/json"}, content=json.dumps(body)
            )
            found = message(reply) if reply.headers["content-type"].startswith("text/event-stream") else reply.json()
            assert found.get("error") or found["result"]["isError"], (name, found)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "command",
    [
        ["generate", "a boat \udcff"],
        ["generate", "--prompt", "\udcff", "--json"],
        ["generate", "--image", "/tmp/\udcff.png", "kling: it moves"],
        ["estimate", "a boat", "--option", "a=\udcff", "--provider", "runapi"],
        ["route", "\udcff"],
        ["task", "\udcff", "--json"],
        ["settle", "\udcff", "--job", "\udcff"],
        ["tasks", "--search", "\udcff"],
        ["auth", "\udcff"],
        ["\udcff"],
    ],
)
def test_on_the_command_line_it_is_a_wrong_argument(tmp_path: Path, command: list[str]) -> None:
    ended = run(tmp_path, command)
    assert ended.returncode == 64
    assert b"Traceback" not in ended.stderr
    assert f"argument {next(i for i, text in enumerate(command, 1) if chr(0xDCFF) in text)}".encode() in ended.stderr
    assert (b"Nothing was charged" in ended.stderr) is (command[0] != "auth")
    if "--json" in command:
        assert json.loads(ended.stdout)["error"]["code"] == "bad_argument"
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_arguments_with_half_a_character_is_refused(tmp_path: Path) -> None:
    ended = run(tmp_path, ["generate", "--input", "-", "--yes"], text=b'{"prompt": "a boat \\ud83d"}')
    assert ended.returncode == 64
    assert b"in prompt (after 'a boat ')" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def run(folder: Path, command: list[str], text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    environment = {"PATH": os.environ["PATH"], "PYTHONUTF8": "1", **home(folder)}
    words = [os.fsencode(word) for word in command]
    return subprocess.run(
        [sys.executable, "-m", "mcp_server", *words],
        check=False,
        env=environment,
        input=text,
        capture_output=True,
        timeout=120,
    )


def test_what_is_whole_is_taken_as_it_is() -> None:
    given = {"prompt": "a boat 🚤 – größer", "options": {"ключ": ["値", 1, None, True]}, "provider": "runapi"}
    assert damaged(given) == ""
    assert mended(given) == given
    assert read(VideoArguments, given).given() == given


def test_mended_text_is_never_taken_for_what_was_written() -> None:
    assert mended({"a\ud83d": ["\udc00", {"b": "x\ud800y"}]}) == {"a\ufffd": ["\ufffd", {"b": "x\ufffdy"}]}
    with pytest.raises(ArgumentError):
        read(VideoArguments, mended({"prompt": "\ud800"}))
