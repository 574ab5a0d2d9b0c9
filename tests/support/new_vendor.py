"""A vendor added as CONTRIBUTING says, in a copy of the repository: UniAll's folders again, under a name of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MODEL, NAME = "uniall", "acme"
FOLDERS = ("mcp_server/providers", "schemas", "tests/cases", "tests/examples")
"""Where a vendor has a folder of its own."""
REGISTRY = "mcp_server/catalog/loader.py"
OTHER_WORDS = (
    ("UNIALL", "ACME"),
    ("UniAll", "Acme"),
    ("uniall.ai", "acme.example"),
    ("uniall", "acme"),
    ("kling-v3-", "acme-v3-"),
)
PRICES = """\
currency = "USD"

[[price]]
models = ["kling-3.0"]
unit = "second"
silent = "0.9"
audio = "1.1"
effective_from = 2026-11-21
source = "a page of Acme's"
checked = 2026-11-21
"""


def add(root: Path) -> None:
    """The vendor's folders and the one line; nothing else."""
    for folder in FOLDERS:
        shutil.copytree(root / folder / MODEL, root / folder / NAME)
        for path in (root / folder / NAME).rglob("*.*"):
            text = path.read_text(encoding="utf-8")
            for old, new in OTHER_WORDS:
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
    own = root / "mcp_server" / "providers" / NAME
    (own / "prices.toml").write_text(PRICES, encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name(NAME) / "exchanges.json", own / "exchanges.json")
    registry = root / REGISTRY
    line = re.compile(r'^(REGISTRY.*)"\)$', re.MULTILINE)
    registry.write_text(line.sub(rf'\1", "{NAME}")', registry.read_text(encoding="utf-8")), encoding="utf-8")


@contextmanager
def played(root: Path, store: Path) -> Iterator[dict[str, str]]:
    """The copy's own sandbox in a process; the variables it prints."""
    command = [sys.executable, "-m", "mcp_server", "sandbox", "--seconds", "0.1", "--store", str(store)]
    with subprocess.Popen(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            found: dict[str, str] = {}
            while f"{NAME.upper()}_API_KEY" not in found:
                line = running.stdout.readline()
                assert line, "the sandbox did not come up"
                name, _, value = line.strip().removeprefix("export ").partition("=")
                found[name] = value
            yield found
        finally:
            running.kill()
