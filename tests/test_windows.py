"""Windows as another system can play it (`support/windows.py`): everything loads, buys, saves, serves and speaks there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support import windows
from support.terminal import environment

from mcp_server.cli.tasks import desktop
from mcp_server.errors import ArgumentError
from mcp_server.providers.media_inputs import located
from mcp_server.settings import Settings

PROGRAM = (sys.executable, str(Path(windows.__file__)))
TITLE = "可灵 a paper boat"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A home, and pipes that speak the code page of western Europe."""
    return environment(tmp_path, KLING_SANDBOX_SECONDS="0.1", PYTHONIOENCODING="cp1252")


def there(env: dict[str, str], *words: str, given: str = "") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*PROGRAM, *words], env=env, input=given.encode(), capture_output=True, timeout=120, check=False
    )


def test_every_module_loads(env: dict[str, str]) -> None:
    done = there(env, "--import")
    assert done.returncode == 0, done.stderr.decode()
    assert int(done.stdout) == len(windows.modules()) > 250


def test_a_clip_is_bought_saved_and_looked_at_and_its_name_is_said(env: dict[str, str], tmp_path: Path) -> None:
    done = there(env, "generate", "--prompt", TITLE, "--yes", "--duration", "3", "--json")
    assert done.returncode == 0, done.stderr.decode("cp1252")
    task = json.loads(done.stdout.decode("cp1252"))
    assert (task["state"], task["prompt"]) == ("succeeded", TITLE)
    assert "可灵" in Path(task["video_path"]).name
    said = there(env, "task", task["task_id"], "--sheet")
    assert said.returncode == 0, said.stderr.decode("cp1252")
    assert b"\\u53ef\\u7075" in said.stdout, "what the code page has no letter for is written out"
    assert Path(task["video_path"]).with_suffix(".sheet.jpg").is_file()
    assert not list((tmp_path / "clips").glob(".kv-*")), "nothing unfinished is left"


def test_a_key_is_stored_under_a_lock(env: dict[str, str], tmp_path: Path) -> None:
    done = there(env, "auth", "runapi", given="sk-0123456789\n")
    assert done.returncode == 0, done.stderr.decode("cp1252")
    assert json.loads((tmp_path / ".kling" / "credentials.json").read_text()) == {"RUNAPI_API_KEY": "sk-0123456789"}


def test_an_agent_is_served_on_stdio(env: dict[str, str]) -> None:
    server = subprocess.Popen(PROGRAM, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin and server.stdout
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}}
    order = {"name": "estimate_cost", "arguments": {"request": f"kling 4k: {TITLE}"}}
    try:
        for line in (
            {"id": 1, "method": "initialize", "params": hello},
            {"method": "notifications/initialized"},
            {"id": 2, "method": "tools/call", "params": order},
        ):
            server.stdin.write(json.dumps({"jsonrpc": "2.0", **line}).encode() + b"\n")
        server.stdin.flush()
        replies = [json.loads(server.stdout.readline()) for _ in range(2)]
        # Ctrl-Break, or a console that is closed.
        server.send_signal(21)
        code = server.wait(timeout=120)
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()
    assert [reply["id"] for reply in replies] == [1, 2]
    assert replies[1]["result"]["structuredContent"]["chosen"]["cost"]["usd"] == "2.10"
    assert code == 0


def test_the_studio_is_served_and_ends(env: dict[str, str]) -> None:
    words = ("serve", "--http", "--port", "0")
    server = subprocess.Popen([*PROGRAM, *words], env=env, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
    assert server.stderr
    try:
        address = server.stderr.readline().decode("cp1252").split()[2].rstrip(",")
        assert httpx.get(address.replace("/mcp", "/health")).json()["status"] == "ok"
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=120)
    finally:
        server.kill()
        server.wait()
        server.stderr.close()
    assert server.returncode in (0, -signal.SIGTERM)


@pytest.fixture
def on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "win32")


@pytest.mark.usefixtures("on_windows")
@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("file:///C:/Users/Ann%20B/boat.png", "C:/Users/Ann B/boat.png"),
        ("file:///c:/boat.png", "c:/boat.png"),
        ("file://nas/clips/boat.png", "//nas/clips/boat.png"),
        (r"C:\Users\Ann\boat.png", r"C:\Users\Ann\boat.png"),
    ],
)
def test_a_file_address_names_its_drive_or_its_share(address: str, path: str) -> None:
    assert str(located(address)).endswith(path)


@pytest.mark.usefixtures("on_windows")
def test_a_program_with_blanks_in_its_folder_can_be_told() -> None:
    settings = Settings.read({"KLING_NOTIFY_COMMAND": r'"C:\Program Files\tell.exe" --at "C:\my log.txt"'})
    assert settings.notify_command == (r"C:\Program Files\tell.exe", "--at", r"C:\my log.txt")


@pytest.mark.usefixtures("on_windows")
def test_a_shared_record_is_refused_with_the_reason() -> None:
    with pytest.raises(ArgumentError, match="does not work on Windows"):
        Settings.read({"KLING_DATABASE_URL": "postgresql://db/kling"}).check()


@pytest.mark.usefixtures("on_windows")
def test_the_words_of_an_order_are_no_part_of_a_powershell_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: name)
    words = desktop.command("Kling: ready", "a boat; Remove-Item C:\\ -Recurse $(calc)")
    assert words is not None
    assert "Remove-Item" not in " ".join(words) and "ready" not in " ".join(words)
    assert "$env:KLING_NOTICE_TEXT" in words[-1]
    assert "KLING_NOTICE_TEXT" not in os.environ
