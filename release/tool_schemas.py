"""`schemas/tools/`, made from the pydantic shapes.

Inputs keep every constraint. Outputs are an orientation, not a contract to validate against: no `required`, because
empty facts are left out and a refusal is answered with `error` alone; the inside of nested facts is not spelled out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from mcp_server import places
from mcp_server.catalog import REGISTRY
from mcp_server.films.board import Board
from mcp_server.server.tools import arguments as shapes
from mcp_server.server.tools import declarations

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NOISE = {"title", "$defs"}
_SILENT = "estimate_cost"
"""Takes what generate_video takes and does not explain it a second time."""
_BOARD = "board.json"
"""The whole schema of a board, for editors of board files; what a model reads of it is a sketch."""
_SKETCHED = ("type", "enum", "description", "items", "properties", "required")


def pages() -> dict[Path, bytes]:
    """Every schema and what should stand in it."""
    made: dict[str, dict[str, Any]] = {}
    for tool in declarations.TOOLS:
        made[f"{tool.name}.input.json"] = _with_vendors(_input(tool.name))
        made[f"{tool.name}.output.json"] = _output(tool.name)
    whole = Board.model_json_schema()
    made[_BOARD] = _plain(whole, whole["$defs"])
    return {_folder() / name: _text(schema).encode() for name, schema in made.items()}


def there() -> list[Path]:
    """What the folder holds: all of it is made here."""
    return list(_folder().glob("*.json"))


def _folder() -> Path:
    return places.schemas() / "tools"


def _text(schema: dict[str, Any]) -> str:
    return json.dumps({"$schema": DIALECT, **schema}, indent=2, ensure_ascii=False) + "\n"


def _input(name: str) -> dict[str, Any]:
    raw = shapes.ARGUMENTS[name].model_json_schema()
    schema = _plain(raw, raw.get("$defs", {}))
    # What the tool is for stands in its description already.
    schema.pop("description", None)
    if name == _SILENT:
        schema = _without_words(schema)
    if "board" in schema["properties"]:
        schema["properties"]["board"] = _sketch(schema["properties"]["board"])
    return schema


def _sketch(board: dict[str, Any]) -> dict[str, Any]:
    """A board as a model reads it: its shots field by field, what else belongs to it by name."""
    made = _without_bounds(board)
    for name, part in board["properties"].items():
        said = part.get("description", "")
        if "properties" in part:
            told = ", ".join(part["properties"])
        elif isinstance(part.get("additionalProperties"), dict):
            told = f"{said}: {{{', '.join(part['additionalProperties']['properties'])}}}"
        else:
            continue
        made["properties"][name] = {"description": told, "type": "object"}
    return made


def _without_bounds(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    kept = {key: part for key, part in cast("dict[str, Any]", node).items() if key in _SKETCHED}
    if "properties" in kept:
        kept["properties"] = {name: _without_bounds(part) for name, part in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _without_bounds(kept["items"])
    return kept


def _output(name: str) -> dict[str, Any]:
    raw = shapes.ANSWERS[name].model_json_schema(mode="serialization")
    schema = _plain(raw, raw.get("$defs", {}))
    properties = {key: _shallow(part) for key, part in schema["properties"].items()}
    properties.setdefault("error", {"type": "object"})
    return {"type": "object", "properties": properties}


def _with_vendors(schema: dict[str, Any]) -> dict[str, Any]:
    """The vendors' ids where a description leaves room for them: the shapes are below the catalog."""
    return json.loads(json.dumps(schema).replace("{vendors}", ", ".join(REGISTRY)))


def _plain(node: Any, defs: dict[str, Any]) -> Any:
    """Without titles, null alternatives and references."""
    if isinstance(node, list):
        return [_plain(part, defs) for part in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    found = cast("dict[str, Any]", node)
    if "$ref" in found:
        # A shape's own sentence is for who reads the code; what a field says of itself stays.
        said = {key: part for key, part in found.items() if key != "$ref"}
        return _plain({**defs[found["$ref"].rpartition("/")[2]], "description": "", **said}, defs)
    if "anyOf" in found:
        kinds = [part for part in found["anyOf"] if part != {"type": "null"}]
        rest = {key: part for key, part in found.items() if key != "anyOf"}
        merged = _plain(kinds[0], defs) if len(kinds) == 1 else _one_enum([_plain(kind, defs) for kind in kinds])
        return {**merged, **_plain(rest, defs)}
    made: dict[str, Any] = {}
    for key, part in found.items():
        if key in _NOISE or (key in ("default", "description") and _says_nothing(part)):
            continue
        if key == "additionalProperties" and part is True:
            continue
        if key == "properties":
            made[key] = {name: _plain(one, defs) for name, one in part.items()}
        else:
            made[key] = _plain(part, defs)
    return made


def _says_nothing(part: Any) -> bool:
    """Whether leaving it out says the same: an empty default, or that a switch is off."""
    if isinstance(part, dict):
        return all(map(_says_nothing, cast("dict[str, Any]", part).values()))
    return part is False or part in (None, [], "")


def _one_enum(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """Several closed sets of words as one."""
    words: list[Any] = []
    for kind in kinds:
        words += kind["enum"] if "enum" in kind else [kind["const"]]
    return {"enum": words, "type": "string"}


def _without_words(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_words(part) for part in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    return {
        key: {name: _without_words(one) for name, one in part.items()} if key == "properties" else _without_words(part)
        for key, part in cast("dict[str, Any]", node).items()
        if key != "description"
    }


def _shallow(part: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in part.items() if key in ("type", "enum", "description")}
    if part.get("type") == "array" and "type" in part.get("items", {}):
        kept["items"] = {"type": part["items"]["type"]}
    return kept
