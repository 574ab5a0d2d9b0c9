"""The one door to everything that is generated: it writes what the facts say, and sees what is not that."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from mcp_server import places
from release import handshake, manifests, readme
from release.__main__ import main

ROOT = manifests.ROOT


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Everything that is generated, where it may be spoilt."""
    shutil.copytree(places.skill(), tmp_path / "skill")
    shutil.copy(places.skill_page(), tmp_path / "SKILL.md")
    shutil.copytree(places.schemas(), tmp_path / "schemas")
    shutil.copytree(handshake.ANSWERS, tmp_path / "answers")
    monkeypatch.setattr(handshake, "ANSWERS", tmp_path / "answers")
    monkeypatch.setattr(places, "skill", lambda: tmp_path / "skill")
    monkeypatch.setattr(places, "skill_page", lambda: tmp_path / "SKILL.md")
    monkeypatch.setattr(places, "schemas", lambda: tmp_path / "schemas")
    monkeypatch.setattr(manifests, "ROOT", tmp_path)
    monkeypatch.setattr(manifests, "PLUGIN", tmp_path / "plugins" / "kling-video")
    monkeypatch.setattr(readme, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text("<!-- from the facts: tools -->\nold\n<!-- end -->\n")
    return tmp_path


def test_every_generated_file_is_as_the_facts_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err


def test_one_run_makes_everything_and_a_second_has_nothing_to_do(copy: Path) -> None:
    (copy / "skill" / "costs.md").write_text(
        (copy / "skill" / "costs.md").read_text().replace("<!-- end -->", "an old rate\n<!-- end -->")
    )
    assert main(["--check"]) == 1
    assert main([]) == 0
    assert main(["--check"]) == 0
    assert "`generate_video`" in (copy / "README.md").read_text()
    inside = copy / "plugins" / "kling-video" / "skills" / "kling-video" / "skill" / "costs.md"
    assert (
        inside.read_bytes() == (copy / "skill" / "costs.md").read_bytes() == (ROOT / "skill" / "costs.md").read_bytes()
    )


def test_drift_is_seen_and_named_and_a_check_writes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    spoilt = [
        "README.md",
        "SKILL.md",
        "skill/models.md",
        "server.json",
        "schemas/tools/list_tasks.input.json",
        "schemas/tools/of_old.input.json",
        "plugins/kling-video/stray.md",
    ]
    for name in spoilt:
        (copy / name).write_text((copy / name).read_text().replace("o", "0") if (copy / name).exists() else "stray")
    assert main(["--check"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == len({*told})
    for name in spoilt[2:]:
        assert any(line.startswith(f"stale: {copy / name};") for line in told), name
    assert (copy / "plugins/kling-video/stray.md").read_text() == "stray"
    assert main([]) == 0
    assert not (copy / "plugins/kling-video/stray.md").exists()
    assert not (copy / "schemas/tools/of_old.input.json").exists()


@pytest.mark.parametrize("argv", [["--chekc"], ["picture", "now"], ["mcpb", "a", "b"], ["fact_pages"]])
def test_anything_else_is_refused_with_what_there_is(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 64
    assert "python -m release [--check]" in capsys.readouterr().err


def test_the_generators_are_no_part_of_the_wheel() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert wheel["packages"] == ["mcp_server"]
    assert not any(name.startswith("release") for name in wheel["force-include"])
    assert all(target.startswith("mcp_server/") for target in wheel["force-include"].values())
