"""What a model takes, out of the OpenAPI document a vendor gives for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from mcp_server.providers.reading import mapping

_DEPTH: Final = 12
"""A document that refers to itself without an end is followed so far."""


def taken(document: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The input's schema, references resolved: the one called Input, else what is posted, else one called …Input."""
    schemas = mapping(mapping(document.get("components")).get("schemas"))
    posted = _posted(document)
    named = next((schema for name, schema in schemas.items() if name.endswith("Input")), None)
    found = schemas.get("Input") or posted or named
    return mapping(_resolved(found, document, _DEPTH)) or None


def _posted(document: Mapping[str, Any]) -> Any:
    for path in mapping(document.get("paths")).values():
        content = mapping(mapping(mapping(mapping(path).get("post")).get("requestBody")).get("content"))
        if schema := mapping(content.get("application/json")).get("schema"):
            return schema
    return None


def _resolved(node: Any, document: Mapping[str, Any], depth: int) -> Any:
    if isinstance(node, list):
        return [_resolved(part, document, depth - 1) for part in cast("list[Any]", node)] if depth > 0 else []
    if not isinstance(node, dict):
        return node
    found = cast("dict[str, Any]", node)
    if depth <= 0:
        return {}
    reference, several = found.get("$ref"), found.get("allOf")
    parts = [_at(document, reference)] if isinstance(reference, str) else []
    # One thing described in pieces, as pydantic writes an enum with a default.
    parts += cast("list[Any]", several) if isinstance(several, list) else []
    made: dict[str, Any] = {}
    for part in parts:
        made |= mapping(_resolved(part, document, depth - 1))
    own = {name: part for name, part in found.items() if name not in ("$ref", "allOf")}
    return made | {name: _resolved(part, document, depth - 1) for name, part in own.items()}


def _at(document: Mapping[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = mapping(found).get(part)
    return found
