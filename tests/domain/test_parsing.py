"""What a caller sends becomes a strict shape, or one refusal that names the way out."""

from __future__ import annotations

import pytest

from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.errors import ArgumentError
from mcp_server.server.tools.arguments import CancelTaskArguments, GetTaskArguments


@pytest.mark.parametrize(
    ("shape", "given", "sentence"),
    [
        (VideoArguments, {"durration": 5}, "Unknown argument durration; the nearest known one is duration."),
        (VideoArguments, {"aspect-ratio": "1:1"}, "the nearest known one is aspect_ratio."),
        (VideoArguments, {"seed": 7}, "Unknown argument seed; no Kling vendor takes one"),
        (VideoArguments, {"tier": "ultra"}, "tier must be 'standard', 'pro' or '4k', not \"ultra\"."),
        (VideoArguments, {"duration": "5"}, 'duration must be a whole number, not "5".'),
        (VideoArguments, {"duration": 0}, "duration must be at least 1, not 0."),
        (VideoArguments, {"cfg_scale": 3}, "cfg_scale must be at most 1, not 3."),
        (VideoArguments, {"audio": "yes"}, 'audio must be true or false, not "yes".'),
        (VideoArguments, {"prompt": 7}, "prompt must be text, not 7."),
        (
            VideoArguments,
            {"shots": [{"prompt": "a", "durtion": 4}]},
            "shots[0].durtion; the nearest known one is duration.",
        ),
        (VideoArguments, {"shots": [{"duration": 4}]}, "shots[0].prompt is missing."),
        (VideoArguments, {"shots": [1]}, "shots[0] must be an object, not 1."),
        (VideoArguments, {"references": "a.png"}, 'references must be a list, not "a.png".'),
        (VideoArguments, {"idempotency_key": ""}, "idempotency_key: string should have at least 1 character."),
        (CancelTaskArguments, {}, "task_id is missing."),
        (GetTaskArguments, {}, "Give either task_id or task_ids."),
        (GetTaskArguments, {"task_id": "a", "task_ids": ["b"]}, "Give either task_id or task_ids."),
        (GetTaskArguments, {"task_id": "a", "wait_s": 90}, "wait_s must be at most 25, not 90."),
    ],
)
def test_a_wrong_argument_is_refused_in_our_words(shape: type, given: dict, sentence: str) -> None:
    with pytest.raises(ArgumentError) as refused:
        read(shape, given)

    assert sentence in str(refused.value)
    assert str(refused.value).endswith("Nothing was charged.")
    assert "pydantic" not in str(refused.value)
    assert len(refused.value.problems) == 1


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ArgumentError) as refused:
        read(VideoArguments, {"tier": "ultra", "duration": "5", "colour": "red"})

    assert len(refused.value.problems) == 3
    assert all(name in str(refused.value) for name in ("tier", "duration", "colour"))


def test_lists_and_objects_may_come_as_json_text() -> None:
    read_back = read(VideoArguments, {"shots": '[{"prompt": "a", "duration": 4}]', "options": '{"seed": 1}'})

    assert read_back.given() == {"shots": [{"prompt": "a", "duration": 4}], "options": {"seed": 1}}


def test_text_that_looks_like_json_stays_text() -> None:
    assert read(VideoArguments, {"prompt": '["neon", "rain"]', "request": "[wide] kling"}).given() == {
        "prompt": '["neon", "rain"]',
        "request": "[wide] kling",
    }


def test_null_means_not_given() -> None:
    assert read(VideoArguments, {"prompt": "a", "tier": None}).given() == {"prompt": "a"}
