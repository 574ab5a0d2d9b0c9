"""A request against an offer: every problem at once, in the caller's words, and never a crash."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders import ordinary

from mcp_server import catalog
from mcp_server.domain.catalog import Offer, Rule, spans
from mcp_server.domain.request import CheckedRequest, Misfit, Shot, VideoRequest
from mcp_server.domain.vocabulary import INPUTS, MODES, TIERS
from mcp_server.ordering import validation

OFFERS = catalog.load().offers
PICTURE = "https://example.com/a.png"
CLIP = "https://example.com/a.mp4"


def refused(offer: Offer | str, **request: Any) -> tuple[str, ...]:
    outcome = checked(offer, **request)
    return outcome.problems if isinstance(outcome, Misfit) else ()


def accepted(offer: Offer | str, **request: Any) -> CheckedRequest:
    outcome = checked(offer, **request)
    assert isinstance(outcome, CheckedRequest), outcome
    return outcome


def checked(offer: Offer | str, **request: Any) -> CheckedRequest | Misfit:
    found = catalog.load().offer(offer) if isinstance(offer, str) else offer
    return validation.check(VideoRequest(**({"prompt": "x"} | request)), found)


def made_up(**changes: Any) -> Offer:
    row: dict[str, Any] = {
        "id": "acme/kling-3.0/pro/text-to-video",
        "provider": "acme",
        "model": "kling-3.0",
        "tier": "pro",
        "mode": "text-to-video",
        "vendor_model": "m",
        "schema": "s",
        "requires": ("prompt",),
        "durations": (5, 10),
        "aspect_ratios": ("16:9", "9:16"),
        "resolutions": ("1080p",),
        "audio": "choice",
        "source": "made up",
        "checked": None,
    }
    return Offer(**(row | changes))


ME = "acme kling-3.0 pro text-to-video"


@pytest.mark.parametrize(
    ("offer", "request_", "problem"),
    [
        ("kling3api/kling-3.0/pro/text-to-video", {"duration": 16},
         "duration 16 is not sold by kling3api kling-3.0 pro text-to-video: 3 to 15 seconds"),
        ("octopusx/kling-2.6/pro/text-to-video", {"duration": 4},
         "duration 4 is not sold by octopusx kling-2.6 pro text-to-video: 5 to 10 seconds"),
        (made_up(), {"duration": 6}, f"duration 6 is not sold by {ME}: 5 or 10 seconds"),
        (made_up(durations=(), duration_note="as long as the clip"), {"duration": 5},
         f"{ME} has no choice of duration: as long as the clip"),
        ("octopusx/kling-2.6/pro/text-to-video", {"aspect_ratio": "21:9"},
         "aspect ratio 21:9 is not sold by octopusx kling-2.6 pro text-to-video: 16:9, 9:16, 1:1"),
        ("kling3api/kling-3.0/pro/text-to-video", {"aspect_ratio": "21:9"},
         "aspect ratio 21:9 is not sold by kling3api kling-3.0 pro text-to-video: 16:9, 9:16, 1:1"),
        (made_up(aspect_ratios=()), {"aspect_ratio": "1:1"},
         f"{ME} has no aspect ratio to choose: the picture or clip that goes in decides it"),
        ("kling3api/kling-3.0/pro/image-to-video", {"image": PICTURE, "aspect_ratio": "21:9"},
         "kling3api kling-3.0 pro image-to-video has no aspect ratio to choose: the vendor publishes no list of ratios, "
         "and its picture example sends none"),
        (made_up(), {"resolution": "4k"}, f"resolution 4k is not sold by {ME}: 1080p"),
        ("uniall/kling-3.0/pro/text-to-video", {"resolution": "1080p"},
         "resolution 1080p cannot be promised by uniall kling-3.0 pro text-to-video: the vendor names none for std or pro"),
        (made_up(resolutions=()), {"resolution": "4k"},
         f"resolution 4k cannot be promised by {ME}: no source says which one it delivers"),
        (made_up(audio="always"), {"audio": False}, f"{ME} is always with sound"),
        (made_up(audio="never"), {"audio": True}, f"{ME} is always silent"),
        (made_up(audio="from-input"), {"audio": True}, f"{ME} takes its sound from what goes in; it cannot be chosen"),
        (made_up(audio="unknown"), {"audio": False},
         f"{ME} does not say whether its clips have sound, and it cannot be chosen"),
        (made_up(), {"negative_prompt": "blur"}, f"{ME} does not take a negative prompt"),
        (made_up(), {"end_image": PICTURE}, f"{ME} does not take an end image"),
        (made_up(), {"off_peak": True}, f"{ME} does not take off-peak rendering"),
        (made_up(), {"prompt": " \n"}, f"{ME} needs a prompt (`prompt`)"),
        ("kling3api/kling-3.0/pro/image-to-video", {}, "kling3api kling-3.0 pro image-to-video needs an image (`image`)"),
        (made_up(one_of=(("video", "source_task"),)), {},
         f"{ME} needs exactly one of `video` or `source_task`; 0 are given"),
        (made_up(one_of=(("video", "source_task"),)), {"video": CLIP, "source_task": "t"},
         f"{ME} needs exactly one of `video` or `source_task`; 2 are given"),
        ("kling3api/kling-o3/pro/reference-to-video", {"references": (PICTURE,) * 8},
         "8 reference images are not sold by kling3api kling-o3 pro reference-to-video: at most 7"),
        (made_up(accepts=("references", "video"), references_max=7, references_max_with_video=4),
         {"references": (PICTURE,) * 5, "video": CLIP}, f"5 reference images are not sold by {ME}: at most 4"),
        (made_up(requires_options=("metadata.ext_info",)), {"options": {"metadata": {"other": 1}}},
         f"{ME} needs the vendor's own field `metadata.ext_info` in `options`: what goes into it is not documented"),
        (made_up(requires_options=("a", "b")), {"options": {}},
         f"{ME} needs the vendor's own fields `a`, `b` in `options`: what goes into it is not documented"),
        (made_up(prompt_max=3), {"prompt": "four"}, f"the prompt has 4 characters; {ME} takes 3"),
        (made_up(accepts=("cfg_scale",)), {"cfg_scale": Decimal("1.01")}, "cfg_scale 1.01 is out of range: 0 to 1"),
        (made_up(accepts=("cfg_scale",)), {"cfg_scale": Decimal("NaN")}, "cfg_scale NaN is out of range: 0 to 1"),
        (made_up(accepts=("shots",), shots_max=2), {"shots": (Shot(prompt="a"),) * 3},
         f"3 shots are not sold by {ME}: at most 2"),
        (made_up(accepts=("shots",), shot_prompt_max=3), {"shots": (Shot(prompt="abcd"),)},
         "shot 1 has 4 characters: at most 3"),
        (made_up(accepts=("shots",)), {"shots": (Shot(prompt=" "),)}, "shot 1 has no prompt"),
        (made_up(accepts=("shots",)), {"shots": (Shot(prompt="a", duration=5), Shot(prompt="b", duration=0))},
         "shot 2 lasts 0 seconds: at least 1"),
        (made_up(accepts=("shots",)), {"shots": (Shot(prompt="a", duration=5), Shot(prompt="b"))},
         "either every shot has a duration, or none has"),
        (made_up(accepts=("shots",)), {"shots": (Shot(prompt="a", duration=2), Shot(prompt="b", duration=3)), "duration": 10},
         "the shots last 5 seconds together, but `duration` is 10"),
        (made_up(accepts=("shots",), durations=(3,)), {"shots": (Shot(prompt="a"),) * 4}, "4 shots do not fit into 3 seconds"),
    ],
)  # fmt: skip
def test_one_wrong_thing_is_one_sentence(offer: Offer | str, request_: dict[str, Any], problem: str) -> None:
    assert refused(offer, **request_) == (problem,)


def test_every_problem_is_told_at_once() -> None:
    problems = refused(
        "kling3api/kling-3.0/pro/image-to-video", prompt="", duration=2, audio=True, video=CLIP, cfg_scale=Decimal(2)
    )

    assert problems == (
        "kling3api kling-3.0 pro image-to-video needs a prompt (`prompt`)",
        "kling3api kling-3.0 pro image-to-video needs an image (`image`)",
        "kling3api kling-3.0 pro image-to-video does not take a video",
        "duration 2 is not sold by kling3api kling-3.0 pro image-to-video: 3 to 15 seconds",
        "cfg_scale 2 is out of range: 0 to 1",
    )


def test_what_is_only_listed_says_why() -> None:
    (problem,) = refused("octopusx/kling-lip-sync/standard/lip-sync", video=CLIP)

    assert problem.startswith("octopusx/kling-lip-sync/standard/lip-sync cannot be ordered: ")


RULED = made_up(
    accepts=("end_image", "image", "references"),
    durations=(3, 5, 10, 15),
    references_max=7,
    rules=(
        Rule(when={"end_image": True}, durations=(5, 10), requires=("image",), why="an end image fixes the length"),
        Rule(when={"references": True}, durations=(3, 5), forbids=("end_image",), aspect_ratios=("1:1",), why="refs"),
        Rule(when={"audio": True}, resolutions=("720p",), why="sound"),
        Rule(when={"aspect_ratio": "9:16"}, audio=False, references_max=2, why="upright"),
        Rule(when={"duration": (15,)}, warns="long clips may be refused"),
    ),
)


@pytest.mark.parametrize(
    ("request_", "problems"),
    [
        ({"end_image": PICTURE, "image": PICTURE, "duration": 3},
         (f"duration 3 is not sold by {ME}: 5 or 10 seconds (an end image fixes the length)",)),
        ({"end_image": PICTURE}, (f"{ME} needs an image (`image`)",)),
        ({"references": (PICTURE,), "aspect_ratio": "16:9"}, (f"aspect ratio 16:9 is not sold by {ME}: 1:1 (refs)",)),
        ({"references": (PICTURE,), "duration": 10}, (f"duration 10 is not sold by {ME}: 3 or 5 seconds (refs)",)),
        ({"audio": True, "resolution": "1080p"}, (f"resolution 1080p is not sold by {ME}: 720p (sound)",)),
        ({"aspect_ratio": "9:16", "audio": True}, (f"{ME} is silent here (upright)",)),
        ({"end_image": PICTURE, "image": PICTURE, "references": (PICTURE,), "duration": 10},
         (f"{ME} does not take an end image here (refs)",
          f"duration 10 is not sold by {ME}: 5 seconds (an end image fixes the length) (refs)")),
    ],
)  # fmt: skip
def test_a_rule_holds_only_under_its_condition_and_rules_add_up(
    request_: dict[str, Any], problems: tuple[str, ...]
) -> None:
    assert refused(RULED, duration=3) == ()
    assert refused(RULED, **request_) == problems


def test_rules_that_leave_no_length_are_a_problem_not_an_order_without_one() -> None:
    offer = made_up(
        rules=(Rule(when={"prompt": True}, durations=(5,), why="a"), Rule(when={"prompt": True}, durations=(10,)))
    )

    assert refused(offer) == (f"no duration is sold by {ME} for all of this together (a)",)


def test_a_rule_can_warn_and_the_order_still_goes_out() -> None:
    assert accepted(RULED, duration=15).warnings == ("long clips may be refused",)
    assert accepted(RULED, duration=10).warnings == ()


def test_uniall_takes_shots_from_options_in_the_prompts_place_and_says_so() -> None:
    offer = "uniall/kling-3.0/pro/image-to-video"
    shots = {"extra_body": {"multi_prompt": [{"prompt": "a"}]}}

    assert refused(offer, prompt="", image=PICTURE) == (
        "uniall kling-3.0 pro image-to-video needs a prompt (`prompt`)",
    )
    assert accepted(offer, prompt="", image=PICTURE, options=shots).warnings == ()
    assert "the prompt is left out" in accepted(offer, image=PICTURE, options=shots).warnings[0]
    assert refused("uniall/kling-3.0/pro/text-to-video", prompt="", options=shots)


def test_a_ratio_the_vendor_does_not_guarantee_goes_with_a_warning_and_only_when_asked() -> None:
    offer = "uniall/kling-3.0/pro/image-to-video"

    asked = accepted(offer, image=PICTURE, aspect_ratio="9:16")

    assert asked.aspect_ratio == "9:16"
    assert asked.warnings == ("uniall does not guarantee the aspect ratio in image-to-video",)
    assert accepted(offer, image=PICTURE).aspect_ratio is None
    assert accepted("uniall/kling-3.0/pro/text-to-video").aspect_ratio == "16:9"


def test_what_nobody_said_is_said_for_them() -> None:
    plain = accepted("kling3api/kling-o3/pro/text-to-video")

    assert (plain.duration, plain.aspect_ratio, plain.resolution, plain.audio) == (5, "16:9", None, False)
    assert accepted(made_up(durations=(3, 10), duration_default=10)).duration == 10
    assert accepted(made_up(durations=(7, 9))).duration == 7
    assert accepted(made_up(aspect_ratios=("9:16", "1:1"))).aspect_ratio == "9:16"
    assert accepted(made_up(aspect_ratios=("9:16", "1:1"), aspect_ratio_default="1:1")).aspect_ratio == "1:1"
    assert accepted(made_up(audio="always")).audio is True
    assert accepted(made_up(audio="unknown")).audio is None
    assert accepted(made_up()).resolution == "1080p"


def test_sound_that_the_model_id_decides_chooses_the_id() -> None:
    offer = "uniall/kling-3.0/standard/text-to-video"

    assert accepted(offer).vendor_model == "kling-v3-std-silent"
    assert accepted(offer, audio=False).vendor_model == "kling-v3-std-silent"
    assert accepted(offer, audio=True).vendor_model == "kling-v3-std-audio"


def test_shots_give_the_length_and_stand_in_for_the_prompt() -> None:
    shots = (Shot(prompt="a", duration=4), Shot(prompt="b", duration=6))

    assert accepted(made_up(accepts=("shots",)), prompt="", shots=shots).duration == 10
    written = accepted(made_up(accepts=("shots",), shots_in_prompt=True), prompt="Rain.", shots=shots)
    assert written.prompt == "Rain.\nShot 1 (4 s): a\nShot 2 (6 s): b"
    assert written.warnings == ("acme takes shots as words in the prompt; the length of each shot is not guaranteed",)


@pytest.mark.parametrize(
    ("seconds", "said"), [((3, 4, 5), "3 to 5"), ((5, 10), "5 or 10"), ((10, 5), "5 or 10"), ((5,), "5"), ((), "no")]
)
def test_lengths_are_said_as_people_say_them(seconds: tuple[int, ...], said: str) -> None:
    assert spans(seconds) == said


words = st.text(max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
requests = st.builds(
    VideoRequest,
    prompt=words,
    negative_prompt=st.none() | words,
    mode=st.none() | st.sampled_from(MODES),
    tier=st.none() | st.sampled_from(TIERS),
    duration=st.none() | st.integers(-5, 40) | st.integers(),
    aspect_ratio=st.none() | st.sampled_from(["16:9", "9:16", "1:1", "auto"]) | words,
    resolution=st.none() | st.sampled_from(["720p", "1080p", "4k"]) | words,
    audio=st.none() | st.booleans(),
    off_peak=st.none() | st.booleans(),
    cfg_scale=st.none() | st.decimals(),
    image=st.none() | words,
    end_image=st.none() | words,
    references=st.lists(words, max_size=9).map(tuple),
    video=st.none() | words,
    audio_file=st.none() | words,
    source_task=st.none() | words,
    shots=st.lists(st.builds(Shot, prompt=words, duration=st.none() | st.integers(-2, 20)), max_size=7).map(tuple),
    options=st.dictionaries(st.sampled_from(["metadata", "extra_body", "model"]) | words, JSON, max_size=3),
)


@given(request_=requests, offer=st.sampled_from(OFFERS))
def test_any_request_against_any_offer_is_checked_or_refused_with_a_reason(
    request_: VideoRequest, offer: Offer
) -> None:
    outcome = validation.check(request_, offer)

    if isinstance(outcome, Misfit):
        assert outcome.offer is offer
        assert outcome.problems and all(problem.strip() for problem in outcome.problems)
        assert len(set(outcome.problems)) == len(outcome.problems)
        return
    assert not offer.not_sold_because
    assert (outcome.duration in offer.durations) if offer.durations else (outcome.duration is None)
    assert request_.duration in (None, outcome.duration)
    assert request_.audio in (None, outcome.audio)
    assert request_.aspect_ratio in (None, outcome.aspect_ratio)
    assert request_.resolution in (None, outcome.resolution)
    assert all(request_.given(name) is False for name in set(INPUTS) - offer.takes)


UNLISTED = [offer for offer in OFFERS if offer.aspect_ratio_unlisted]


@pytest.mark.parametrize("ratio", ["16:9", "9:16", "1:1"])
@pytest.mark.parametrize("offer", UNLISTED, ids=lambda offer: offer.id)
def test_where_a_vendor_lists_no_ratios_what_kling_takes_goes_out_with_a_warning(offer: Offer, ratio: str) -> None:
    outcome = validation.check(ordinary(offer, aspect_ratio=ratio), offer)

    assert isinstance(outcome, CheckedRequest), outcome
    assert outcome.aspect_ratio == ratio
    warned = any("documents no list of aspect ratios" in warning for warning in outcome.warnings)
    assert warned is (ratio not in offer.aspect_ratios)
