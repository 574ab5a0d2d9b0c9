"""The caller's native fields, laid into an order without replacing anything the order says itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp_server.errors import RequestError


def merged(body: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The body with the options in it, objects merged into objects; refuses every option that contradicts the body."""
    clashes: list[str] = []
    whole = _laid_in(body, options, "options", clashes)
    if clashes:
        raise RequestError(
            "An option would replace what is ordered",
            problems=tuple(clashes),
            why="; ".join(clashes),
            next_step="Leave it out of `options`, and say it by the argument of its own",
        )
    return whole


def _laid_in(body: Mapping[str, Any], extra: Mapping[str, Any], where: str, clashes: list[str]) -> dict[str, Any]:
    whole = dict(body)
    for name, value in extra.items():
        path = f"{where}.{name}"
        present = whole.get(name)
        if name not in whole:
            whole[name] = value
        elif isinstance(present, Mapping) and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", present)
            whole[name] = _laid_in(inner, cast("Mapping[str, Any]", value), path, clashes)
        elif present != value or isinstance(present, bool) is not isinstance(value, bool):
            clashes.append(f"{path} is {value!r}, the order says {present!r}")
    return whole
