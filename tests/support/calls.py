"""Whole calls as agents make them, held against what has to be ordered; scenes that order nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any

from support.labelled import SET, labelled

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.errors import KlingError
from mcp_server.ordering.plan import Plan, Planner
from mcp_server.settings import Settings

CALLS = [json.loads(line) for line in (SET / "calls.jsonl").read_text(encoding="utf-8").splitlines()]
DEFAULTS: dict[str, Any] = {
    "tier": "standard", "duration": 5, "aspect_ratio": "16:9", "audio": False, "resolution": None,
    "mode": "text-to-video", "model": "kling-3.0", "image": None, "video": None, "audio_file": None,
}  # fmt: skip


@cache
def planner() -> Planner:
    keys = {facts.key_variable for facts in catalog.load().providers.values()}
    return Planner(Settings.read(dict.fromkeys(keys, "k")), catalog.load())


def plan(*, buying: bool = True, **said: Any) -> Plan:
    """What this call comes to, with a key for every vendor."""
    return planner().plan(read(VideoArguments, said), day=date(2026, 11, 29), buying=buying)


@dataclass
class Outcome:
    """What came of one call."""

    refused: str = ""
    ordered: dict[str, Any] | None = None
    prompt: str = ""
    warned: bool = False


def outcome(call: dict[str, Any]) -> Outcome:
    try:
        made = plan(**call["args"], buying=call["tool"] == "generate_video")
    except KlingError as error:
        return Outcome(refused=str(error))
    checked, request = made.checked, made.request
    ordered = {name: getattr(made.offer, name) for name in ("tier", "mode", "model")}
    ordered |= {name: getattr(checked, name) for name in ("duration", "aspect_ratio", "audio")}
    ordered |= {name: getattr(request, name) for name in ("resolution", "image", "video", "audio_file")}
    return Outcome(ordered=ordered, prompt=checked.prompt, warned=bool(made.warnings))


def wrong(call: dict[str, Any], came: Outcome) -> set[str]:
    """The fields that were ordered otherwise than they were wished; what the vendor alone decides is no wish."""
    want, ordered = call["want"], came.ordered or {}
    theirs = {"aspect_ratio", "model", "duration", "audio"} if ordered["mode"] != "text-to-video" else set[str]()
    theirs |= {"tier", "audio"} if want.keys() & {"model", "resolution"} else set()
    return {
        name
        for name, default in DEFAULTS.items()
        if ordered[name] != want.get(name, default) and not (name in theirs and name not in want)
    }


def is_right(call: dict[str, Any], came: Outcome) -> bool:
    want = call["want"]
    if came.refused:
        # What nobody sells here is refused once it was understood.
        unsold = "Nobody sells" in came.refused and call["class"] in ("version", "address")
        return unsold or "refused" in want or "warn" in want
    if "refused" in want:
        return False
    if "warn" in want:
        return came.warned or not wrong(call, came)
    return not wrong(call, came) and keeps_scene(call, came)


def keeps_scene(call: dict[str, Any], came: Outcome) -> bool:
    """Whether the prompt is the scene that was wished, signs at its ends aside."""
    wanted = call["want"].get("prompt")
    return wanted is None or _bare(came.prompt) == _bare(wanted)


def _bare(text: str) -> str:
    return text.strip(" .。!！,，、").casefold()


def is_silently_wrong(call: dict[str, Any], came: Outcome) -> bool:
    """Whether another clip than the wished one is bought, and nothing says so."""
    return came.ordered is not None and not came.warned and bool(wrong(call, came))


def plain_scenes(*halves: str) -> list[str]:
    """Scenes in which nobody orders anything: what is left of the labelled orders."""
    rows = [row for half in halves for row in labelled(half) if row["kind"] == "form" and row["want"].get("prompt")]
    return sorted({row["want"]["prompt"] for row in rows})


def is_warned_of(scene: str) -> bool:
    """Whether this scene alone is said to ask for something that is not ordered."""
    return any("the words say" in warning for warning in plan(prompt=scene).warnings)
