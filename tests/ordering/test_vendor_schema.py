"""The last look before money moves: nothing is overwritten, nothing unknown goes out, and every refusal names the way in."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcp_server import catalog, places
from mcp_server.domain.request import VideoRequest
from mcp_server.errors import RequestError
from mcp_server.ordering import vendor_schema

CASES = Path(__file__).parents[1] / "cases"
SUBMITS = [
    path for path in sorted(CASES.glob("*/*.json")) if json.loads(path.read_text(encoding="utf-8"))["step"] == "submit"
]
TEXT = ("runcomfy", "3.0-standard-text-to-video")
BODY = {"prompt": "a cat", "duration": 5, "sound": False}
STEMS = sorted(
    (path.parent.name, path.stem)
    for path in places.schemas().glob("*/*.json")
    if path.parent.name not in ("tools", "cli") and "response" not in path.stem and path.stem != "error"
)


def refusal(body: Any, provider: str = TEXT[0], stem: str = TEXT[1]) -> RequestError:
    with pytest.raises(RequestError) as caught:
        vendor_schema.check_body(provider, stem, body)
    return caught.value


def test_native_options_are_laid_into_the_body_at_any_depth() -> None:
    body = {"model": "m", "metadata": {"output_config": {"duration": 5}}}

    merged = vendor_schema.merge_options(body, {"seed": 1, "metadata": {"ext_info": "x", "output_config": {"fps": 24}}})

    assert merged == {
        "model": "m",
        "seed": 1,
        "metadata": {"output_config": {"duration": 5, "fps": 24}, "ext_info": "x"},
    }


def test_the_body_itself_is_left_as_it_was() -> None:
    body = {"metadata": {"output_config": {"duration": 5}}}
    before = deepcopy(body)

    vendor_schema.merge_options(body, {"metadata": {"output_config": {"fps": 24}}})

    assert body == before


def test_an_option_never_overwrites_what_is_there_and_every_collision_names_our_argument() -> None:
    body = {"prompt": "a", "sound": False, "metadata": {"output_config": {"duration": 5}}}

    with pytest.raises(RequestError) as caught:
        vendor_schema.merge_options(
            body, {"sound": True, "metadata": {"output_config": {"duration": 10}}, "prompt": "a"}
        )

    assert caught.value.problems == (
        "`options.sound` is already set by this request: say it with the argument `audio`",
        "`options.metadata.output_config.duration` is already set by this request: say it with the argument `duration`",
        "`options.prompt` is already set by this request: say it with the argument `prompt`",
    )
    assert caught.value.money == "not_spent"


def test_an_object_is_not_overwritten_by_something_else() -> None:
    with pytest.raises(RequestError, match=r"options\.metadata"):
        vendor_schema.merge_options({"metadata": {"output_config": {}}}, {"metadata": 1})


@pytest.mark.parametrize("path", SUBMITS, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_whatever_an_adapter_sends_cannot_be_changed_through_options(path: Path) -> None:
    body = json.loads(path.read_text(encoding="utf-8"))["sends"]["json"]

    for field, option in leaves(body):
        with pytest.raises(RequestError) as caught:
            vendor_schema.merge_options(body, option)
        argument = vendor_schema.native_names().get(field)
        assert argument is None or f"`{argument}`" in str(caught.value)


def leaves(body: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Every field that holds a value, as an option that would overwrite it."""
    found: list[tuple[str, dict[str, Any]]] = []
    for name, value in body.items():
        if isinstance(value, dict) and value:
            found += [(leaf, {name: inner}) for leaf, inner in leaves(value)]
        else:
            found.append((name, {name: "another"}))
    return found


def test_our_arguments_in_refusals_are_arguments_we_have() -> None:
    assert set(vendor_schema.native_names().values()) <= set(VideoRequest.__dataclass_fields__)
    for facts in catalog.load().providers.values():
        every = [native for names in facts.field_names.values() for native in names]
        assert every and len(every) == len(set(every)), f"{facts.id}: one field, one argument"


def test_a_body_the_documents_allow_passes() -> None:
    vendor_schema.check_body(*TEXT, BODY)
    vendor_schema.check_body(*TEXT, {**BODY, "cfg_scale": Decimal("0.7")})


def test_every_problem_is_named_at_once_with_value_and_limit_and_document() -> None:
    error = refusal({"duration": 16, "aspect_ratio": "21:9", "cfg_scale": Decimal("1.5"), "sound": "yes"})

    assert error.problems == (
        "`prompt` must be given",
        '`aspect_ratio` is "21:9": allowed are "16:9", "9:16", "1:1"',
        "`cfg_scale` is 1.5: at most 1",
        "`duration` is 16: at most 15",
        '`sound` is "yes": it must be of type boolean',
    )
    assert (
        error.details["document"]
        == "RunComfy catalog of 2026-09-23 (comfyui-runcomfy-partner-nodes models.json @ e3c117ef)"
    )
    assert "RunComfy catalog of 2026-09-23" in str(error)
    assert error.money == "not_spent"
    assert error.exit_code == 65


