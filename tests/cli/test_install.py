"""`kling-video install`: each client's own file or command, never over something that is there already."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest

from mcp_server.__main__ import main
from mcp_server.cli.setup import client_files, install
from mcp_server.cli.setup.clients import CLIENTS, registration
from mcp_server.settings import Settings

FILES = {
    "claude-desktop": (".config/Claude/claude_desktop_config.json", "mcpServers"),
    "cursor": (".cursor/mcp.json", "mcpServers"),
    "gemini": (".gemini/settings.json", "mcpServers"),
    "windsurf": (".codeium/windsurf/mcp_config.json", "mcpServers"),
    "zed": (".config/zed/settings.json", "context_servers"),
    "cline": (
        ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings/cline_mcp_settings.json",
        "mcpServers",
    ),
}


@pytest.fixture(autouse=True)
def linux(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.chdir(tmp_path)


def test_every_client_has_a_way_and_a_place() -> None:
    assert set(install.WAYS) == set(CLIENTS)


@pytest.mark.parametrize("client", install.WAYS)
def test_print_shows_and_writes_nothing(client: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["install", client, "--print"]) == 0
    assert "kling" in capsys.readouterr().out
    assert not list(tmp_path.rglob("*kling*"))
    assert not (tmp_path / "user").exists()


@pytest.mark.parametrize("client", FILES)
def test_a_file_is_made_where_the_client_looks(client: str, tmp_path: Path) -> None:
    assert main(["install", client]) == 0
    path, table = FILES[client]
    entry = json.loads((tmp_path / "user" / path).read_text())[table]["kling"]
    assert Path(entry["command"]).is_absolute()
    assert os.access(entry["command"], os.X_OK)
    # The folders the user set go along; keys never do.
    assert entry["env"] == {"KLING_HOME": str(tmp_path / "home"), "KLING_OUTPUT_DIR": str(tmp_path / "videos")}


@pytest.mark.parametrize(
    ("client", "system", "place"),
    [
        ("claude-desktop", "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        ("cline", "darwin", "Library/Application Support/Code/User/globalStorage/saoudrizwan.claude-dev/settings"),
        ("zed", "darwin", ".config/zed/settings.json"),
        ("zed", "win32", "Roaming/Zed/settings.json"),
        ("cline", "win32", "Roaming/Code/User/globalStorage/saoudrizwan.claude-dev/settings"),
        ("windsurf", "win32", ".codeium/windsurf/mcp_config.json"),
        ("opencode", "win32", ".config/opencode/opencode.json"),
        ("goose", "darwin", ".config/goose/config.yaml"),
        ("goose", "win32", "Roaming/Block/goose/config/config.yaml"),
    ],
)
def test_a_client_keeps_its_file_where_its_system_does(
    client: str, system: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", system)
    settings = Settings.read({"HOME": str(tmp_path), "APPDATA": str(tmp_path / "Roaming")})
    assert CLIENTS[client].path(settings).is_relative_to(tmp_path / place)


ZED = """// my settings
{
  "theme": "One Dark", // dark
  /* servers */
  "context_servers": { // mine
    "other": {"command": "x", "args": ["//", "{,}"],},
  },
}
"""


def test_a_file_with_comments_keeps_them_and_every_other_line(tmp_path: Path) -> None:
    path = tmp_path / "user" / ".config" / "zed" / "settings.json"
    path.parent.mkdir(parents=True)
    path.write_text(ZED)
    assert main(["install", "zed"]) == 0
    text = path.read_text()
    assert [line for line in ZED.splitlines() if line not in text.splitlines()] == []
    found = json.loads(client_files.plain(text))
    assert Path(found["context_servers"]["kling"]["command"]).is_absolute()
    assert found["context_servers"]["other"]["args"] == ["//", "{,}"]
    assert registration(CLIENTS["zed"], Settings.read()).state == "registered"
    assert main(["install", "zed", "--force"]) == 0
    path.write_text(text.replace('"kling": {', '"kling": { // old\n      "mine": 1,'))
    assert main(["install", "zed"]) == 65
    assert main(["install", "zed", "--force"]) == 0
    assert path.read_text() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "{ // a comment\n}",
        '{"mcp": {}}',
        '{"mcp": {\n}}',
        '{"a": [{"mcp": {"kling": {}}}], "mcp": {"x": {}}}',
        '{"mcp": {"x": {"mcp": {"kling": 1}}}, "b": "{\\"mcp\\": {"}',
        '{\n  // "mcp": {},\n  "theme": "x",\n}\n',
    ],
)
def test_the_entry_comes_to_stand_in_its_table_and_nothing_else_changes(text: str) -> None:
    before = json.loads(client_files.plain(text).strip() or "{}")
    made = client_files.in_json(text, "mcp", "kling", {"command": ["k"]})
    found = json.loads(client_files.plain(made))
    assert found["mcp"].pop("kling") == {"command": ["k"]}
    assert {**found, "mcp": None} == {**before, "mcp": None}
    assert found["mcp"] == before.get("mcp", {})


def test_opencode_has_its_command_and_its_words_in_one_list(tmp_path: Path) -> None:
    folder = tmp_path / "user" / ".config" / "opencode"
    assert main(["install", "opencode"]) == 0
    entry = json.loads((folder / "opencode.json").read_text())["mcp"]["kling"]
    assert (entry["type"], entry["enabled"], entry["timeout"]) == ("local", True, 60_000)
    assert Path(entry["command"][0]).is_absolute()
    assert entry["environment"]["KLING_HOME"] == str(tmp_path / "home")
    found = registration(CLIENTS["opencode"], Settings.read())
    assert (found.state, found.detail) == ("registered", entry["command"][0])
    assert "KLING_HOME" in found.variables


def test_opencodes_file_with_comments_is_taken_where_it_is_the_only_one(tmp_path: Path) -> None:
    path = tmp_path / "user" / ".config" / "opencode" / "opencode.jsonc"
    path.parent.mkdir(parents=True)
    path.write_text('{\n  // mine\n  "model": "x",\n}\n')
    assert main(["install", "opencode"]) == 0
    assert path.read_text().startswith('{\n  "mcp": {') and path.read_text().endswith('  // mine\n  "model": "x",\n}\n')
    assert not path.with_suffix(".json").exists()


GOOSE = """# mine
GOOSE_PROVIDER: "anthropic"
extensions: # what it can do
    # this one came with it
    developer:
        enabled: true
        type: builtin
