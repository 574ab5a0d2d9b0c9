"""The published input schemas and the shapes behind the tools say the same about what a caller sends.

Two differences are meant. `null` is an argument that was not given, which no schema says because `anyOf null` confuses
clients. And that get_task takes either one id or several is said in words only, for the same reason.
"""

# pyright: basic
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from mcp_server import places
from mcp_server.server.tools import arguments

VALIDATORS: dict[str, Any] = {
    name: Draft202012Validator(
        json.loads((places.schemas() / "tools" / f"{name}.input.json").read_text(encoding="utf-8"))
    )
    for name in arguments.ARGUMENTS
}
EXAMPLES: list[tuple[str, dict[str, Any], bool]] = [
    ("generate_video", {}, True),
    ("generate_video", {"request": "kling 4k, vertical, 10s with sound: a neon city"}, True),
    ("generate_video", {"prompt": "x", "duration": 5, "tier": "4k", "audio": True, "cfg_scale": 0.5}, True),
    ("generate_video", {"prompt": "x", "duration": 5.0, "cfg_scale": 1}, True),
    ("generate_video", {"shots": [{"prompt": "a", "duration": 4}, {"prompt": "b"}]}, True),
    ("generate_video", {"options": {"any": [{"thing": None}]}, "references": []}, True),
    ("generate_video", {"prompt": "x", "duration": 5.5}, False),
    ("generate_video", {"prompt": "x", "duration": 0}, False),
    ("generate_video", {"prompt": "x", "duration": 601}, False),
    ("generate_video", {"prompt": "x", "duration": True}, False),
    ("generate_video", {"prompt": "x", "duration": "5"}, False),
    ("generate_video", {"durration": 5}, False),
    ("generate_video", {"prompt": "x", "seed": 7}, False),
    ("generate_video", {"tier": "PRO"}, False),
    ("generate_video", {"audio": 1}, False),
    ("generate_video", {"cfg_scale": 1.01}, False),
    ("generate_video", {"cfg_scale": False}, False),
    ("generate_video", {"max_cost_usd": -0.01}, False),
    ("generate_video", {"idempotency_key": ""}, False),
    ("generate_video", {"references": "https://example.com/a.png"}, False),
    ("generate_video", {"references": [1]}, False),
    ("generate_video", {"shots": [{"duration": 4}]}, False),
    ("generate_video", {"shots": [{"prompt": ""}]}, False),
    ("generate_video", {"shots": [{"prompt": "a", "seconds": 4}]}, False),
    ("generate_video", {"options": []}, False),
    ("estimate_cost", {"prompt": "x", "resolution": "4k"}, True),
    ("estimate_cost", {"prompt": "x", "resolution": "4K"}, False),
    ("get_task", {"task_id": "kv-1", "wait_s": 25}, True),
    ("get_task", {"task_ids": ["a", "b"], "until": "any"}, True),
    ("get_task", {"task_id": "kv-1", "wait_s": 25.5}, False),
    ("get_task", {"task_ids": []}, False),
    ("get_task", {"task_id": "kv-1", "until": "some"}, False),
    ("cancel_task", {"task_id": "kv-1", "stop_following": True}, True),
    ("cancel_task", {}, False),
    ("list_tasks", {"state": "unfinished", "limit": 100}, True),
    ("list_tasks", {"limit": 101}, False),
    ("list_tasks", {"state": "done"}, False),
    ("list_models", {"tier": "pro", "detail": True}, True),
    ("list_models", {"detail": "yes"}, False),
]


def by_shape(tool: str, given_: Any) -> bool:
    try:
        arguments.ARGUMENTS[tool].model_validate(given_)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("tool", "sent", "fits"), EXAMPLES, ids=[f"{row[0]}-{row[1]}"[:60] for row in EXAMPLES])
def test_an_example_is_read_alike_by_schema_and_shape(tool: str, sent: dict[str, Any], fits: bool) -> None:
    assert VALIDATORS[tool].is_valid(sent) is fits
    assert by_shape(tool, sent) is fits


leaves = (
    st.booleans()
    | st.integers(-3, 700)
    | st.integers()
    | st.floats(-1, 30, allow_nan=False)
    | st.sampled_from(["standard", "4k", "pro", "720p", "text-to-video", "any", "all", "unfinished", "5", ""])
    | st.text(max_size=3)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["prompt", "duration", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.mark.parametrize("tool", list(arguments.ARGUMENTS))
@settings(max_examples=200)
@given(data=st.data())
def test_any_json_in_any_argument_is_read_alike(tool: str, data: st.DataObject) -> None:
    names = [*VALIDATORS[tool].schema["properties"], "unknown"]
    sent = data.draw(st.dictionaries(st.sampled_from(names), values, max_size=4))
    if tool == "get_task" and ("task_id" in sent) is ("task_ids" in sent):
        assert not by_shape(tool, sent)
        return

    assert VALIDATORS[tool].is_valid(sent) is by_shape(tool, sent), sent


def test_null_is_an_argument_that_was_not_given() -> None:
    sent = dict.fromkeys(VALIDATORS["generate_video"].schema["properties"])

    assert arguments.VideoArguments.model_validate(sent).given() == {}
