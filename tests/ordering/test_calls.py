"""Whole calls as agents make them, with what has to be ordered: no wish is lost in silence, none is made up.

`calls.jsonl` was written blind, by somebody who knew the tool's description and nothing of its rules. Before anything
was changed for it, 313 of its 400 calls were right and 4 bought another clip without a word; the rules that were added
then are held here, and strangers' calls will do worse than this.
"""

from __future__ import annotations

from collections import Counter

import pytest
from support.calls import CALLS, is_right, is_silently_wrong, is_warned_of, outcome, plain_scenes, plan

from mcp_server.errors import KlingError
from mcp_server.ordering.plan import Plan


def test_the_calls_are_many_in_every_language_and_of_every_class() -> None:
    assert len(CALLS) == 400
    assert min(Counter(call["lang"] for call in CALLS).values()) >= 45
    assert {call["class"] for call in CALLS} == {
        "bare", "prompt_order", "prompt_scene", "correction", "address", "version", "price", "rival", "contradiction"
    }  # fmt: skip


def test_nine_of_ten_calls_are_right_in_every_field_and_in_the_scene() -> None:
    missed = [call["args"] for call in CALLS if not is_right(call, outcome(call))]
    assert len(missed) <= len(CALLS) * 0.08, missed


def test_hardly_a_call_buys_another_clip_without_a_warning() -> None:
    silent = [call["args"] for call in CALLS if is_silently_wrong(call, outcome(call))]
    assert len(silent) <= len(CALLS) * 0.01, silent


def test_no_price_question_is_bought_and_hardly_a_contradiction() -> None:
    held = [call for call in CALLS if call["want"].get("refused")]
    bought = [call["args"] for call in held if outcome(call).ordered]
    assert len(bought) <= 3, bought


def test_plain_scenes_are_neither_ordered_otherwise_nor_warned_of() -> None:
    scenes = plain_scenes("second_half")
    warned = [scene for scene in scenes if is_warned_of(scene)]
    assert len(scenes) > 400
    assert len(warned) <= len(scenes) * 0.01, warned


def said(made: Plan, field: str) -> bool:
    return any(f"set `{field}`" in warning for warning in made.warnings)


def test_words_need_not_name_kling_because_the_tool_is_named() -> None:
    assert plan(request="make it 4k", prompt="a harbour").offer.tier == "4k"
    assert plan(request="a harbour, 4k").offer.tier == "4k"
    assert plan(request="a harbour at dawn, vertical").checked.aspect_ratio == "9:16"
    assert plan(request="a 14 sec fox video").checked.duration == 14


def test_an_order_pasted_as_the_prompt_is_taken_out_of_the_scene() -> None:
    made = plan(prompt="kling 4k, vertical, ten seconds, with sound: a neon city")
    checked = made.checked
    assert (made.offer.tier, checked.aspect_ratio, checked.duration, checked.audio) == ("4k", "9:16", 10, True)
    assert checked.prompt == "a neon city"
    assert any(warning.startswith("taken from `prompt`") for warning in made.warnings)


def test_a_prompt_gives_its_measures_and_names_the_rest() -> None:
    made = plan(prompt="a fox runs, 9:16, 10s, 4k")
    assert (made.checked.aspect_ratio, made.checked.duration, made.offer.tier) == ("9:16", 10, "standard")
    assert made.checked.prompt == "a fox runs, 4k"
    assert said(made, "tier")


def test_beside_a_request_a_scene_is_left_as_it_is_and_what_differs_is_named() -> None:
    made = plan(request="make it pro", prompt="a fox runs, 10 seconds")
    assert (made.offer.tier, made.checked.duration, made.checked.prompt) == ("pro", 5, "a fox runs, 10 seconds")
    assert said(made, "duration")


def test_the_request_decides_where_the_prompt_orders_something_else() -> None:
    made = plan(request="pro", prompt="kling 4k, vertical: a fox")
    assert (made.offer.tier, made.checked.aspect_ratio, made.checked.prompt) == ("pro", "9:16", "a fox")
    assert any("`request` decides" in warning for warning in made.warnings)


def test_an_argument_beats_words_wherever_they_stand() -> None:
    made = plan(prompt="kling 4k: a fox", tier="pro")
    assert (made.offer.tier, made.checked.prompt) == ("pro", "a fox")


def test_an_address_is_the_picture_and_what_follows_it_is_read() -> None:
    made = plan(request="kling animate https://example.com/cat.png, 12s, pro, she yawns")
    assert (made.offer.mode, made.offer.tier, made.checked.duration) == ("image-to-video", "pro", 12)
    assert (made.request.image, made.checked.prompt) == ("https://example.com/cat.png", "she yawns")


