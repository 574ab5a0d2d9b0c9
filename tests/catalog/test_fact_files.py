"""Facts parsed beforehand say what the files say, and no longer than the files say it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.catalog import fact_files, loader
from mcp_server.places import PACKAGE

FILES = sorted((*(PACKAGE / "providers").glob("*/*.toml"), PACKAGE / "catalog" / "models.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_file_is_read_as_its_toml_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared = fact_files.read(path)
    monkeypatch.setattr(fact_files, "_parsed", dict)

    assert fact_files.read(path) == prepared


def test_nothing_is_parsed_anew_while_the_facts_are_as_they_were_released() -> None:
    code = "import sys; from mcp_server import catalog; catalog.load(); print('tomllib' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert said.stdout.strip() == "False"


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    for name in ("catalog", "providers"):
        shutil.copytree(PACKAGE / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    facts = tmp_path / "providers" / "klingai" / "provider.toml"
    facts.write_text(facts.read_text(encoding="utf-8").replace("concurrency = 4", "concurrency = 3"), encoding="utf-8")

    assert loader.load(PACKAGE).providers["klingai"].concurrency == 4
    assert loader.load(tmp_path).providers["klingai"].concurrency == 3


def test_reading_a_file_twice_gives_two_values_nobody_shares() -> None:
    first, second = fact_files.read(FILES[0]), fact_files.read(FILES[0])

    assert first == second and first is not second
