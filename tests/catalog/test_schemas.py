"""The vendors' rules as JSON Schema: each file is one, says where it comes from, and accepts and refuses what it should.

An example is `tests/examples/<provider>/<schema stem>/{valid,invalid}/<name>.json`: {"source", "why", "body"}.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mcp_server import catalog, places
from mcp_server.catalog import REGISTRY

EXAMPLES = Path(__file__).parents[1] / "examples"
SCHEMAS = sorted(path for name in REGISTRY for path in (places.schemas() / name).glob("*.json"))
BODIES = sorted(EXAMPLES.glob("*/*/*/*.json"))
DIALECT = "https://json-schema.org/draft/2020-12/schema"


@cache
def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def label(path: Path) -> str:
    return "/".join(path.with_suffix("").parts[-4:] if EXAMPLES in path.parents else path.with_suffix("").parts[-2:])


@pytest.mark.parametrize("path", SCHEMAS, ids=label)
def test_a_schema_is_valid_and_says_where_it_comes_from(path: Path) -> None:
    schema = read(path)

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == DIALECT
    assert schema["$id"] == f"urn:kling-video:{path.parent.name}:{path.stem}"
    assert schema["title"].strip()
    assert schema["x-source"].strip()
    assert date.fromisoformat(schema["x-checked"]) <= date.today()


@pytest.mark.parametrize("path", SCHEMAS, ids=label)
def test_every_field_says_what_it_is(path: Path) -> None:
    mute = [where for where, field in fields(read(path)) if not says(field)]

    assert mute == []


def fields(schema: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every declared property, but not those of conditions, which only refer to one declared elsewhere."""
    if not isinstance(schema, dict):
        return
    for name, field in schema.get("properties", {}).items():
        yield f"{where}/{name}", field
        yield from fields(field, f"{where}/{name}")
    for key in ("items", "additionalProperties"):
        yield from fields(schema.get(key), f"{where}/{key}")
    for name, part in schema.get("$defs", {}).items():
        yield from fields(part, f"{where}/$defs/{name}")


def says(field: Any) -> bool:
    return isinstance(field, dict) and ("$ref" in field or bool(str(field.get("description", "")).strip()))


@pytest.mark.parametrize("path", BODIES, ids=label)
def test_an_example_is_accepted_or_refused_as_it_says(path: Path) -> None:
    example = read(path)
    provider, stem, verdict = path.parts[-4:-1]
    schema = read(places.schemas() / provider / f"{stem}.json")

    problems = [error.message for error in Draft202012Validator(schema).iter_errors(example["body"])]

    assert example["source"].strip()
    assert example["why"].strip()
    assert verdict in {"valid", "invalid"}
    assert (problems == []) is (verdict == "valid"), problems or "the schema refuses nothing here"


@pytest.mark.parametrize("provider", REGISTRY)
def test_every_offer_names_a_schema_that_exists_and_has_examples_of_both_kinds(provider: str) -> None:
    offers = [offer for offer in catalog.load().offers if offer.provider == provider]
    there = {path.stem for path in SCHEMAS if path.parent.name == provider}
    # What is only listed may have no schema: not knowing its fields is why it is not sold.
    named = {offer.schema for offer in offers if offer.schema or not offer.not_sold_because}

    assert offers
    assert named <= there
    for offer in offers:
        if offer.not_sold_because:
            continue
        for verdict in ("valid", "invalid"):
            assert list((EXAMPLES / provider / offer.schema / verdict).glob("*.json")), (offer.schema, verdict)


@pytest.mark.parametrize("provider", REGISTRY)
def test_an_order_takes_no_field_the_vendor_does_not_have(provider: str) -> None:
    stems = {offer.schema for offer in catalog.load().offers if offer.provider == provider and offer.schema}

    for stem in sorted(stems):
        schema = read(places.schemas() / provider / f"{stem}.json")
        closed = schema.get("additionalProperties") is False or schema.get("unevaluatedProperties") is False
        assert closed or schema.get("x-open"), (
            f"{provider}/{stem}: closed, or `x-open` says why the list is not complete"
        )
