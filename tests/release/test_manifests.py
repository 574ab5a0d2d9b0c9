"""What clients and registries read: equal to what it is made from, and within their rules."""

from __future__ import annotations

import base64
import json
import re
import tomllib
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from support.readme_command import commands

from mcp_server import __version__, catalog
from mcp_server.__main__ import main
from mcp_server.cli import COMMANDS
from mcp_server.cli.setup import install, skill
from mcp_server.cli.setup.variables import variables
from mcp_server.server.tools.declarations import TOOLS
from release import manifests, mcpb, picture, readme

ROOT = manifests.ROOT
README = readme.README.read_text(encoding="utf-8")


def test_the_plugin_carries_the_skill_byte_for_byte() -> None:
    inside = manifests.PLUGIN / "skills" / "kling-video"
    found = {path.relative_to(inside).as_posix(): path.read_bytes() for path in inside.rglob("*") if path.is_file()}
    assert found == {name: source.read_bytes() for name, source in skill.files().items()}


def test_the_registry_entry_keeps_the_registrys_rules() -> None:
    entry = json.loads((ROOT / "server.json").read_text())
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["description"]) <= 100
    assert 1 <= len(entry["title"]) <= 100
    (package,) = entry["packages"]
    assert entry["version"] == package["version"] == __version__
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", __version__)
    assert package["transport"] == {"type": "stdio"}
    secret = {row["name"] for row in package["environmentVariables"] if row["isSecret"]}
    assert all(name.endswith(("_KEY", "_TOKEN", "_SECRET", "DATABASE_URL")) for name in secret)
    assert secret == {variable.name for variable in variables(catalog.load()) if variable.secret}
    assert f"<!-- mcp-name: {entry['name']} -->" in README


def test_tool_ids_and_words_fit_where_openclaw_searches_them() -> None:
    for tool in TOOLS:
        assert len(f"kling__{tool.name}") <= 64
        assert len(tool.description) <= 500
        assert "kling" in f"{tool.title} {tool.description}".lower()
        assert "video" in f"{tool.title} {tool.description}".lower()
    assert "4k" in TOOLS[0].description.lower()


def test_one_click_links_hold_the_entry_that_install_writes() -> None:
    cursor, code = re.findall(r"\]\((https://(?:cursor|insiders)[^)]+)\)", README)
    asked = parse_qs(urlsplit(cursor).query)
    entry = json.loads(base64.b64decode(asked["config"][0]))
    assert asked["name"] == ["kling"]
    assert entry == {"command": "kling-video", "args": []}
    target = parse_qs(urlsplit(code).query)["url"][0]
    assert target.startswith("vscode:mcp/install?")
    assert json.loads(unquote(target.split("?", 1)[1])) == {"name": "kling", "type": "stdio", **entry}


def test_the_plugins_page_is_long_enough_for_a_directory() -> None:
    assert len((manifests.PLUGIN / "README.md").read_text().split()) >= 40


def test_readme_names_only_commands_clients_and_files_there_are() -> None:
    named = set(re.findall(r"(?:`|^|&& )kling-video ([a-z]+)", README, re.MULTILINE))
    assert named <= {*COMMANDS}
    assert set(re.findall(r"kling-video install ([a-z-]+)", README)) <= {*install.WAYS}
    for link in re.findall(r"\]\(((?!https?:)[^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_readme_shows_every_client_that_can_be_installed() -> None:
    for client in install.WAYS:
        assert f"install {client}" in README or f", {client}" in README, client


def test_the_first_command_sets_everything_up_and_the_second_runs_the_tests() -> None:
    first, second = commands()[:2]
    assert "\n" not in first
    assert "\n" not in second
    assert "venv" in first
    assert second.endswith("python -m pytest -n auto")


def test_the_command_for_powershell_orders_what_the_first_one_does() -> None:
    (line,) = re.findall(r"```powershell\n(.*?)\n```", README, re.DOTALL)
    posix, windows = commands()[0].split(" && "), line.split("; ")
    assert [part.partition(" ")[2] for part in windows][1:] == [part.partition(" ")[2] for part in posix][1:]
    assert windows[0] == "py -3 -m venv .venv" and all(part.startswith(".venv\\Scripts\\") for part in windows[1:])


def test_the_container_takes_what_the_wheel_needs_and_runs_as_nobody() -> None:
    root = Path(__file__).parents[2]
    steps = re.sub(r"\\\n\s*", " ", (root / "Dockerfile").read_text(encoding="utf-8")).splitlines()
    said = [line.split(" ", 1) for line in steps if line and not line.startswith("#")]
    copied = {name for word, rest in said if word == "COPY" for name in rest.split()[:-1]}
    kept = {line[1:] for line in (root / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    build = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    taken = build["tool"]["hatch"]["build"]["targets"]["wheel"]
    wanted = {*taken["packages"], *taken["force-include"], *build["project"]["license-files"], "README.md"}
    assert wanted | {"pyproject.toml"} == copied == kept and all((root / name).exists() for name in copied)
    words = dict(said)
    assert words["USER"] not in ("root", "0") and words["VOLUME"] == '["/data", "/clips"]'
    names = {part.partition("=")[0] for part in words["ENV"].split() if part.startswith("KLING")}
    assert names <= {variable.name for variable in variables(catalog.load())}
    command = json.loads(words["CMD"])
    assert json.loads(words["ENTRYPOINT"])[0] in build["project"]["scripts"]
    assert (
        command[:2] == ["serve", "--http"]
        and command[-1] == words["EXPOSE"]
        and words["EXPOSE"] in words["HEALTHCHECK"]
    )


def test_the_picture_is_small() -> None:
    assert 10_000 < picture.PICTURE.stat().st_size <= 70_000


def test_what_readme_shows_of_its_first_command_is_what_it_says(tmp_path: Path) -> None:
    said, clip = picture.run(tmp_path)
    assert clip.stat().st_size > 10_000
    assert picture.shape(said) == picture.shape(picture.SESSION.read_text(encoding="utf-8")), (
        "python -m release picture"
    )


def test_nothing_handed_out_names_a_machine() -> None:
    for path in manifests.pages():
        assert not re.search(r"/(?:home|root|Users|work|tmp)/", path.read_text(encoding="utf-8")), path


def test_the_bundle_is_the_same_every_time_and_holds_nothing_that_lies_around(tmp_path: Path) -> None:
    assert str(tmp_path / "a.mcpb") in mcpb.pack(tmp_path / "a.mcpb")
    assert mcpb.pack(tmp_path / "b.mcpb")
    assert (tmp_path / "a.mcpb").read_bytes() == (tmp_path / "b.mcpb").read_bytes()
    names = zipfile.ZipFile(tmp_path / "a.mcpb").namelist()
    assert {"manifest.json", "pyproject.toml", "mcp_server/__main__.py", "skill/triggers.json"} <= set(names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".db"))]


def test_the_bundles_empty_fields_count_as_unset(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host passes what the user left empty as nothing, or as the name of the field."""
    for name, value in manifests.bundle()["server"]["mcp_config"]["env"].items():
        monkeypatch.setenv(name, value)
    assert main(["auth", "status", "--json"]) == 0
    assert not any(json.loads(capsys.readouterr().out)["keys"].values())
