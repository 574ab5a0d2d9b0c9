"""What the words of a request come to: the rules, one by one."""

from __future__ import annotations

import pytest
from support.labelled import labels, read


@pytest.mark.parametrize(
    ("text", "tier"),
    [
        ("kling pro: a professional chef in a standard kitchen", "pro"),
        ("kling: an old TV showing a 4k test pattern", None),
        ('kling standard: a sign that says "kling 4k"', "standard"),
        ("kling 4k: a pro skater and a standard poodle", "4k"),
    ],
)
def test_a_description_orders_nothing(text: str, tier: str | None) -> None:
    found = read(text)
    assert found.tier == tier
    assert found.prompt == text.split(": ", 1)[1]
    assert found.contradictions == ()


def test_a_length_in_the_scene_is_not_the_length_of_the_clip() -> None:
    found = read("countdown from 10 seconds on a screen, 5s")
    assert (found.duration, found.prompt) == (5, "countdown from 10 seconds on a screen")


@pytest.mark.parametrize("quotes", ['"{}"', "“{}”", "«{}»", "「{}」", "『{}』", "„{}“", "'{}'", "‘{}’", "`{}`"])
def test_quoted_text_is_never_an_order(quotes: str) -> None:
    said = quotes.format("kling 4k, vertical, 10s, no sound")
    found = read(f"kling pro: a wall that says {said}, 5s")
    assert labels(found) == {"tier": "pro", "duration": 5, "prompt": f"a wall that says {said}"}
    assert read(said).none


@pytest.mark.parametrize(
    ("text", "ruled_out", "tier"),
    [
        ("kling, not 4k, pro is fine: fog", ("4k",), "pro"),
        ("kling, neither pro nor 4k: fog", ("pro", "4k"), None),
        ("可灵，不要4k，专业版就行：雾", ("4k",), "pro"),
        ("Kling、4Kじゃなくてプロで：霧", ("4k",), "pro"),
        ("클링, 4k 말고 프로로: 안개", ("4k",), "pro"),
        ("kling, kein 4k, pro reicht: Nebel", ("4k",), "pro"),
    ],
)
def test_negation_rules_a_tier_out(text: str, ruled_out: tuple[str, ...], tier: str | None) -> None:
    found = read(text)
    assert (found.not_tiers, found.tier, found.contradictions) == (ruled_out, tier, ())


@pytest.mark.parametrize(
    "words", ["no sound", "無音", "sin sonido", "静音", "무음", "sans son", "ohne Ton", "don't want sound"]
)
def test_silence_is_asked_for_in_every_language(words: str) -> None:
    assert read(f"kling {words}: fog").audio is False


def test_what_is_not_silent_has_sound() -> None:
    assert read("kling, not silent: fog").audio is True


def test_a_hint_has_no_opposite() -> None:
    found = read("kling 4k: a room, no dialogue, only ambient room tone")
    assert (found.audio, found.prompt) == (None, "a room, no dialogue, only ambient room tone")


def test_a_maker_and_a_model_can_be_ruled_out() -> None:
    found = read("kling, not runcomfy, not kling 2.6: fog")
    assert (found.not_providers, found.not_models) == (("runcomfy",), ("kling-2.6",))


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("10s", 10), ("10 sec", 10), ("ten seconds", 10), ("10-second", 10), ("15-second", 15), ("half a minute", 30),
        ("a one-minute", 60), ("1.5 minutes", 90), ("十秒", 10), ("半分钟", 30), ("10秒間", 10), ("열 초", 10),
        ("quince segundos", 15), ("une demi-minute", 30), ("zehnsekündig", 10), ("１０秒", 10),
    ],
)  # fmt: skip
def test_lengths_in_digits_words_and_units(words: str, seconds: int) -> None:
    assert read(f"kling {words}: fog").duration == seconds


