"""`kling-video doctor`: every thing it looks at, right and wrong, against stand-ins on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.sandboxes import served

from mcp_server.__main__ import main
from mcp_server.cli.setup import auth, checks, install
from mcp_server.providers import transport

Facts = dict[str, dict[str, str]]


@pytest.fixture(autouse=True)
def no_clients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without any client, in a folder of its own."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Any:
    def look(*flags: str, code: int = 0) -> Facts:
        assert main(["doctor", "--json", *flags]) == code
        found = json.loads(capsys.readouterr().out.splitlines()[-1])
        assert found["ok"] == (code == 0)
        return {f"{row['about']}/{row['name']}": row for row in found["findings"]}

    return look


@contextmanager
def vendor(**more: Any) -> Iterator[str]:
    """A sandbox in another thread: doctor has an event loop of its own."""
    ready, done, told = threading.Event(), threading.Event(), []

    async def play() -> None:
        async with served(**more) as bench:
            told.append(bench.host)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(play()))
    thread.start()
    ready.wait(10)
    try:
        yield told[0]
    finally:
        done.set()
        thread.join()


def test_without_anything_it_says_so_and_what_to_do(doctor: Any, tmp_path: Path) -> None:
    found = doctor()
    assert found["keys/runapi"] == {
        "about": "keys",
        "name": "runapi",
        "level": "note",
        "what": "no key (RUNAPI_API_KEY)",
    }
    assert found["keys/sandbox"]["level"] == "good"
    assert "auth PROVIDER" in found["keys/sandbox"]["next_step"]
    assert found["files/clips"]["what"].startswith(str(tmp_path / "videos"))
    assert found["clients/none"]["level"] == "note"
    assert not (tmp_path / "videos").exists(), "looking makes no folder"


def test_a_key_that_works_shows_what_is_left_and_never_itself(
    doctor: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with vendor() as host:
        monkeypatch.setenv("RUNAPI_API_KEY", "sandbox")
        monkeypatch.setenv("RUNAPI_BASE_URL", f"{host}/runapi")
        found = doctor()
        assert found["keys/runapi"]["level"] == "good"
        assert "key from RUNAPI_API_KEY; works; $" in found["keys/runapi"]["what"]
        assert main(["doctor"]) == 0
    assert "left" in capsys.readouterr().out


def test_a_refused_key_ends_with_not_signed_in(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with vendor() as host:
        monkeypatch.setenv("RUNCOMFY_TOKEN", "bad-token-of-mine")
        monkeypatch.setenv("RUNCOMFY_BASE_URL", f"{host}/runcomfy")
        found = doctor(code=77)
    assert found["keys/runcomfy"]["level"] == "bad"
    assert "auth runcomfy" in found["keys/runcomfy"]["next_step"]
    assert "bad-token-of-mine" not in json.dumps(found)


def test_a_vendor_that_cannot_be_reached_is_try_later(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAPI_API_KEY", "k")
    monkeypatch.setenv("RUNAPI_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(transport, "GET_PAUSE_S", 0)
    found = doctor(code=75)
    assert "could not be reached" in found["keys/runapi"]["what"]
    assert doctor("--offline")["keys/runapi"]["what"] == "key from RUNAPI_API_KEY; not asked"


def test_a_vendor_that_cannot_be_asked_is_no_fault(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNIALL_API_KEY", "k")
    found = doctor()
    assert found["keys/uniall"]["level"] == "note"
    assert "no documented way" in found["keys/uniall"]["what"]


def test_what_a_vendor_without_prices_needs_is_said_and_a_standing_yes_is_seen(
    doctor: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIALL_API_KEY", "k")
    monkeypatch.setenv("KLING3API_API_KEY", "k")
    found = doctor("--offline")
    assert "UniAll publishes no prices: each order needs a yes" in found["keys/uniall prices"]["what"]
    assert "KLING3API_USD_PER_CREDIT" in found["keys/kling3api prices"]["what"]
    assert "keys/octopusx prices" not in found, "there is no key for it"

    monkeypatch.setenv("KLING_ACCEPT_UNKNOWN_PRICE", "1")
    monkeypatch.setenv("KLING3API_USD_PER_CREDIT", "0.01")
    found = doctor("--offline")
    assert "buys there without asking" in found["keys/uniall prices"]["what"]
    assert "keys/kling3api prices" not in found
    monkeypatch.setenv("KLING_ACCEPT_UNKNOWN_PRICE", "perhaps")
    assert "KLING_ACCEPT_UNKNOWN_PRICE" in doctor("--offline", code=64)["files/settings"]["what"]


def test_files_that_stand_in_the_way_are_named(doctor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KLING_OUTPUT_DIR", str(tmp_path / "file" / "clips"))
    found = doctor(code=73)
    assert found["files/clips"]["level"] == "bad"
    assert "KLING_OUTPUT_DIR" in found["files/clips"]["next_step"]


def test_a_key_file_that_others_can_read_is_a_fault(doctor: Any, tmp_path: Path) -> None:
    auth.write(tmp_path / "home" / "credentials.json", {"UNIALL_API_KEY": "k"})
    assert doctor()["files/keys"]["level"] == "good"
    os.chmod(tmp_path / "home" / "credentials.json", 0o644)
    assert "(644)" in doctor(code=73)["files/keys"]["what"]
    (tmp_path / "home" / "credentials.json").write_text("{")
    assert "cannot be read" in doctor(code=73)["files/keys"]["what"]


def test_a_broken_record_is_a_fault_and_is_left_alone(doctor: Any, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    record = tmp_path / "home" / "tasks.db"
    with sqlite3.connect(record) as db:
        db.execute("CREATE TABLE tasks (id TEXT)")
        db.execute("INSERT INTO tasks VALUES ('kv-1')")
    db.close()
    assert "(1 task)" in doctor()["files/record"]["what"]
    record.write_bytes(b"no database at all" * 100)
    before = record.read_bytes()
    assert doctor(code=73)["files/record"]["level"] == "bad"
    assert record.read_bytes() == before


def test_a_setting_that_cannot_be_read_is_a_fault(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_DAILY_BUDGET_USD", "five")
    assert "KLING_DAILY_BUDGET_USD" in doctor(code=64)["files/settings"]["what"]


def test_without_the_media_extra_it_says_what_is_missed(doctor: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "available", lambda: False)
    assert "extra `media`" in doctor()["files/media"]["next_step"]


def test_clients_are_registered_broken_or_not_yet(doctor: Any, tmp_path: Path) -> None:
    home = tmp_path / "user"
    (home / ".cursor").mkdir(parents=True)
    (home / ".gemini").mkdir()
    assert doctor()["clients/Cursor"]["next_step"] == "`kling-video install cursor`"
    assert install.run(["cursor"]) == 0
    _write(home / ".gemini" / "settings.json", {"mcpServers": {"kling": {"command": "/nowhere/kling-video"}}})
    found = doctor(code=73)
    assert found["clients/Cursor"]["level"] == "good"
    assert found["clients/Gemini CLI"]["level"] == "bad"
    assert "/nowhere/kling-video is not there" in found["clients/Gemini CLI"]["what"]


@pytest.mark.parametrize(
    ("client", "file", "text"),
    [
        ("OpenClaw", ".openclaw/openclaw.json", "{ // mine\n mcp: { servers: { kling: { command: 'x' } } } }"),
        ("Codex", ".codex/config.toml", '[mcp_servers.kling]\nurl = "http://127.0.0.1:8000/mcp"\n'),
        ("Claude Code", ".claude.json", '{"projects": {"/p": {"mcpServers": {"kling": {"url": "http://h/mcp"}}}}}'),
    ],
)
def test_every_clients_own_way_of_writing_is_understood(
    doctor: Any, tmp_path: Path, client: str, file: str, text: str
) -> None:
    path = tmp_path / "user" / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert doctor()[f"clients/{client}"]["level"] == "good"


def test_a_file_nobody_can_read_is_said_so(doctor: Any, tmp_path: Path) -> None:
    path = tmp_path / "user" / ".codex" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text("= broken")
    assert "not plain TOML" in doctor()["clients/Codex"]["what"]


def test_a_key_that_is_only_in_this_shell_is_pointed_out(
    doctor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UNIALL_API_KEY", "k")
    (tmp_path / "user" / ".cursor").mkdir(parents=True)
    assert install.run(["cursor"]) == 0
    assert "Cursor may not pass it on" in doctor()["clients/uniall"]["what"]
    auth.write(tmp_path / "home" / "credentials.json", {"UNIALL_API_KEY": "k"})
    assert "clients/uniall" not in doctor()


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
