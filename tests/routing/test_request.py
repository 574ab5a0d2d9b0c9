"""Arguments beat words, and the media decide what is made."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from support.labelled import read

from mcp_server import catalog
from mcp_server.domain.request import Shot, VideoRequest
from mcp_server.errors import ArgumentError, RequestError
from mcp_server.routing.request import request_from

IMAGE = "https://example.com/a.png"
END = "https://example.com/z.png"
VIDEO = "https://example.com/a.mp4"
VOICE = "https://example.com/a.mp3"


def request(words: str = "", **explicit: Any) -> tuple[VideoRequest, tuple[str, ...]]:
    return request_from(explicit, read(words, named=True) if words else None, catalog=catalog.load())


def test_words_alone_make_a_request() -> None:
    found, notes = request("kling 4k, vertical, ten seconds, with sound: a neon city")
    assert found == VideoRequest(
        tier="4k", aspect_ratio="9:16", duration=10, audio=True, prompt="a neon city", mode="text-to-video"
    )
    assert notes == ()


def test_arguments_beat_words_and_say_so() -> None:
    found, notes = request("kling 4k 10s with sound: fog", tier="pro", duration=5, audio=False, prompt="rain")
    assert (found.tier, found.duration, found.audio, found.prompt) == ("pro", 5, False, "rain")
    assert len(notes) == 4
    assert "the words say tier 4k; the argument decides: pro" in notes
    assert any("fog" in note for note in notes)


def test_arguments_that_agree_with_the_words_need_no_note() -> None:
    assert request("kling 4k 10s: fog", tier="4k", duration=10, prompt="fog")[1] == ()


@pytest.mark.parametrize(
    ("media", "mode"),
    [
        ({}, "text-to-video"),
        ({"image": IMAGE}, "image-to-video"),
        ({"image": IMAGE, "end_image": END}, "image-to-video"),
        ({"end_image": END}, "image-to-video"),
        ({"image": IMAGE, "video": VIDEO}, "motion-control"),
        ({"image": IMAGE, "audio_file": VOICE}, "avatar"),
        ({"video": VIDEO}, "video-edit"),
        ({"video": VIDEO, "references": [IMAGE]}, "video-edit"),
        ({"video": VIDEO, "audio_file": VOICE}, "lip-sync"),
        ({"references": [IMAGE]}, "reference-to-video"),
        ({"image": IMAGE, "references": [END]}, "image-to-video"),
        ({"source_task": "t"}, "extend"),
    ],
)
def test_the_media_decide_what_is_made(media: dict[str, Any], mode: str) -> None:
    assert request(prompt="fog", **media)[0].mode == mode


@pytest.mark.parametrize(
    ("words", "media", "mode"),
    [
        ("kling edit this video: fog", {"source_task": "t"}, "video-edit"),
        ("kling reference to video: fog", {"video": VIDEO, "references": [IMAGE]}, "reference-to-video"),
        ("kling motion control", {"image": IMAGE, "video": VIDEO}, "motion-control"),
        ("kling image to video: fog", {}, "image-to-video"),
    ],
)
def test_words_choose_among_what_the_media_allow(words: str, media: dict[str, Any], mode: str) -> None:
    found, notes = request(words, **media)
    assert (found.mode, notes) == (mode, ())


def test_words_that_the_media_contradict_are_overruled_with_a_note() -> None:
    found, notes = request("kling text to video: fog", image=IMAGE)
    assert found.mode == "image-to-video"
    assert notes == ("the words say text-to-video; with image it is image-to-video",)


def test_an_explicit_mode_beats_words_and_media() -> None:
    assert request("kling text to video: fog", image=IMAGE, mode="avatar")[0].mode == "avatar"


def test_a_model_that_can_do_one_thing_only_decides_the_mode() -> None:
    assert request(model="kling-lip-sync", prompt="fog")[0].mode == "lip-sync"


def test_an_open_contradiction_is_refused_with_the_argument_that_settles_it() -> None:
    with pytest.raises(RequestError) as refused:
        request("kling 4k pro: fog")
    assert "“4k” and “pro”" in str(refused.value)
    assert "`tier`" in refused.value.next_step
    assert refused.value.money == "not_spent"


def test_an_argument_settles_a_contradiction() -> None:
    found, notes = request("kling 4k pro: fog", tier="pro")
    assert found.tier == "pro"
    assert "the arguments decide" in notes[0]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("kling-3.0", {"model": "kling-3.0", "vendor_model": None}),
        ("Kling 3.0 Omni", {"model": "kling-o3"}),
        ("kling v3", {"model": "kling-3.0"}),
        ("kling-v3-pro-audio", {"model": "kling-3.0", "tier": "pro", "audio": True, "provider": "uniall"}),
        ("kling-v3-std-silent", {"tier": "standard", "audio": False, "vendor_model": "kling-v3-std-silent"}),
        ("o3-std-video-edit", {"model": "kling-o3", "mode": "video-edit", "provider": "kling3api"}),
        ("kling/kling-3.0/4k/text-to-video", {"tier": "4k", "mode": "text-to-video", "provider": "runcomfy"}),
    ],
)
def test_model_takes_any_name_and_any_vendors_id(name: str, fields: dict[str, Any]) -> None:
    found, _ = request(prompt="fog", model=name)
    assert {field: getattr(found, field) for field in fields} == fields


def test_an_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ArgumentError, match="kling-v3-pro-audio"):
        request(prompt="fog", model="kling-v3-pro-audo")


def test_a_vendors_id_and_an_argument_against_it_are_refused() -> None:
    with pytest.raises(RequestError, match="is tier pro, but `tier` says standard"):
        request(prompt="fog", model="kling-v3-pro-audio", tier="standard")


def test_an_argument_sets_an_id_of_the_words_aside() -> None:
    found, notes = request("kling-v3-pro-audio: fog", provider="runcomfy")
    assert (found.provider, found.vendor_model) == ("runcomfy", None)
    assert (found.model, found.tier, found.audio) == ("kling-3.0", "pro", True)
    assert any("set aside" in note for note in notes)


def test_another_model_takes_with_it_what_only_the_id_said() -> None:
    found, _ = request("kling-v3-pro-audio, 8s: fog", model="kling-o3")
    assert (found.model, found.provider, found.tier, found.audio, found.duration) == ("kling-o3", None, None, None, 8)


def test_4k_is_a_tier_also_as_a_resolution() -> None:
    found, _ = request("kling pro: fog", resolution="4k")
    assert (found.tier, found.resolution) == ("4k", None)


def test_an_argument_is_wanted_whatever_the_words_ruled_out() -> None:
    assert request("kling, not 4k: fog", tier="4k")[0].not_tiers == ()


def test_what_was_left_open_is_told() -> None:
    found, notes = request("kling HD, 5s: fog")
    assert (found.resolution, found.duration) == (None, 5)
    assert len(notes) == 1
    assert notes[0].startswith("“HD”: may mean 720p or 1080p")


def test_a_limit_in_other_money_is_settled_by_the_argument_in_dollars() -> None:
    with pytest.raises(RequestError, match="dollars"):
        request("kling under 5 euros: fog")
    assert request("kling under 5 euros: fog", max_cost_usd=5)[0].prompt == "fog"


def test_a_bare_scene_is_the_prompt() -> None:
    assert request("fog over a harbour", duration=8)[0] == VideoRequest(
        prompt="fog over a harbour", duration=8, mode="text-to-video"
    )


def test_values_arrive_in_the_types_of_a_request() -> None:
    found, _ = request(
        prompt="fog",
        cfg_scale=0.7,
        references=[IMAGE],
        shots=[{"prompt": "a", "duration": 2}, {"prompt": "b"}],
        max_cost_usd=3,
        output_dir="x",
        options={"a": 1},
    )
    assert found.cfg_scale == Decimal("0.7")
    assert found.references == (IMAGE,)
    assert found.shots == (Shot(prompt="a", duration=2), Shot(prompt="b"))
    assert found.options == {"a": 1}


def test_empty_arguments_are_not_given() -> None:
    assert request("kling 4k: fog", prompt="  ", references=[], tier=None)[0].prompt == "fog"