@pytest.mark.parametrize(
    ("words", "ratio"),
    [
        ("9:16", "9:16"), ("9 by 16", "9:16"), ("16x9", "16:9"), ("sixteen by nine", "16:9"), ("16比9", "16:9"),
        ("vertical", "9:16"), ("tiktok", "9:16"), ("竖屏", "9:16"), ("縦長", "9:16"), ("세로", "9:16"),
        ("hochkant", "9:16"), ("carré", "1:1"), ("apaisado", "16:9"), ("1080x1920", "9:16"), ("ultrawide", "21:9"),
    ],
)  # fmt: skip
def test_shapes_by_number_word_and_place(words: str, ratio: str) -> None:
    assert read(f"kling {words}: fog").aspect_ratio == ratio


@pytest.mark.parametrize("typo", ["klign", "klng", "kiling", "Klling", "kking", "klimg", "klingg"])
def test_a_typo_in_the_name_is_forgiven(typo: str) -> None:
    assert (read(f"{typo} 4k: fog").tier, read(f"{typo} 4k: fog").prompt) == ("4k", "fog")


@pytest.mark.parametrize(
    ("typo", "tier"), [("standart", "standard"), ("satndard", "standard"), ("profesional", "pro"), ("prro", "pro")]
)
def test_a_typo_in_a_tier_is_forgiven(typo: str, tier: str) -> None:
    assert read(f"kling {typo}: fog").tier == tier


def test_a_typo_in_the_scene_is_left_alone() -> None:
    assert read("kling: a standart bearer and a klng sound").prompt == "a standart bearer and a klng sound"


def test_numbered_scenes_become_shots_with_their_lengths() -> None:
    found = read("kling pro, rainy Tokyo. Shot 1 (3s): she waits. Shot 2 (4s): the tram comes. 9:16")
    assert [(shot.prompt, shot.duration) for shot in found.shots] == [("she waits.", 3), ("the tram comes.", 4)]
    assert (found.duration, found.aspect_ratio, found.prompt) == (None, "9:16", "rainy Tokyo.")


def test_one_numbered_scene_is_no_list_of_shots() -> None:
    assert read("kling: shot 1: a fox").shots == ()


@pytest.mark.parametrize(
    ("text", "fields", "words"),
    [
        ("kling 4k pro: fog", ("tier",), ("4k", "pro")),
        ("kling vertical 16:9: fog", ("aspect_ratio",), ("vertical", "16:9")),
        ("kling 5s, 10s: fog", ("duration",), ("5s", "10s")),
        ("kling with sound, silent: fog", ("audio",), ("with sound", "silent")),
        ("kling 4k 1080p: fog", ("tier", "resolution"), ("1080p",)),
        ("kling 5 to 10 seconds: fog", ("duration",), ("5 to 10",)),
        ("kling 7.5 seconds: fog", ("duration",), ("7.5",)),
        ("kling 4k, not 4k: fog", ("tier",), ("4k",)),
        ("kling, not vertical: fog", ("aspect_ratio",), ("vertical",)),
    ],
)
def test_contradictions_are_named_and_nothing_is_guessed(
    text: str, fields: tuple[str, ...], words: tuple[str, ...]
) -> None:
    found = read(text)
    assert found.unsettled == fields
    assert [getattr(found, field) for field in fields] == [None] * len(fields)
    assert all(word in " ".join(found.contradictions) for word in words)
    assert found.prompt == "fog"


def test_saying_the_same_twice_is_no_contradiction() -> None:
    found = read("kling vertical 9:16, 10s, ten seconds: fog")
    assert (found.aspect_ratio, found.duration, found.contradictions) == ("9:16", 10, ())


def test_what_was_said_outright_beats_what_a_use_suggests() -> None:
    found = read("kling pro hero film: fog")
    assert (found.tier, found.contradictions) == ("pro", ())


