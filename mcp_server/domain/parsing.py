"""From what a caller sent to a strict shape, or one refusal in words that name the way out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
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
_MEMBER = re.compile(r"^(str|int|float|bool|none|constrained-\w+|function-.*|(list|dict|literal)\[.*)$")
"""What pydantic puts between two names when a union stands there; no argument is called so."""
_BOUNDS = {
    "greater_than_equal": ("at least", "ge"),
    "less_than_equal": ("at most", "le"),
}
_LENGTHS = {"string_too_long": "characters", "too_long": "entries"}
_DEEPEST = 20
"""How far arguments may be nested: no vendor's own fields go deeper than five."""
_NAMES_MAX = 200
_TOLD = 8
"""So many problems are told one by one: more than that is no slip."""
_NAME_TOLD = 60


def read(shape: type[Shape], given: Mapping[str, Any]) -> Shape:
    """The arguments as this shape; ArgumentError names every problem at once."""
    refuse_shapeless(given)
    refuse_damaged(given)
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        unwrapped = _unwrapped(given, error)
        if unwrapped is not None:
            return read(shape, unwrapped)
        rows = _rows(error)
        problems = tuple(_problem(row, shape) for row in rows[:_TOLD])
        what = problems[0] if len(rows) == 1 else f"{len(rows)} arguments are not as they must be"
        raise ArgumentError(
            what,
            problems=problems,
            why="" if len(problems) == 1 else "; ".join(problems),
            next_step="Correct this and call again",
        ) from None


def refuse_shapeless(given: Mapping[str, Any]) -> None:
    """Nothing, or the refusal of what nobody could have meant: thousands of names, or lists in lists in lists."""
    if len(given) > _NAMES_MAX:
        raise ArgumentError(f"There are {len(given)} arguments", next_step="Give only those the tool's schema names")
    level: list[Any] = [given]
    for _ in range(_DEEPEST):
        level = [part for each in level for part in _inside(each)]
        if not level:
            return
    raise ArgumentError(
        f"The arguments are nested more than {_DEEPEST} deep",
        next_step="Write them out flat, as the tool's schema has them",
    )


def _inside(value: Any) -> Iterable[Any]:
    """The lists and objects in a list or an object."""
    parts: Iterable[Any] = cast("Mapping[str, Any]", value).values() if isinstance(value, Mapping) else value
    return [part for part in parts if isinstance(part, (Mapping, list))]


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
            except (ValueError, RecursionError):
                continue
            if isinstance(found, (list, dict)):
                opened[name] = found
    return {**given, **opened} if opened else None


def _rows(error: ValidationError) -> list[dict[str, Any]]:
    """Pydantic's findings without those about `null` and without the names of union members."""
    rows = cast("list[dict[str, Any]]", error.errors(include_url=False))
    return [{**row, "loc": _place(row)} for row in rows if row["type"] != "none_required"]


def _place(row: Mapping[str, Any]) -> tuple[str | int, ...]:
    # An unknown argument is called what the caller called it, and be it like a member of a union.
    where: tuple[str | int, ...] = row["loc"]
    return (*_path(where[:-1]), where[-1]) if row["type"] == "extra_forbidden" else _path(where)


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
    if kind in _LENGTHS and "max_length" in context:
        return f"{name} has {len(row['input'])} {_LENGTHS[kind]}, at most {context['max_length']} are taken"
    if kind == "value_error" and not where:
        return str(context["error"])
    if kind == "value_error":
        return f"{name}: {context['error']}"
    # Lengths and the like: the library's own words name the limit well enough.
    return f"{name}: {row['msg'][0].lower()}{row['msg'][1:]}"


def _unknown(where: tuple[str | int, ...], shape: type[BaseModel]) -> str:
    name = str(where[-1])[:_NAME_TOLD]
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
    node = _opened(schema, schema)
    for step in inside:
        named = node.get("properties", {})
        # A name that is the caller's own, as a member of a cast has it, stands for any.
        part = node["items"] if isinstance(step, int) else named.get(step) or node.get("additionalProperties")
        node = _opened(part, schema)
    return list(node.get("properties", ()))


def _opened(node: Any, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The shape a reference or a choice with null leads to."""
    if "anyOf" in node:
        node = next(part for part in node["anyOf"] if part != {"type": "null"})
    return schema["$defs"][node["$ref"].rpartition("/")[2]] if "$ref" in node else node


def _name(where: tuple[str | int, ...]) -> str:
    """`shots[0].duration`: a place as callers write it."""
    text = ""
    for step in where:
        told = f"[{step}]" if isinstance(step, int) else step if len(step) <= _NAME_TOLD else f"{step[:_NAME_TOLD]}…"
        text += f".{told}" if text and isinstance(step, str) else told
    return text or "the arguments"


def _shown(value: Any) -> str:
    if isinstance(value, str):
        value = value[: 2 * _NAME_TOLD]
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        # Python writes no number of more than 4,300 digits.
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else f"{text[:57]}…"
