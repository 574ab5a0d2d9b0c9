"""`kling-video auth`: keys come in unseen, lie in a file of their owner's alone, and are never shown."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path

import pytest

from mcp_server.__main__ import main
from mcp_server.cli import auth
from mcp_server.settings import Settings

KEY = "a-key-nobody-may-see"


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))


@pytest.mark.usefixtures("typed")
def test_a_key_from_standard_input_is_stored_for_its_owner_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auth", "runapi"]) == 0
    path = tmp_path / "home" / "credentials.json"
    assert json.loads(path.read_text()) == {"RUNAPI_API_KEY": KEY}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    secret = Settings.read().secret("RUNAPI_API_KEY")
    assert secret is not None
    assert secret.value == KEY
    assert KEY not in f"{secret} {secret!r}"


def test_at_a_terminal_it_is_asked_for_unseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("must not be read\n"))
    monkeypatch.setattr("getpass.getpass", lambda prompt: KEY if "RunComfy" in prompt else "")
    assert main(["auth", "runcomfy"]) == 0
    assert json.loads((tmp_path / "home" / "credentials.json").read_text()) == {"RUNCOMFY_TOKEN": KEY}


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "bell\a\n"])
def test_what_is_no_key_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["auth", "runapi"]) == 64
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("typed")
def test_status_says_where_a_key_comes_from_and_remove_takes_it_away(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["auth", "uniall"])
    monkeypatch.setenv("OCTOPUSX_API_KEY", KEY)
    capsys.readouterr()
    assert main(["auth", "status", "--json"]) == 0
    keys = json.loads(capsys.readouterr().out)["keys"]
    assert keys["uniall"] == str(tmp_path / "home" / "credentials.json")
    assert keys["octopusx"] == "OCTOPUSX_API_KEY"
    assert keys["runapi"] is None
    assert main(["auth", "remove", "uniall"]) == 0
    assert main(["auth", "remove", "uniall"]) == 0
    assert json.loads((tmp_path / "home" / "credentials.json").read_text()) == {}
    assert main(["auth", "status"]) == 0
    assert KEY not in capsys.readouterr().out


@pytest.mark.usefixtures("typed")
def test_a_key_in_the_environment_is_said_to_go_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RUNAPI_API_KEY", "another")
    assert main(["auth", "runapi"]) == 0
    assert "goes first" in capsys.readouterr().out


def test_remove_wants_a_provider() -> None:
    assert main(["auth", "remove"]) == 64
    assert main(["auth", "nobody"]) == 64


def test_keys_stay_whole_when_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "home" / "credentials.json"
    auth.write(path, {"A": "1"})

    def full(_file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    assert main(["auth", "runapi"]) == 73
    assert json.loads(path.read_text()) == {"A": "1"}
    assert [file.name for file in path.parent.iterdir()] == ["credentials.json"], "no draft with keys is left behind"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KLING_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    assert main(["auth", "runapi"]) == 73