def test_a_later_correction_wins() -> None:
    assert read("kling standard, actually 4k: fog").tier == "4k"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("make a sora video of fog", "sora, not Kling"),
        ("klingon opera, 4k, vertical", "is not Kling"),
        ("cling film over a bowl, 5s", "is not Kling"),
        ("how much is kling 4k?", "ask about Kling"),
        ("kling 4k price", "ask about Kling"),
        ("kling or sora?", "compare"),
        ("don't use kling, use sora: fog", "not from Kling"),
        ("I love kling", "something else"),
        ("kling 3.0 was released in February", "say something about Kling"),
        ("make an image of a dog, 16:9", "picture"),
        ("fog over a harbour", "neither Kling nor a video"),
    ],
)
def test_what_is_no_order_says_why(text: str, why: str) -> None:
    found = read(text)
    assert why in found.none
    assert labels(found) == {"none": True}
    assert (found.prompt, found.shots) == ("", ())


def test_a_bare_scene_is_an_order_for_callers_that_surely_want_a_clip() -> None:
    assert labels(read("fog over a harbour", named=True)) == {"prompt": "fog over a harbour"}
    assert read("how much is 4k?", named=True).asks


def test_every_wish_names_its_words_and_their_place() -> None:
    text = "kling 4k, vertical, ten seconds, with sound: a neon city"
    found = read(text)
    assert [(match.field, match.words, match.value) for match in found.matched] == [
        ("tier", "4k", "4k"),
        ("aspect_ratio", "vertical", "9:16"),
        ("duration", "ten seconds", "10"),
        ("audio", "with sound", "true"),
    ]
    assert all(text[match.start :].startswith(match.words) for match in found.matched)


@pytest.mark.parametrize(
    ("text", "model", "provider", "vendor_model"),
    [
        ("kling-v3-pro-audio: fog", "kling-3.0", "uniall", "kling-v3-pro-audio"),
        ("KLING-V3-PRO-AUDIO: fog", "kling-3.0", "uniall", "kling-v3-pro-audio"),
        ("o3-std-video-edit make it snow", "kling-o3", "kling3api", "o3-std-video-edit"),
        ("kling/kling-3.0/4k/image-to-video: fog", "kling-3.0", "runcomfy", "kling/kling-3.0/4k/image-to-video"),
        ("Kling-3.0-Omni: fog", "kling-o3", "octopusx", "Kling-3.0-Omni"),
        # What everybody calls the model names no vendor, even where it happens to be one vendor's id.
        ("kling-3.0-omni: fog", "kling-o3", None, None),
        ("kling-3.0: fog", "kling-3.0", None, None),
        ("Kling-2.6: fog", "kling-2.6", None, None),
    ],
)
def test_a_vendors_id_names_the_vendor_only_if_it_is_nobody_elses(
    text: str, model: str, provider: str | None, vendor_model: str | None
) -> None:
    found = read(text)
    assert (found.model, found.provider, found.vendor_model) == (model, provider, vendor_model)


def test_a_version_nobody_sells_is_still_a_wish() -> None:
    assert read("kling 1.6: fog").model == "kling-1.6"


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        ("kling pro: Ein Fuchs, der – 10 Meter weit – springt!", "Ein Fuchs, der – 10 Meter weit – springt!"),
        ("kling 4k，一只猫，在（屋顶）上", "一只猫，在（屋顶）上"),
        ("kling: مدينة تحت المطر", "مدينة تحت المطر"),
        ("kling pro a fox 🦊 (red) runs; slow motion", "a fox 🦊 (red) runs; slow motion"),
        ("kling 4k: É l'été, ce n'est pas fini…", "É l'été, ce n'est pas fini…"),
        ("can you make a kling video of a fox?", "a fox"),
        ('kling 4k "a fox at dawn"', "a fox at dawn"),
        ("kling pro: a fox, 10 seconds, in the snow", "a fox, in the snow"),
        ("make a stop-motion kling video of a fox", "a stop-motion video of a fox"),
    ],
)
def test_the_prompt_is_what_is_left_and_otherwise_untouched(text: str, prompt: str) -> None:
    assert read(text).prompt == prompt


def test_a_negative_prompt_has_its_own_place() -> None:
    found = read("kling pro\nnegative prompt: blur, text\nprompt: a fox")
    assert (found.negative_prompt, found.prompt) == ("blur, text", "a fox")
