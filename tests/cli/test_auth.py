"""`kling-video auth`: keys come in unseen, lie in a file of their owner's alone, and are never shown."""

from __future__ import annotations

import io
import json
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from mcp_server import catalog
from mcp_server.__main__ import main
from mcp_server.cli.setup import auth
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


@pytest.mark.parametrize("argv", [["runapi", KEY], [KEY], ["remove", KEY]])
def test_a_key_as_an_argument_is_refused_and_not_said_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    assert main(["auth", *argv]) == 64
    said = capsys.readouterr()
    assert KEY not in said.out + said.err
    assert not (tmp_path / "home").exists()


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
    left = sorted(file.name for file in path.parent.iterdir())
    assert left == ["credentials.json", auth.LOCK], "no draft with keys is left behind"
    assert (path.parent / auth.LOCK).read_bytes() == b""


@pytest.mark.parametrize(
    "text", ["{", "[]", '"a-key"', '{"RUNAPI_API_KEY": "old",}', "RUNAPI_API_KEY=old", b"\xff\xfe{"]
)
@pytest.mark.parametrize("command", [["runapi"], ["remove", "runapi"], ["status"], ["status", "--json"]])
def test_a_key_file_that_cannot_be_understood_is_left_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str | bytes,
    command: list[str],
) -> None:
    path = tmp_path / "home" / "credentials.json"
    path.parent.mkdir()
    before = text if isinstance(text, bytes) else text.encode()
    path.write_bytes(before)
    monkeypatch.setattr("sys.stdin", typing := io.StringIO(f"{KEY}\n"))
    assert main(["auth", *command]) == 73
    assert path.read_bytes() == before
    assert typing.tell() == 0, "nobody is asked for a key that cannot be stored"
    said = capsys.readouterr()
    assert str(path) in said.err
    assert "move it away" in said.err
    assert "old" not in said.out + said.err
    assert "No key at all" not in said.out


def test_a_key_file_that_nobody_may_read_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "home" / "credentials.json"
    path.mkdir(parents=True)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    assert main(["auth", "runapi"]) == 73
    assert path.is_dir()


@pytest.mark.usefixtures("typed")
def test_what_else_stands_in_the_key_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "home" / "credentials.json"
    auth.write(path, {"UNIALL_API_KEY": " padded ", "_note": {"by": "hand"}})
    assert main(["auth", "runapi"]) == 0
    assert json.loads(path.read_text()) == {
        "RUNAPI_API_KEY": KEY,
        "UNIALL_API_KEY": " padded ",
        "_note": {"by": "hand"},
    }
    secret = Settings.read().secret("UNIALL_API_KEY")
    assert secret is not None
    assert secret.value == "padded"


def test_no_key_is_lost_when_many_are_stored_at_once(tmp_path: Path) -> None:
    """Every provider's key by a process of its own, let go at the same moment, three times over."""
    path = tmp_path / "home" / "credentials.json"
    providers = catalog.load().providers
    for key in ("first-key", "second-key", "third-key"):
        commands = [
            subprocess.Popen(
                [sys.executable, "-m", "mcp_server", "auth", name],
                stdin=subprocess.PIPE,
                text=True,
                stdout=subprocess.DEVNULL,
            )
            for name in providers
        ]
        for command in commands:
            assert command.stdin is not None
            command.stdin.write(f"{key}\n")
            command.stdin.close()
        assert [command.wait(60) for command in commands] == [0] * len(commands)
        assert json.loads(path.read_text()) == {facts.key_variable: key for facts in providers.values()}


def test_two_changes_in_one_process_take_turns(tmp_path: Path) -> None:
    """Threads, held up between reading and writing: without turns all but one would be lost."""
    path = tmp_path / "credentials.json"
    names = [f"KEY_{number}" for number in range(8)]
    together = threading.Barrier(len(names))

    def add(name: str) -> None:
        together.wait(30)
        auth.change(path, lambda keys: keys | {name: name})

    threads = [threading.Thread(target=add, args=[name]) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(json.loads(path.read_text())) == names


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KLING_HOME", str(tmp_path / "file" / "home"))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{KEY}\n"))
    assert main(["auth", "runapi"]) == 73


@pytest.mark.parametrize(
    ("vendor", "says"),
    [("octopusx", "OctopusX publishes no prices"), ("kling3api", "KLING3API_USD_PER_CREDIT"), ("runcomfy", "")],
)
@pytest.mark.usefixtures("typed")
def test_a_key_for_a_vendor_without_prices_comes_with_how_to_agree_to_them(
    vendor: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auth", vendor]) == 0
    said = capsys.readouterr().out
    assert ("KLING_ACCEPT_UNKNOWN_PRICE" in said) is bool(says)
    assert says in said


PAIR = ("an-access-key-nobody-may-see", "a-secret-key-nobody-may-see")


def pasted(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


def test_a_pair_of_keys_is_stored_whole_and_shown_by_where_it_comes_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pasted(monkeypatch, *PAIR)
    assert main(["auth", "klingai", "--pair"]) == 0
    path = tmp_path / "home" / "credentials.json"
    assert json.loads(path.read_text()) == dict(zip(("KLINGAI_ACCESS_KEY", "KLINGAI_SECRET_KEY"), PAIR, strict=True))
    assert main(["auth"]) == 0
    said = capsys.readouterr()
    assert f"pair from {path}" in said.out
    assert not any(half in said.out + said.err for half in PAIR)
    assert main(["auth", "status", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["pairs"] == {"klingai": str(path)}


@pytest.mark.parametrize("lines", [PAIR[:1], ("", PAIR[1]), (PAIR[0], "two words")])
def test_half_a_pair_is_not_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]) -> None:
    pasted(monkeypatch, *lines)
    assert main(["auth", "klingai", "--pair"]) == 64
    assert not (tmp_path / "home").exists()


def test_a_vendor_without_a_pair_says_who_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    for argv in (["runapi", "--pair"], ["remove", "runapi", "--pair"]):
        assert main(["auth", *argv]) == 64
        assert "RunAPI has no pair of keys" in (said := capsys.readouterr().err)
        assert "klingai" in said


@pytest.mark.parametrize(("missing", "there"), [("ACCESS", "SECRET"), ("SECRET", "ACCESS")])
def test_what_is_missing_of_a_pair_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, there: str
) -> None:
    monkeypatch.setenv(f"KLINGAI_{there}_KEY", KEY)
    words = f"KLINGAI_{there}_KEY is set and KLINGAI_{missing}_KEY is missing"
    assert main(["auth"]) == 0
    assert words in capsys.readouterr().out
    main(["doctor", "--offline"])
    said = " ".join(capsys.readouterr().out.split())
    assert words in said and "auth klingai --pair" in said
    assert KEY not in said


def test_removing_a_pair_leaves_the_key_and_removing_the_key_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "credentials.json"
    for _ in range(2):
        pasted(monkeypatch, KEY)
        main(["auth", "klingai"])
        pasted(monkeypatch, *PAIR)
        main(["auth", "klingai", "--pair"])
        assert len(json.loads(path.read_text())) == 3
        assert main(["auth", "remove", "klingai"]) == 0
        assert json.loads(path.read_text()) == {}
    pasted(monkeypatch, KEY)
    main(["auth", "klingai"])
    pasted(monkeypatch, *PAIR)
    main(["auth", "klingai", "--pair"])
    assert main(["auth", "remove", "klingai", "--pair"]) == 0
    assert json.loads(path.read_text()) == {"KLINGAI_API_KEY": KEY}
