"""CONTRIBUTING's recipes for a fact, an argument and a command, each followed in a copy of the repository.

The recipe for a vendor is followed in `test_new_vendor.py`, the one for a language in `tests/language/test_ninth_language.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.repository_copy import changed, copied, generate, python

PARSED = "mcp_server/catalog/parsed_facts.txt"
"""Generated from all facts, so that no start parses them."""
ORDER = ("estimate", "a paper boat", "--json", "--model", "kling-3.0", "--tier", "pro")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copied(tmp_path / "copy")


def command(root: Path, *arguments: str) -> str:
    return python(root, "-m", "mcp_server", *arguments, KLING_HOME=str(root / "home"))


def estimated(root: Path, *arguments: str) -> dict[str, Any]:
    return json.loads(command(root, *ORDER, *arguments))


def edit(root: Path, file: str, before: str, after: str) -> None:
    """One edit, at the one place where it can be meant."""
    path = root / file
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{before!r} stands {text.count(before)} times in {file}"
    path.write_text(text.replace(before, after), encoding="utf-8")


def test_a_fact_is_a_row_with_its_day_and_what_repeats_it_is_generated(root: Path) -> None:
    prices = root / "mcp_server/providers/runcomfy/prices.toml"
    row = """
[[price]]
models = ["kling-3.0"]
tiers = ["pro"]
unit = "second"
silent = "0.101"
audio = "0.151"
effective_from = 2026-11-27
source = "a page of today"
checked = 2026-11-27
"""
    prices.write_text(prices.read_text(encoding="utf-8") + row, encoding="utf-8")

    cost = estimated(root, "--provider", "runcomfy", "--duration", "5")["chosen"]["cost"]
    generate(root)
    generate(root, "--check")

    assert (cost["usd"], cost["price_date"]) == ("0.505", "2026-11-27")
    assert "0.101" in (root / "skill/costs.md").read_text(encoding="utf-8")
    inside = {file for file in changed(root) if file.startswith("mcp_server/")}
    assert inside == {"mcp_server/providers/runcomfy/prices.toml", PARSED}


def test_an_argument_is_described_once_and_reaches_every_door(root: Path) -> None:
    described = '    watermark: bool | type_none = None\n    """The vendor\'s mark in the corner."""\n'
    options = "    options: Options | type_none = None\n"
    edit(root, "mcp_server/domain/arguments.py", options, described + options)
    field = "    off_peak: bool | None = None\n    cfg_scale"
    edit(
        root,
        "mcp_server/domain/request.py",
        field,
        field.replace("    cfg_scale", "    watermark: bool | None = None\n    cfg_scale"),
    )
    edit(root, "mcp_server/domain/vocabulary.py", '    "off_peak",\n]', '    "off_peak",\n    "watermark",\n]')
    vendor = "mcp_server/providers/kling3api"
    text_mode = 'mode = "text-to-video"\nrequires = ["prompt"]\naccepts = ["negative_prompt", "cfg_scale"'
    edit(root, f"{vendor}/offers.toml", text_mode, f'{text_mode}, "watermark"')
    edit(
        root,
        f"{vendor}/wire.py",
        '            "sound": checked.audio,\n',
        '            "sound": checked.audio,\n            "watermark": request.watermark,\n',
    )
    generate(root)

    sent = python(root, "-c", SENT)
    elsewhere = estimated(root, "--watermark")
    schema = json.loads((root / "schemas/tools/generate_video.input.json").read_text(encoding="utf-8"))

    assert json.loads(sent)["watermark"] is True
    assert schema["properties"]["watermark"] == {"description": "The vendor's mark in the corner.", "type": "boolean"}
    assert "--watermark, --no-watermark" in command(root, "generate", "--help")
    assert elsewhere["chosen"]["provider"] == "kling3api"
    assert "runcomfy kling-3.0 pro text-to-video does not take a watermark" in elsewhere["dropped"].values()
    assert "--watermark" in command(root, "completion", "bash")
    assert {file for file in changed(root) if file.endswith(".py")} == {
        "mcp_server/domain/arguments.py", "mcp_server/domain/request.py", "mcp_server/domain/vocabulary.py", f"{vendor}/wire.py",
    }  # fmt: skip


SENT = """
import asyncio, json
from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
wish = VideoArguments(prompt="a paper boat", provider="kling3api", tier="pro", model="kling-3.0", watermark=True)
print(json.dumps(asyncio.run(build().prepare(wish, buying=False)).call.json))
"""


def test_a_command_is_a_module_and_one_line(root: Path) -> None:
    (root / "mcp_server/cli/tasks/count.py").write_text(
        '''"""`kling-video count`: how many clips were ordered."""

from __future__ import annotations

from mcp_server.cli import parser, session
from mcp_server.cli.screen import Screen


def flags() -> parser.Parser:
    return parser.command("count")


def run(argv: list[str]) -> int:
    given = flags().parse_args(argv)
    found = session.run(lambda service: service.tasks())
    Screen(as_json=given.json).line(str(len(found.tasks)))
    return 0
''',
        encoding="utf-8",
    )
    line = '    "open": Command('
    edit(
        root,
        "mcp_server/cli/__init__.py",
        line,
        f'    "count": Command("tasks.count", "how many clips were ordered"),\n{line}',
    )

    assert "count       how many clips were ordered" in command(root, "--help")
    assert "usage: kling-video count" in command(root, "count", "--help")
    assert command(root, "count").strip() == "0"
    assert "count)" in command(root, "completion", "bash")
    assert changed(root) == {"mcp_server/cli/__init__.py", "mcp_server/cli/tasks/count.py"}
    python(
        root, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-k", "count", "tests/cli/test_cli.py"
    )
