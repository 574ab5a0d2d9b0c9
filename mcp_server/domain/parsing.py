"""From what a caller sent to a strict shape, or one refusal in words that name the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, cast

from pydantic import BaseModel, ValidationError

from mcp_server.domain.damaged_text import damaged
from mcp_server.domain.vocabulary import UNSOLD
from mcp_server.errors import ArgumentError

Shape = TypeVar("Shape", bound=BaseModel)

_KINDS = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}
_MEMBER = re.compile(r"^(str|int|float|bool|none|constrained-\w+|function-before.*|(list|dict|literal)\[.*)$")
"""What pydantic puts between two names when a union stands there; no argument is called so."""
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}


def read(shape: type[Shape], given: Mapping[str, Any]) -> Shape:
    """The arguments as this shape; ArgumentError names every problem at once."""
    refuse_damaged(given)
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        unwrapped = _unwrapped(given, error)
        if unwrapped is not None:
            return read(shape, unwrapped)
        problems = tuple(_problem(row, shape) for row in _rows(error))
        what = problems[0] if len(problems) == 1 else f"{len(problems)} arguments are not as they must be"
        raise ArgumentError(
            what,
            problems=problems,
            why="" if len(problems) == 1 else "; ".join(problems),
            next_step="Correct this and call again",
        ) from None


def refuse_damaged(given: Any) -> None:
    """Nothing, or the refusal of text that is not what was written: nobody pays for a prompt with a hole in it."""
    if where := damaged(given):
        raise ArgumentError(
            f"A character was damaged on its way here, in {where}",
            why="it is half of one, or U+FFFD, which stands where one could not be read",
            next_step="Send the text again, whole and in UTF-8",
        )


def _unwrapped(given: Mapping[str, Any], error: ValidationError) -> dict[str, Any] | None:
    """The same with JSON text opened where a list or an object is due: some clients send those as text."""
    opened: dict[str, Any] = {}
    for row in error.errors(include_url=False):
        name, value = str(row["loc"][0]) if row["loc"] else "", row["input"]
        if row["type"] in {"list_type", "dict_type"} and isinstance(value, str) and given.get(name) == value:
            try:
                found: Any = json.loads(value)
            except ValueError:
                continue
            if isinstance(found, (list, dict)):
                opened[name] = found
    return {**given, **opened} if opened else None


def _rows(error: ValidationError) -> list[dict[str, Any]]:
    """Pydantic's findings without those about `null` and without the names of union members."""
    rows = cast("list[dict[str, Any]]", error.errors(include_url=False))
    return [{**row, "loc": _path(row["loc"])} for row in rows if row["type"] != "none_required"]


def _path(where: tuple[str | int, ...]) -> tuple[str | int, ...]:
    return tuple(step for step in where if isinstance(step, int) or not _MEMBER.match(step))


def _problem(row: dict[str, Any], shape: type[BaseModel]) -> str:
    kind, where = row["type"], row["loc"]
    name = _name(where)
    context: dict[str, Any] = row.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(where, shape)
    if kind == "missing":
        return f"{name} is missing"
    if kind == "literal_error":
        return f"{name} must be {context['expected']}, not {_shown(row['input'])}"
    if kind in _KINDS:
        return f"{name} must be {_KINDS[kind]}, not {_shown(row['input'])}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{name} must be {words} {context[key]:g}, not {_shown(row['input'])}"
    if kind == "value_error" and not where:
        return str(context["error"])
    if kind == "value_error":
        return f"{name}: {context['error']}"
    # Lengths and the like: the library's own words name the limit well enough.
    return f"{name}: {row['msg'][0].lower()}{row['msg'][1:]}"


def _unknown(where: tuple[str | int, ...], shape: type[BaseModel]) -> str:
    name = str(where[-1])
    if why := UNSOLD.get(name):
        return f"Unknown argument {_name(where)}; {why}"
    known = list(_fields(shape, where[:-1]))
    near = get_close_matches(name.lower().replace("-", "_"), known, n=1, cutoff=0.5)
    hint = f"the nearest known one is {near[0]}" if near else f"known are {', '.join(known)}"
    return f"Unknown argument {_name(where)}; {hint}"


def _fields(shape: type[BaseModel], inside: tuple[str | int, ...]) -> list[str]:
    """The argument names at this depth."""
    if not inside:
        return list(shape.model_fields)
    schema = shape.model_json_schema()
    node: Any = schema
    for step in inside:
        node = node["items"] if isinstance(step, int) else node["properties"][step]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    return list(node["properties"])


def _name(where: tuple[str | int, ...]) -> str:
    """`shots[0].duration`: a place as callers write it."""
    text = ""
    for step in where:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text or "the arguments"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
