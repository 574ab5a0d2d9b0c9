"""Entries put into clients' configuration files as text, so that comments and order stay as their owner wrote them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_SIGNS: Final = re.compile(r'"(?:\\.|[^"\\])*(?:"|\\?\Z)|//[^\n]*|/\*.*?(?:\*/|\Z)|[{}\[\]:,]', re.DOTALL)
_STRAY_COMMA: Final = re.compile(r'"(?:\\.|[^"\\])*"|(,)(?=\s*[}\]])')
_NAMED: Final = re.compile(r"""\A( *)["']?([^"':\s#]+)["']?\s*:""")
_STEP: Final = "  "


class PlaceError(ValueError):
    """The entry has no place in this text that can be trusted."""


def plain(text: str) -> str:
    """JSON out of JSON with comments and trailing commas; every sign stays where it was."""
    bare = _SIGNS.sub(lambda at: re.sub(r"[^\n]", " ", at[0]) if at[0].startswith("/") else at[0], text)
    return _STRAY_COMMA.sub(lambda at: " " if at[1] else at[0], bare)


def in_json(text: str, table: str, name: str, entry: Mapping[str, Any]) -> str:
    """The text with this entry in its table, new or in the place of the one of that name; PlaceError."""
    known: Any = json.loads(plain(text).strip() or "{}")
    expected = {**known, table: {**known.get(table, {}), name: entry}}
    made = _placed(text, table, name, entry)
    try:
        # What counts is what comes out, however the text is written.
        sound = json.loads(plain(made)) == expected
    except ValueError:
        sound = False
    if not sound:
        raise PlaceError
    return made


def _placed(text: str, table: str, name: str, entry: Mapping[str, Any]) -> str:
    if not plain(text).strip():
        return text + json.dumps({table: {name: entry}}, indent=2, ensure_ascii=False) + "\n"
    root = _object(text, plain(text).index("{"))
    if table not in root:
        return _begun(text, plain(text).index("{"), table, {name: entry}, 1)
    start = root[table][0]
    servers = _object(text, start)
    if name not in servers:
        return _begun(text, start, name, entry, 2)
    first, end = servers[name]
    return text[:first] + _written(entry, 2) + text[end:]


def _begun(text: str, brace: int, key: str, value: Mapping[str, Any], depth: int) -> str:
    """The text with this member as the first of the object at that brace, below what is said beside the brace."""
    bare = plain(text)
    at = brace + 1
    line_end = text.find("\n", at)
    if line_end >= 0 and not bare[at:line_end].strip():
        at = line_end
    more = "" if bare[brace + 1 :].lstrip().startswith("}") else ","
    tail = "" if text[at : at + 1] in ("\n", "\r") else "\n" + _STEP * (depth - 1)
    return f"{text[:at]}\n{_STEP * depth}{json.dumps(key)}: {_written(value, depth)}{more}{tail}{text[at:]}"


def _written(value: Mapping[str, Any], depth: int) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n" + _STEP * depth)


def _object(text: str, brace: int) -> dict[str, tuple[int, int]]:
    """Where the value of each key of the object at that brace begins and ends, those that are objects themselves."""
    found: dict[str, tuple[int, int]] = {}
    key, depth, begun = "", 0, 0
    for at, sign in _signs(text, brace):
        if sign[0] == '"' and depth == 1:
            key = json.loads(sign)
        elif sign in "{[":
            depth += 1
            begun = at if depth == 2 and sign == "{" else begun
        elif sign in "}]":
            depth -= 1
            if depth == 1 and sign == "}":
                found[key] = (begun, at + 1)
            if depth == 0:
                break
    return found


def _signs(text: str, start: int) -> Iterator[tuple[int, str]]:
    for at in _SIGNS.finditer(text, start):
        if not at[0].startswith("/"):
            yield at.start(), at[0]


def in_yaml(text: str, table: str, name: str, rows: Mapping[str, Any]) -> str | None:
    """The text with this entry first in its table; None where an entry of that name is there. PlaceError.

    Only the plain layout that the client itself writes is understood: a table at the margin, its entries indented.
    """
    lines = text.splitlines()
    if any("\t" in line or line.startswith(("{", "---", "...", "%")) for line in lines):
        raise PlaceError
    at = next((number for number, line in enumerate(lines) if _key(line) == ("", table)), None)
    if at is None:
        return "\n".join([*lines, f"{table}:", *_rows(name, rows, _STEP), ""])
    value = lines[at].partition(":")[2].partition("#")[0].strip()
    inside = list(_inside(lines[at + 1 :]))
    step = " " * (len(inside[0]) - len(inside[0].lstrip())) if inside else _STEP
    if value not in ("", "{}") or (value and inside) or any(line.lstrip().startswith("- ") for line in inside[:1]):
        raise PlaceError
    if any(_key(line) == (step, name) for line in inside):
        return None
    head = lines[at].replace("{}", "", 1).rstrip() if value else lines[at]
    return "\n".join([*lines[:at], head, *_rows(name, rows, step), *lines[at + 1 :], ""])


def _key(line: str) -> tuple[str, str] | None:
    """How far a line is indented, and the name it gives a value to."""
    found = _NAMED.match(line)
    return (found[1], found[2]) if found else None


def _inside(lines: list[str]) -> Iterator[str]:
    """What is written in a table, without what says nothing."""
    for line in lines:
        if line.strip() and not line.lstrip().startswith("#"):
            if not line.startswith(" "):
                return
            yield line


def _rows(name: str, rows: Mapping[str, Any], step: str) -> list[str]:
    """Every string and list as JSON writes it, which YAML reads alike."""
    return [f"{step}{name}:", *(f"{step}{step}{key}: {json.dumps(value)}" for key, value in rows.items())]
