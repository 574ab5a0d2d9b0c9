"""A ninth language is data: phrases in `triggers.json`, one block in `grammar.json`, and no code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from support.labelled import labels, read

from mcp_server import places

DUTCH = json.loads((Path(__file__).parent / "dutch.json").read_text(encoding="utf-8"))
ASKED = "Kun je een kling filmpje van een vos in de sneeuw maken, verticaal, tien tellen, met geluid?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests with Dutch in them."""
    made = tmp_path_factory.mktemp("manifests")
    triggers, grammar = (manifest(name) for name in ("triggers.json", "grammar.json"))
    for wish in DUTCH["wishes"]:
        group = next(group for group in triggers["wishes"] if group["sets"] == wish["sets"])
        group["phrases"]["nl"] = wish["phrases"]
    grammar["languages"]["nl"] = DUTCH["grammar"]
    for name, content in {"triggers.json": triggers, "grammar.json": grammar}.items():
        (made / name).write_text(json.dumps(content), encoding="utf-8")
    return made


def manifest(name: str, *, of: Path | None = None) -> Any:
    return json.loads(((of or places.skill()) / name).read_text(encoding="utf-8"))


def test_it_is_not_one_of_the_eight() -> None:
    assert "nl" not in manifest("grammar.json")["languages"]
    assert labels(read(ASKED)).get("duration") is None


@pytest.mark.parametrize("name", ["triggers.json", "grammar.json"])
def test_the_schemas_take_it(folder: Path, name: str) -> None:
    schema = json.loads((places.schemas() / name).read_text(encoding="utf-8"))
    assert [error.message for error in Draft202012Validator(schema).iter_errors(manifest(name, of=folder))] == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            ASKED,
            {"prompt": "een vos in de sneeuw", "aspect_ratio": "9:16", "duration": 10, "audio": True},
        ),
        (
            "Kling professioneel, liggend, zonder geluid: een haven bij nacht",
            {"prompt": "een haven bij nacht", "tier": "pro", "aspect_ratio": "16:9", "audio": False},
        ),
        (
            "genereer een vierkant kling filmpje van mist, standaard",
            {"prompt": "mist", "tier": "standard", "aspect_ratio": "1:1"},
        ),
        ("kling standaard, nee wacht, professioneel: mist", {"prompt": "mist", "tier": "pro"}),
        ("kling pro, vijftien seconden, niet 4k: mist", {"prompt": "mist", "tier": "pro", "duration": 15}),
        ("kling\nlengte: 5\nverticaal\neen vuurtoren", {"prompt": "een vuurtoren", "duration": 5, "aspect_ratio": "9:16"}),
        ("kling pro, hoogstens $2: een vuurtoren", {"prompt": "een vuurtoren", "tier": "pro", "max_cost_usd": "2"}),
        ("kling pro: een chef in de standaard keuken", {"prompt": "een chef in de standaard keuken", "tier": "pro"}),
        ("hoeveel kost kling 4k?", {"none": True}),
        ("kling 4k prijs", {"none": True}),
    ],
)  # fmt: skip
def test_its_requests_are_read(folder: Path, text: str, wanted: dict[str, Any]) -> None:
    found = labels(read(text, folder))
    assert {name: value for name, value in found.items() if name != "not_tiers"} == wanted


def test_a_choice_is_left_open_in_it(folder: Path) -> None:
    assert read("kling verticaal of vierkant: mist", folder).unsettled == ("aspect_ratio",)


def test_what_is_ruled_out_is_ruled_out_in_it(folder: Path) -> None:
    assert read("kling, geen 4k: mist", folder).not_tiers == ("4k",)


def test_the_other_languages_are_read_as_before(folder: Path) -> None:
    for text in ("kling 4k, vertical, ten seconds, with sound: a neon city", "可灵 4K 竖屏 10秒: 海边日落"):
        assert read(text, folder) == read(text)
