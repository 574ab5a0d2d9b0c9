"""The last look before money moves: the caller's native fields go into the body, and the vendor's schema holds it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from difflib import get_close_matches
from functools import cache
from typing import TYPE_CHECKING, Any, Final, cast

from mcp_server import catalog, places
from mcp_server.errors import RequestError

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

    from mcp_server.domain.catalog import Offer

_HARMLESS: Final = frozenset({"prompt", "negative_prompt", "aspect_ratio", "cfg_scale", "shots"})
"""Arguments that decide neither the route nor the price; said as a native field, all others would pass both by."""
_SHOWN = 60
_CONDITIONAL = frozenset({"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"})
_BOUNDS: Final[Mapping[str, str]] = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "multipleOf": "a multiple of {}",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
    "pattern": "text of the form {}",
}


def check_options(body: Mapping[str, Any], options: Mapping[str, Any], offer: Offer) -> None:
    """Nothing, or a RequestError when `options` say what an argument says, past its checks and its price."""
    wanted = {*offer.requires_options, *(name.removeprefix("options.") for rule in offer.rules for name in rule.when)}
    listed = "shots" in offer.takes and not offer.shots_in_prompt
    harmless = _HARMLESS - ({"shots"} if listed else frozenset[str]())
    arguments = native_names(offer.provider)
    found = tuple(
        f"`options.{path}` decides what is made and billed{_instead(path.rpartition('.')[2])}"
        for path in _laid(body, options, "")
        if path not in wanted and arguments.get(path.rpartition(".")[2], "prompt") not in harmless
    )
    if found:
        raise RequestError(
            "`options` may only add what no argument says",
            problems=found,
            why="; ".join(found),
            next_step="Take these out of `options`",
        )


def _laid(body: Mapping[str, Any], options: Mapping[str, Any], where: str) -> Iterator[str]:
    """Paths of the fields that `options` add, at every depth at which the body has fields of its own."""
    for name, value in options.items():
        path, there = f"{where}.{name}" if where else name, body.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            yield from _laid(cast("dict[str, Any]", there), cast("dict[str, Any]", value), path)
        elif name not in body:
            yield path


def merge_options(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the caller's native fields laid into it; a field that is there already is never overwritten."""
    taken: list[str] = []
    merged = _merged(body, options, "", taken)
    if taken:
        raise RequestError(
            "`options` may only add fields",
            problems=tuple(taken),
            why="; ".join(taken),
            next_step="Take these out of `options`",
        )
    return merged


def check_body(provider: str, stem: str, body: Any) -> None:
    """Nothing, when the vendor's documents allow this body; else one RequestError with every problem in it."""
    validator = _validator(provider, stem)
    errors = cast("Iterable[ValidationError]", validator.iter_errors(_plain(body)))  # type: ignore[reportUnknownMemberType]
    problems = tuple(dict.fromkeys(_problem(error, validator) for error in sorted(errors, key=_place)))
    if not problems:
        return
    source = cast("Mapping[str, Any]", validator.schema)["x-source"]
    raise RequestError(
        f"{provider} does not take this order",
        problems=problems,
        why="; ".join(problems),
        next_step=f"Change what is named here; the rules are from {source}",
        details={"provider": provider, "schema": f"{provider}/{stem}", "document": source},
    )


def _merged(body: Mapping[str, Any], options: Mapping[str, Any], where: str, taken: list[str]) -> dict[str, Any]:
    out = dict(body)
    for name, value in options.items():
        path = f"{where}.{name}" if where else name
        there = body.get(name)
        if name not in body:
            out[name] = value
        elif isinstance(there, dict) and isinstance(value, dict):
            out[name] = _merged(cast("dict[str, Any]", there), cast("dict[str, Any]", value), path, taken)
        else:
            taken.append(f"`options.{path}` is already set by this request{_instead(name)}")
    return out


@cache
def native_names(provider: str = "") -> Mapping[str, str]:
    """A native field → our argument for it: as this provider means it, else as any other does."""
    providers = catalog.load().providers
    own = [providers[provider]] if provider in providers else []
    return {
        native: argument
        for facts in (*providers.values(), *own)
        for argument, names in facts.field_names.items()
        for native in names
    }


def _instead(field: str) -> str:
    argument = native_names().get(field)
    return f": say it with the argument `{argument}`" if argument else ""


def load() -> type[Draft202012Validator]:
    """What checks, imported: it takes a tenth of a second, and a server that only lists models never needs it."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator


@cache
def _validator(provider: str, stem: str) -> Draft202012Validator:
    return load()(_spelt_out(schema_of(provider, stem)))


def schema_of(provider: str, stem: str) -> Mapping[str, Any]:
    """The schema as its file has it."""
    path = places.schemas() / provider / f"{stem}.json"
    return _object(json.loads(path.read_text(encoding="utf-8")))


def _spelt_out(schema: Any) -> Any:
    """The schema with `"field": false` as `{"not": {}}`: of the former, jsonschema does not say where it stands."""
    if isinstance(schema, list):
        return [_spelt_out(part) for part in cast("list[Any]", schema)]
    found = {name: _spelt_out(part) for name, part in _object(schema).items()}
    if isinstance(found.get("properties"), dict):
        found["properties"] = {
            name: {"not": {}} if part is False else part for name, part in found["properties"].items()
        }
    return found or schema


def _plain(value: Any) -> Any:
    """The body in JSON's own types; RequestError when JSON cannot carry it."""
    try:
        return _plain_part(value)
    except RecursionError:
        raise RequestError("`options` are nested too deeply", next_step="Flatten them") from None


