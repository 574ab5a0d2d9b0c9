"""The recipe for a vendor, followed in a copy: folders of its own and one line, and it is checked, played and sold."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from support import new_vendor
from support.new_vendor import FOLDERS, NAME, REGISTRY
from support.repository_copy import changed, copied, generate, python, run

VENDOR_FACING = ("catalog", "providers", "sandbox", "release", "server/test_declarations.py", "test_every_offer.py")
STRUCTURAL = (
    "test_catalog", "test_independence", "generated_file", "pages_say", "published", "plugin_carries",
    "registry_entry", "snapshot_says", "context_cost", "variable_that_is_read",
)  # fmt: skip
"""What is asked of all vendors together, and of the files that repeat their facts."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with one vendor more."""
    made = copied(tmp_path_factory.mktemp("house") / "copy")
    new_vendor.add(made)
    return made


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """A home and a folder for clips, and a sandbox that does not dawdle."""
    return {
        "KLING_HOME": str(tmp_path / "home"),
        "KLING_OUTPUT_DIR": str(tmp_path / "videos"),
        "KLING_SANDBOX_SECONDS": "0.1",
    }


def bought(root: Path, *arguments: str, **variables: str) -> dict[str, Any]:
    """One clip through the command line, to its file."""
    said = python(root, "-m", "mcp_server", "generate", "a paper boat in the rain", *arguments, "--json", **variables)
    task: dict[str, Any] = json.loads(said)
    assert task["state"] == "succeeded" and Path(task["video_path"]).stat().st_size == task["bytes"] > 0
    return task


def test_a_vendor_is_its_folders_and_one_line_and_all_else_is_generated(root: Path) -> None:
    assert changed(root) == {REGISTRY, *(f"{folder}/{NAME}/" for folder in FOLDERS)}
    lines = [line for line in run(root, "git", "diff", "-U0").splitlines() if line[:1] in "+-"]
    assert [line[:10] for line in lines if not line.startswith(("+++", "---"))] == ["-REGISTRY:", "+REGISTRY:"]

    generate(root)
    generate(root, "--check")
    chosen = ["-k", " or ".join((NAME, *STRUCTURAL)), *(f"tests/{room}" for room in VENDOR_FACING)]
    report = python(root, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-vv", *chosen)

    passed = {line.split("::")[0] for line in report.splitlines() if f"[{NAME}" in line and "PASSED" in line}
    assert {"tests/providers/test_wire.py", "tests/catalog/test_schemas.py", "tests/test_every_offer.py"} <= passed
    assert {"tests/sandbox/test_vendors.py", "tests/sandbox/test_faults.py"} <= passed


def test_its_clip_is_bought_without_a_key_and_with_one(root: Path, variables: dict[str, str], tmp_path: Path) -> None:
    rehearsed = bought(root, "--provider", NAME, "--yes", **variables)
    with new_vendor.played(root, tmp_path / "vendors.db") as printed:
        key = {name: value for name, value in printed.items() if name.startswith(NAME.upper())}
        paid = bought(root, "--provider", NAME, "--max-cost-usd", "5", "--yes", **variables, **key)

    assert (rehearsed["simulated"], rehearsed["provider"], rehearsed["plays"]) == (True, "sandbox", NAME)
    assert set(key) == {"ACME_API_KEY", "ACME_BASE_URL"}
    assert (paid["simulated"], paid["provider"]) == (False, NAME)
    assert paid["cost"]["estimated"]["usd"] == "4.50"
    assert paid["video_url"].startswith(f"{key['ACME_BASE_URL']}/files/")


def test_without_its_exchanges_only_a_key_buys_there(root: Path, variables: dict[str, str]) -> None:
    exchanges = root / "mcp_server" / "providers" / NAME / "exchanges.json"
    recorded = exchanges.read_bytes()
    exchanges.unlink()
    try:
        order = (sys.executable, "-m", "mcp_server", "generate", "a boat", "--provider", NAME, "--yes")
        refused = run(root, *order, fails=77, PYTHONPATH=str(root), **variables)
        other = bought(root, "--yes", **variables)
    finally:
        exchanges.write_bytes(recorded)

    assert "The sandbox cannot play Acme" in refused and "ACME_API_KEY" in refused
    assert other["plays"] != NAME
