"""`schemas/cli/`: what `--json` prints, command by command, made from the pydantic shapes.

What is empty or unknown is left out, so only what an answer always has is required; nothing else may stand in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcp_server import places
from mcp_server.answers.shapes import BatchResult, Estimate, FilmAnswer, Models, Spend, TaskAnswer, TaskList
from release.tool_schemas import DIALECT

_TEXT = {"type": "string"}
_MORE: dict[str, dict[str, Any]] = {
    "estimate": {"live": {"type": "array", "items": {"type": "object"}, "description": "With --live."}},
    "task": {
        "sheet_path": {**_TEXT, "description": "With --sheet."},
        "last_frame_path": {**_TEXT, "description": "With --last-frame."},
    },
}
"""What a flag of the command line adds."""
SHAPES = {
    "batch": BatchResult,
    "models": Models,
    "estimate": Estimate,
    "film": FilmAnswer,
    "tasks": TaskList,
    "task": TaskAnswer,
    "spend": Spend,
}
_OR: dict[str, type[BaseModel]] = {"task": FilmAnswer}
"""What an id may stand for instead."""
_REFUSAL = {
    "type": "object",
    "description": "A refusal: what, why, what to do now, and what became of the money.",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "what", "money"],
            "properties": dict.fromkeys(("code", "what", "why", "next_step", "money"), _TEXT),
        }
    },
}


def pages() -> dict[Path, bytes]:
    """The schema of every command whose answer is facts."""
    return {_folder() / f"{name}.json": _page(name) for name in SHAPES}


def there() -> list[Path]:
    """What the folder holds: all of it is made here."""
    return list(_folder().glob("*.json"))


def _folder() -> Path:
    return places.schemas() / "cli"


def _page(name: str) -> bytes:
    made = SHAPES[name].model_json_schema()
    kinds = made.pop("$defs", {})
    made["properties"] |= _MORE.get(name, {})
    whole = [made]
    if (other := _OR.get(name)) is not None:
        second = other.model_json_schema()
        kinds |= second.pop("$defs", {})
        second["properties"] |= _MORE.get(name, {})
        whole.append(second)
    schema = {
        "$schema": DIALECT,
        "title": f"kling-video {name} --json",
        "anyOf": [*whole, _REFUSAL],
        "$defs": kinds,
    }
    return (json.dumps(_bare(schema), indent=2, ensure_ascii=False) + "\n").encode()


def _bare(node: Any) -> Any:
    """Without what pydantic says of its own: titles of fields, and defaults that are never printed."""
    if isinstance(node, list):
        return [_bare(part) for part in node]
    if not isinstance(node, dict):
        return node
    if "properties" in node:
        node = {**node, "properties": {name: _bare(part) for name, part in node["properties"].items()}}
        return {key: part if key == "properties" else _bare(part) for key, part in node.items() if key != "title"}
    return {
        key: _bare(part) for key, part in node.items() if key != "default" and (key != "title" or "$schema" in node)
    }
