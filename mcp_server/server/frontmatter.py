"""The head of SKILL.md as JSON: the part of YAML that page uses, and a clear refusal of any other."""

from __future__ import annotations

import json
import re
from typing import Any

FENCE = "---"
_KEY = re.compile(r"^([A-Za-z0-9_.-]+):(?: +(.*))?$")
_SPECIAL = tuple("&*!|>{[%@`#,?")
"""What begins something other than plain text in YAML; the page does without."""
_WORDS = {"true": True, "false": False, "null": None, "~": None}

Line = tuple[int, str]


def frontmatter(page: str) -> dict[str, Any]:
    """Every field the author wrote, unchanged."""
    lines = page.splitlines()
    if not lines or lines[0] != FENCE or FENCE not in lines[1:]:
        raise ValueError("the page has no frontmatter")
    head = lines[1 : lines.index(FENCE, 1)]
    rows = [(len(line) - len(line.lstrip(" ")), line.strip()) for line in head if line.strip()]
    found, rest = _block(rows, 0)
    if rest or not isinstance(found, dict):
        raise ValueError(f"not understood: {rest[:1] or found}")
    return found  # pyright: ignore[reportUnknownVariableType] - JSON


def _block(rows: list[Line], depth: int) -> tuple[Any, list[Line]]:
    """What stands at this depth, and the rows after it."""
    return _list(rows, depth) if rows[0][1].startswith("- ") else _map(rows, depth)


def _map(rows: list[Line], depth: int) -> tuple[dict[str, Any], list[Line]]:
    made: dict[str, Any] = {}
    while rows and rows[0][0] == depth and not rows[0][1].startswith("- "):
        match = _KEY.match(rows[0][1])
        if match is None:
            raise ValueError(f"not a field: {rows[0][1]}")
        name, value = match.group(1), match.group(2)
        rows = rows[1:]
        if value is not None:
            made[name] = _scalar(value)
        elif rows and rows[0][0] > depth:
            made[name], rows = _block(rows, rows[0][0])
        else:
            made[name] = None
    return made, rows


def _list(rows: list[Line], depth: int) -> tuple[list[Any], list[Line]]:
    made: list[Any] = []
    while rows and rows[0][0] == depth and rows[0][1].startswith("- "):
        item = rows[0][1][2:]
        if _KEY.match(item):
            # A mapping that begins on the dash's own line: its other fields stand two deeper.
            found, rows = _map([(depth + 2, item), *rows[1:]], depth + 2)
            made.append(found)
        else:
            made.append(_scalar(item))
            rows = rows[1:]
    return made, rows


def _scalar(text: str) -> Any:
    if text.startswith('"'):
        return json.loads(text)
    if text.startswith("'"):
        return text[1:-1].replace("''", "'")
    if text.startswith(_SPECIAL) or " #" in text or ": " in text:
        raise ValueError(f"more YAML than is read here: {text}")
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if re.fullmatch(r"-?\d+", text) else text