@pytest.mark.parametrize(
    ("field", "hint"),
    [
        ("shot_typ", "; did you mean `shot_type`?"),
        ("generate_audio", ": say it with the argument `audio`"),
        ("seed", "; there are aspect_ratio, cfg_scale, duration"),
        ("watermark_position_x", "; there are aspect_ratio, cfg_scale, duration"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_way_in(field: str, hint: str) -> None:
    problem = refusal({**BODY, field: 1}).problems[0]

    assert problem.startswith(f"`{field}` is not a field of this vendor{hint}")


def test_a_broken_condition_says_why() -> None:
    pictures = [f"https://example.com/{n}.png" for n in range(5)]
    body = {"prompt": "p", "images": pictures, "video": "https://example.com/a.mp4"}

    problem = refusal(body, "runcomfy", "o3-pro-reference-to-video").problems[0]

    assert problem.startswith('`images` is ["https://example.com/0.png", ')
    assert problem.endswith(": at most 4 entries (With a clip, at most four pictures)")


def test_a_long_value_is_cut() -> None:
    problem = refusal({**BODY, "aspect_ratio": "x" * 5_000}).problems[0]

    assert len(problem) < 200


@pytest.mark.parametrize(
    ("schema", "body", "problem"),
    [
        ({"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, "exactly one of `a` and `b` must be given"),
        ({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, {}, "at least one of `a` and `b` must be given"),
        ({"not": {"required": ["a", "b"]}}, {"a": 1, "b": 1}, "`a` and `b`: this may not be given here"),
        ({"properties": {"a": False}}, {"a": 1}, "`a` may not be given here"),
        ({"dependentRequired": {"a": ["b"]}}, {"a": 1}, "`b` must be given here"),
        ({"properties": {"a": {"const": "auto"}}}, {"a": 1}, '`a` is 1: it must be "auto" here'),
        (
            {"properties": {"a": {"type": ["integer", "null"]}}},
            {"a": "x"},
            '`a` is "x": it must be of type integer or null',
        ),
        (
            {"properties": {"a": {"items": {"minLength": 2}}}},
            {"a": ["xx", "x"]},
            '`a[1]` is "x": at least 2 characters',
        ),
        ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 1]}, "`a` is [1, 1]: [1, 1] has non-unique elements"),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "object", "required": ["b"]}]}}},
            {"a": {}},
            "`a` is {}: it must be of type string",
        ),
        ({"oneOf": [{}, {}]}, {}, "`the order` is {}: it fits more than one of the alternatives"),
        (
            {"allOf": [{"$comment": "edits keep the shape", "if": {"required": ["v"]}, "then": {"required": ["r"]}}]},
            {"v": 1},
            "`r` must be given (edits keep the shape)",
        ),
        (
            {"$defs": {"n": {"maximum": 3}}, "allOf": [{"properties": {"a": {"$ref": "#/$defs/n"}}}]},
            {"a": 4},
            "`a` is 4: at most 3",
        ),
    ],
)
def test_every_kind_of_rule_reads_as_a_sentence(
    schema: dict[str, Any], body: dict[str, Any], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "s.json").write_text(json.dumps({"x-source": "a page", **schema}), encoding="utf-8")
    monkeypatch.setattr(places, "schemas", lambda: tmp_path)
    vendor_schema._validator.cache_clear()

    found = refusal(body, "v", "s").problems

    vendor_schema._validator.cache_clear()
    assert found == (problem,)


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("1e999"), float("inf"), float("nan")])
def test_a_number_json_cannot_carry_is_refused(number: object) -> None:
    assert "finite" in str(refusal({**BODY, "cfg_scale": number}))


def test_options_nested_without_end_are_refused() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}

    assert "nested" in str(refusal({**BODY, "multi_prompt": [deep]}))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.decimals(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(data=st.data(), where=st.sampled_from(STEMS))
def test_no_json_in_any_option_does_anything_but_pass_or_be_refused(
    data: st.DataObject, where: tuple[str, str]
) -> None:
    schema = json.loads((places.schemas() / where[0] / f"{where[1]}.json").read_text(encoding="utf-8"))
    names = st.sampled_from(sorted(schema.get("properties", {"x": 1}))) | st.text(max_size=12)
    options = data.draw(st.dictionaries(names, JSON, max_size=5))
    try:
        vendor_schema.check_body(*where, vendor_schema.merge_options({"prompt": "p"}, options))
    except RequestError as error:
        assert error.problems or error.what
        assert str(error)


def test_the_schema_library_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, mcp_server.ordering.vendor_schema; sys.exit('jsonschema' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