@pytest.mark.parametrize(
    ("words", "field", "place"),
    [
        ("edit this clip https://example.com/a.mp4: make it snow", "video", "https://example.com/a.mp4"),
        ("use the photo https://example.com/photo?id=7: she waves", "image", "https://example.com/photo?id=7"),
        ('kling: "my cat.png" stretches and yawns', "image", "my cat.png"),
        ("用 https://example.com/a.jpg 做视频，猫伸懒腰", "image", "https://example.com/a.jpg"),
        ("animiere ./bilder/katze.jpg, sie gähnt, 10 Sekunden", "image", "./bilder/katze.jpg"),
    ],
)
def test_files_are_told_by_their_ending_or_by_the_word_before(words: str, field: str, place: str) -> None:
    made = plan(request=words, buying=False)
    assert getattr(made.request, field) == place
    assert place not in made.checked.prompt


def test_an_address_that_says_nothing_of_itself_is_warned_of() -> None:
    made = plan(request="a wall with https://example.com/x painted on it")
    assert any("used for nothing" in warning for warning in made.warnings)


@pytest.mark.parametrize("request_", [{}, {"request": "make it pro"}])
def test_a_file_that_only_the_scene_names_is_left_there_and_told(request_: dict[str, str]) -> None:
    made = plan(prompt="a poster of cat.png hangs on the wall", **request_)
    assert (made.offer.mode, made.request.image) == ("text-to-video", None)
    assert made.checked.prompt == "a poster of cat.png hangs on the wall"
    assert any("“cat.png” is left in the words and is used for nothing" in warning for warning in made.warnings)


@pytest.mark.parametrize("order", ["kling pro from a.png to b.png", "first frame a.png, last frame b.png, pro"])
def test_two_pictures_are_the_first_and_the_last_frame_where_the_words_say_so(order: str) -> None:
    made = plan(request=f"{order}: the seed becomes a tree", buying=False)
    assert (made.request.image, made.request.end_image) == ("a.png", "b.png")
    assert (made.offer.tier, made.checked.prompt) == ("pro", "the seed becomes a tree")


@pytest.mark.parametrize(
    ("words", "tier", "seconds"),
    [
        ("10 segundos, quer dizer 6, um elétrico", "standard", 6),
        ("um elétrico em 4k, 9 segundos", "4k", 9),
        ("zehn Sekunden, ach nein, sechs Sekunden: eine Tram", "standard", 6),
        ("12 secondes, non, 8 : un tram", "standard", 8),
        ("pro, perdón, 4k: un tranvía", "4k", 5),
        ("プロ、間違えた、4K：路面電車", "4k", 5),
        ("12초, 아니, 8초: 트램", "standard", 8),
        ("专业版，不对，4K：电车", "4k", 5),
        ("pro - sorry, I meant 4k - a tram", "4k", 5),
    ],
)
def test_the_later_of_two_values_holds_in_every_language(words: str, tier: str, seconds: int) -> None:
    made = plan(request=words)
    assert (made.offer.tier, made.checked.duration) == (tier, seconds)


def test_a_price_may_be_asked_for_and_is_never_an_order() -> None:
    asked = "how much is kling 4k for 10 seconds?"
    made = plan(request=asked, buying=False)
    assert (made.offer.tier, made.checked.duration) == ("4k", 10)
    assert any("the price is for any prompt" in warning for warning in made.warnings)
    for prompt in ({}, {"prompt": "a fox"}):
        with pytest.raises(KlingError, match="order") as refused:
            plan(request=asked, **prompt)
        assert "tier 4k, duration 10" in str(refused.value)


def test_a_rival_beside_a_prompt_is_named() -> None:
    made = plan(request="sora 2, 10 seconds", prompt="a boat")
    assert made.checked.duration == 10
    assert any("sora 2" in warning for warning in made.warnings)
    with pytest.raises(KlingError, match="sora 2"):
        plan(request="sora 2, 10 seconds: a boat")


@pytest.mark.parametrize("words", ["kling 4: a boat", "kling v4: a boat", "可灵 4 一只船", "kling video 4.0: a boat"])
def test_a_version_is_ordered_or_refused_but_never_another_one(words: str) -> None:
    try:
        assert plan(request=words).offer.model.startswith("kling-4.0")
    except KlingError as refused:
        assert "kling-4.0" in str(refused)


def test_a_tier_as_the_model_is_told_from_a_model() -> None:
    with pytest.raises(KlingError, match="set `tier` to 4k"):
        plan(model="kling 4k", prompt="a boat")