def _plain_part(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain_part(part) for name, part in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [_plain_part(part) for part in cast("list[Any]", value)]
    if isinstance(value, (Decimal, float)):
        found = math.nan if isinstance(value, Decimal) and not value.is_finite() else float(value)
        if not math.isfinite(found):
            raise RequestError(f"{value} is no number that JSON can carry", next_step="Give a finite number")
        return found
    return value


def _problem(error: ValidationError, validator: Draft202012Validator) -> str:
    """One sentence: which field, its value, what is allowed, and why where the schema says."""
    return f"{_found(error)}{_why(error, validator.schema)}"


def _found(error: ValidationError) -> str:
    say = _SENTENCES.get(str(error.validator), _out_of_bounds)
    return say(error, cast("Any", error.validator_value), _place(error))


def _required(error: ValidationError, wanted: Any, where: str) -> str:
    given = _object(error.instance)
    return f"{_list(where, [name for name in wanted if name not in given])} must be given"


def _required_with(error: ValidationError, wanted: Any, where: str) -> str:
    given = _object(error.instance)
    missing = [need for name, needs in wanted.items() if name in given for need in needs if need not in given]
    return f"{_list(where, missing)} must be given here"


def _of_another_type(error: ValidationError, wanted: Any, where: str) -> str:
    kinds = wanted if isinstance(wanted, str) else " or ".join(wanted)
    return f"{_shown(error, where)}: it must be of type {kinds}"


def _excluded(error: ValidationError, wanted: Any, where: str) -> str:
    if not wanted:
        return f"`{where}` may not be given here"
    names = _list(where, _object(wanted).get("required") or ())
    return f"{names or _shown(error, where)}: this may not be given here"


def _out_of_bounds(error: ValidationError, wanted: Any, where: str) -> str:
    bound = _BOUNDS.get(str(error.validator))
    return f"{_shown(error, where)}: {bound.format(wanted) if bound else error.message[:200]}"


def _strangers(error: ValidationError, _: Any, where: str) -> str:
    return "; ".join(_each_stranger(error, where))


def _each_stranger(error: ValidationError, where: str) -> Iterator[str]:
    """Fields the vendor does not have, each with our argument for it or the nearest one it has."""
    known = sorted(_object(_object(error.schema).get("properties")))
    for name in _object(error.instance):
        if name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=0.6)
        hint = _instead(name) or (f"; did you mean `{_under(where, near[0])}`?" if near else "")
        if not hint and known:
            hint = f"; there are {', '.join(known)}"
        yield f"`{_under(where, name)}` is not a field of this vendor{hint}"


def _alternatives(error: ValidationError, _: Any, where: str) -> str:
    """Either which fields one is to choose from, or what the alternative that fits best still wants."""
    branches = [_object(branch) for branch in cast("list[Any]", error.validator_value)]
    if all(list(branch) == ["required"] and len(branch["required"]) == 1 for branch in branches):
        count = "exactly one" if error.validator == "oneOf" else "at least one"
        return f"{count} of {_list(where, [branch['required'][0] for branch in branches])} must be given"
    by_branch: dict[Any, list[ValidationError]] = {}
    for part in error.context or ():
        by_branch.setdefault(part.schema_path[0], []).append(part)
    if not by_branch:
        return f"{_shown(error, where)}: it fits more than one of the alternatives"
    return "; ".join(_found(part) for part in min(by_branch.values(), key=len))


_SENTENCES: Final[Mapping[str, Callable[[ValidationError, Any, str], str]]] = {
    "required": _required,
    "dependentRequired": _required_with,
    "additionalProperties": _strangers,
    "unevaluatedProperties": _strangers,
    "enum": lambda error, wanted, where: f"{_shown(error, where)}: allowed are {', '.join(map(_short, wanted))}",
    "const": lambda error, wanted, where: f"{_shown(error, where)}: it must be {_short(wanted)} here",
    "type": _of_another_type,
    "anyOf": _alternatives,
    "oneOf": _alternatives,
    "not": _excluded,
}
"""What is said of a broken rule, by its JSON Schema keyword."""


def _why(error: ValidationError, schema: Any) -> str:
    """What the schema says beside the condition that was broken, the innermost remark first."""
    remark, inside, node = "", False, schema
    for step in error.absolute_schema_path:
        inside = inside or step in _CONDITIONAL
        if isinstance(node, list) and isinstance(step, int):
            node = cast("list[Any]", node)[step]
        else:
            node = _object(node).get(str(step))
        if inside:
            beside = _object(node)
            remark = str(beside.get("$comment") or beside.get("description") or remark)
    return f" ({remark.strip().rstrip('.')})" if remark else ""


def _object(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _place(error: ValidationError) -> str:
    """`metadata.output_config.duration`, `multi_prompt[0].prompt`."""
    where = ""
    for step in error.absolute_path:
        where = f"{where}[{step}]" if isinstance(step, int) else _under(where, str(step))
    return where


def _under(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _list(where: str, names: Iterable[str]) -> str:
    return " and ".join(f"`{_under(where, name)}`" for name in names)


def _shown(error: ValidationError, where: str) -> str:
    return f"`{where or 'the order'}` is {_short(error.instance)}"


def _short(value: Any) -> str:
    """The value as JSON, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
