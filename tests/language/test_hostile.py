"""Whatever the text, the answer comes soon, and the prompt is made of the text alone."""

from __future__ import annotations

import json
import time
from functools import cache
from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.labelled import labelled, read

from mcp_server import places

SIZE = 24_000
"""As long as it takes to tell a slow step from the rest; benchmarks/routing.py reads 100 kB of the worst."""
SECONDS = 3.6
"""Far above what is needed (under 0.3), because this machine may be doing other things."""

HOSTILE = {
    "nested quotes": '"“«「',
    "quotes never closed": "'a ",
    "quotes closed at once": '""',
    "emoji": "🎬",
    "right to left": "مرحبا \u202e",
    "digits": "1",
    "letters": "a",
    "digits and letters in turn": "1a",
    "hyphens": "a-",
    "slashes": "kling/",
    "clock": "1:",
    "the name": "kling ",
    "negations": "not ",
    "negated wishes": "no 4k or ",
    "wishes": "4k,",
    "lengths": "10s ",
    "labels": "duration: ",
    "label and value": "audio: on ",
    "verbs without objects": "animate a ",
    "objects of verbs": "extend my kling video ",
    "what is attached": "i2v my photo ",
    "what might be attached": "i2v to the my ",
    "limits of price": "under $1 ",
    "amounts": "$1 ",
    "choices": "5s or 10s or ",
    "counts": "two kling ",
    "what stays": "no music ",
    "corrections at the end": "make it 5s actually, ",
    "names in another language": "video no kling ",
    "shots": "shot 1: ",
    "ranges": "5 to ",
    "numbers": "ten ",
    "parentheses": "(",
    "pairs of parentheses": "(a) ",
    "full stops": ".",
    "line ends": "\n",
    "spaces": " ",
    "courtesies": "please ",
    "rivals": "sora or ",
    "questions": "what is ",
    "japanese": "猫が動画を作って",
    "korean": "클링으로",
    "chinese": "可灵不要",
    "accents apart": "e\u0301",
    "zero width": "k\u200bling ",
    "apostrophes": "d'",
    "zeros": "\x00",
    "flags": "--4k ",
    "frame rates": "60 fps ",
    "numbered scenes": "scenes: 1. ",
    "lists within": "a. pro, 5s, square, ",
    "pictures attached": "using my photo ",
    "refused tiers": "not kling 4k ",
    "lone refusals": "4k, no, ",
    "ranges in digits": "5-8s ",
    "half a surrogate pair": "\ud800",
}


@pytest.mark.parametrize("bait", HOSTILE.values(), ids=HOSTILE)
def test_much_hostile_text_is_answered_in_time(bait: str) -> None:
    assert first(much(bait, SIZE)) < SECONDS


@pytest.mark.parametrize("bait", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("frame", ["{}", "{} kling 4k", "make a {} video of fog"])
def test_hostile_text_anywhere_is_answered_in_time(bait: str, frame: str) -> None:
    text = frame.format(bait * (SIZE // 8 // len(bait)))
    started = time.thread_time()
    read(text)
    assert time.thread_time() - started < SECONDS / 4


def test_numbered_shots_without_end_are_answered_in_time() -> None:
    started = time.thread_time()
    found = read("kling " + "".join(f"shot {number}: a " for number in range(1, 8000)))
    assert time.thread_time() - started < SECONDS
    assert len(found.shots) == 7999


def much(bait: str, size: int) -> str:
    return f"kling pro: {bait * (size // len(bait))}"


def took(text: str) -> float:
    started = time.thread_time()
    read(text)
    return time.thread_time() - started


first = cache(took)
"""What the first reading took, for whoever asks: of a long text it is a tenth of a second of a core, or more."""


def seconds(text: str, *, enough: float = 0) -> float:
    """The best of three readings; the first that is good enough needs no other."""
    best = first(text)
    for _ in range(2):
        if best < enough:
            break
        best = min(best, took(text))
    return best


@pytest.mark.parametrize("bait", ["a neon city with rain, people in 4k coats, 10 seconds later, ", *HOSTILE.values()])
def test_time_grows_with_the_text_and_not_faster(bait: str) -> None:
    short, long = much(bait, SIZE // 8), much(bait, SIZE)
    # Eight times the text; a quadratic step would cost 64 times. The floor keeps the clock's own grain out of it.
    bound = 24 * max(seconds(short), 0.002)
    assert seconds(long, enough=bound) < bound


WORDS = [row["text"] for row in (*labelled("first_half"), *labelled("second_half"))]
TRIGGERS = json.loads((places.skill() / "triggers.json").read_text(encoding="utf-8"))
PHRASES = [phrase for group in TRIGGERS["wishes"] for phrase in chain.from_iterable(group["phrases"].values())] + [
    "kling",
    "not",
    "no",
    "to",
    "5",
    "ten",
    "seconds",
    "s",
    ":",
    ",",
    ".",
    "\n",
    '"',
    "“",
    "(",
    ")",
    "a",
    "fox",
    "猫",
    "で",
]
TEXTS = st.one_of(
    st.text(max_size=200),
    st.lists(st.sampled_from(PHRASES), max_size=25).map(" ".join),
    st.lists(st.sampled_from(PHRASES), max_size=25).map("".join),
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" ".join),
)


@settings(max_examples=400)
@given(TEXTS)
def test_any_text_is_read_without_a_crash_and_nothing_is_made_up(text: str) -> None:
    found = read(text)
    kept = "".join([found.prompt, found.negative_prompt or "", *(shot.prompt for shot in found.shots)])
    own = set(text) | set(_composed(text)) | set(" ,\n")
    assert set(kept) <= own
    assert len(found.prompt) <= len(_composed(text)) + 2 * text.count(" ")
    assert not (found.none and found.prompt)
    for match in found.matched:
        assert _composed(text)[match.start :].startswith(match.words)


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(blacklist_characters='"', blacklist_categories=("Cs",)), max_size=80))
def test_a_quotation_changes_no_wish(inside: str) -> None:
    found = read(f'kling pro: a wall that says "{inside}" in red')
    assert (found.tier, found.duration, found.aspect_ratio, found.audio, found.mode) == ("pro", None, None, None, None)


def test_reading_twice_gives_the_same() -> None:
    assert [read(text) for text in WORDS[:50]] == [read(text) for text in WORDS[:50]]


def _composed(text: str) -> str:
    import unicodedata

    return unicodedata.normalize("NFC", text)