GOOSE_MODE: auto
"""


@pytest.mark.parametrize(
    ("text", "above", "step"),
    [
        ("", "extensions:", "  "),
        ("GOOSE_MODE: auto\n", "GOOSE_MODE: auto\nextensions:", "  "),
        ("extensions: {}\nGOOSE_MODE: auto\n", "extensions:", "  "),
        ("extensions:\nGOOSE_MODE: auto\n", "extensions:", "  "),
        (GOOSE, "extensions: # what it can do", "    "),
    ],
)
def test_goose_has_an_extension_more_and_everything_else_as_it_was(
    tmp_path: Path, text: str, above: str, step: str
) -> None:
    path = tmp_path / "user" / ".config" / "goose" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert main(["install", "goose"]) == 0
    lines = path.read_text().splitlines()
    at = lines.index(f"{step}kling:")
    entry = dict(line.strip().split(": ", 1) for line in lines[at + 1 : at + 9])
    assert "\n".join(lines[:at]).endswith(above)
    assert all(line.startswith(step * 2) for line in lines[at + 1 : at + 9])
    assert (entry["type"], entry["enabled"], entry["timeout"], entry["args"]) == ('"stdio"', "true", "120", "[]")
    assert Path(json.loads(entry["cmd"])).is_absolute()
    assert json.loads(entry["envs"])["KLING_HOME"] == str(tmp_path / "home")
    rest = lines[:at] + lines[at + 9 :]
    assert rest == text.replace("extensions: {}", "extensions:").splitlines() or rest == [
        *text.splitlines(),
        "extensions:",
    ]
    assert registration(CLIENTS["goose"], Settings.read()).state == "registered"
    assert main(["install", "goose"]) == 65
    assert path.read_text().splitlines() == lines


@pytest.mark.parametrize("text", ["{extensions: {}}\n", "extensions: {a: {}}\n", "extensions:\n  - a\n", "---\na: 1\n"])
def test_yaml_of_another_layout_is_left_alone(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "user" / ".config" / "goose" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert main(["install", "goose"]) == 65
    assert path.read_text() == text
    assert "extensions:" in capsys.readouterr().out


def test_what_the_user_set_goes_along_and_what_is_for_a_rehearsal_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KLING_DAILY_BUDGET_USD", "5")
    monkeypatch.setenv("UNIALL_BASE_URL", "https://uniall.example/v1")
    monkeypatch.setenv("KLING_SANDBOX_FAULTS", "drop")
    env = install.this_server(Settings.read()).env
    assert (env["KLING_DAILY_BUDGET_USD"], env["UNIALL_BASE_URL"]) == ("5", "https://uniall.example/v1")
    assert "KLING_SANDBOX_FAULTS" not in env


def test_a_key_never_goes_into_a_clients_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNAPI_API_KEY", "very-secret-indeed")
    for client in FILES:
        assert main(["install", client]) == 0
    for path in (tmp_path / "user").rglob("*"):
        assert path.is_dir() or "very-secret" not in path.read_text()


def test_what_is_there_stays_with_a_copy_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    before = json.dumps({"mcpServers": {"other": {"command": "x"}}, "theme": "grün"}, ensure_ascii=False)
    path.write_text(before, encoding="utf-8")
    path.chmod(0o600)
    assert main(["install", "cursor"]) == 0
    after = json.loads(path.read_text(encoding="utf-8"))
    assert after["mcpServers"].pop("kling")
    assert after == json.loads(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.with_name("mcp.json.before-kling").read_text(encoding="utf-8") == before


def test_an_entry_of_the_same_name_is_replaced_only_by_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"mcpServers": {"kling": {"command": "theirs"}}}))
    assert main(["install", "cursor"]) == 65
    assert "left as it is" not in capsys.readouterr().out
    assert json.loads(path.read_text())["mcpServers"]["kling"] == {"command": "theirs"}
    assert main(["install", "cursor", "--force"]) == 0
    assert json.loads(path.read_text())["mcpServers"]["kling"]["command"] != "theirs"
    assert main(["install", "cursor"]) == 0, "the same entry again is no conflict"


@pytest.mark.parametrize("text", ["{ oops", "[]", '{"mcpServers": []}'])
def test_a_file_of_another_kind_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "user" / ".cursor" / "mcp.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert main(["install", "cursor"]) == 65
    assert path.read_text() == text


def test_codex_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "user" / ".codex" / "config.toml"
    path.parent.mkdir(parents=True)
    path.write_text('# mine\nmodel = "x"')
    assert main(["install", "codex"]) == 0
    text = path.read_text()
    assert text.startswith('# mine\nmodel = "x"\n')
    entry = tomllib.loads(text)["mcp_servers"]["kling"]
    assert (entry["startup_timeout_sec"], entry["tool_timeout_sec"]) == (60, 120)
    assert entry["env"]["KLING_HOME"] == str(tmp_path / "home")
    assert main(["install", "codex", "--force"]) == 65
    assert path.read_text() == text


def test_vscode_goes_into_the_folder_one_works_in(tmp_path: Path) -> None:
    assert main(["install", "vscode"]) == 0
    assert json.loads((tmp_path / ".vscode" / "mcp.json").read_text())["servers"]["kling"]["type"] == "stdio"


@pytest.mark.parametrize(("client", "program"), [("openclaw", "openclaw"), ("claude-code", "claude")])
def test_a_client_with_a_command_of_its_own_is_told_by_it(
    client: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "said"
    _program(tmp_path / "bin" / program, f'echo "$@" >> {log}; case "$2" in show|get) exit 1;; esac')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    assert main(["install", client]) == 0
    looked, wrote = log.read_text().splitlines()
    assert looked.split()[:2] in (["mcp", "show"], ["mcp", "get"])
    entry = json.loads(wrote[wrote.index("{") :])
    assert Path(entry["command"]).is_absolute()
    if client == "openclaw":
        assert (entry["requestTimeoutMs"], entry["connectTimeoutMs"]) == (120_000, 60_000)
    _program(tmp_path / "bin" / program, "exit 0")
    assert main(["install", client]) == 65
    _program(tmp_path / "bin" / program, 'case "$2" in show|get) exit 1;; esac; echo broken >&2; exit 3')
    capsys.readouterr()
    assert main(["install", client]) == 73
    assert "broken" in capsys.readouterr().err


def test_without_the_clients_command_the_line_to_run_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert main(["install", "openclaw"]) == 73
    assert "openclaw mcp set kling" in capsys.readouterr().out


def _program(path: Path, script: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
