"""What is said to a person: true, in words that can be typed, and of money only where money is near."""

from __future__ import annotations

import json
import sys

import pytest
from support.drawn_clips import Drawn, draw

from mcp_server import catalog
from mcp_server.__main__ import main
from mcp_server.answers.shapes import Spend
from mcp_server.cli import COMMANDS
from mcp_server.domain.file_format import BMP, JPEG, PNG, WEBP
from mcp_server.domain.picture_size import picture_size
from mcp_server.sandbox import faults

PICTURE = "https://example.com/a.png"
RECORDING = "https://example.com/a.mp3"
AVATAR = ("--mode", "avatar", "--image", PICTURE, "--audio-file", RECORDING, "--provider", "runapi")
"""At a vendor that wants words for it, and publishes no price."""


@pytest.fixture
def said(capsys, monkeypatch):
    """The exit code, and what stood on standard output and beside it."""
    monkeypatch.setenv("KLING_SANDBOX_SECONDS", "0.1")

    def run(*words: str) -> tuple[int, str, str]:
        code = main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return run


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\2\0\0\0"


def test_a_mode_that_is_listed_and_not_sold_is_explained_and_not_shown_as_an_empty_table(said) -> None:
    code, out, err = said("models", "--mode", "lip-sync")
    assert (code, out) == (0, "")
    assert "cannot be ordered here: octopusx: it needs a face session" in err and "runcomfy: only an example" in err


def test_nothing_is_near_to_itself(said) -> None:
    for words in (
        ("--mode", "lip-sync", "--prompt", "x"),
        ("--mode", "avatar", "--provider", "octopusx", "--prompt", "x"),
        ("--tier", "4k", "--duration", "99", "--prompt", "x"),
        ("--model", "kling-avatar", "--provider", "runcomfy", "--prompt", "x"),
    ):
        code, _, err = said("estimate", *words)
        refused, _, near = err.partition("Nearest is ")
        assert code == 65
        assert not near or near.split(" (")[0] not in refused, err


def test_what_is_only_listed_is_refused_with_the_reason_and_another_way(said) -> None:
    code, _, err = said("generate", "--mode", "lip-sync", "--prompt", "x")
    assert code == 65
    assert "Nobody sells lip-sync: the mode is what fails; it needs a face session" in err
    assert "Nearest is" in err


def test_an_avatar_without_a_prompt_has_a_scene_and_lacks_words(said) -> None:
    code, _, err = said("generate", *AVATAR)
    assert code == 65
    assert "nothing to film" not in err
    assert "There are no words for this avatar" in err and "--prompt" in err


def test_motion_from_a_clip_of_this_machine_is_priced_by_its_length(said, tmp_path) -> None:
    clip = draw(tmp_path / "dance.mp4", Drawn(seconds=4.5, width=320, height=180, fps=12))
    order = ("--mode", "motion-control", "--image", PICTURE, "--prompt", "she dances")
    _, out, _ = said("estimate", *order, "--video", str(clip), "--json")
    found = json.loads(out)
    line = next(line for line in (found["chosen"], *found["others"]) if line["offer"].startswith("runapi/kling-3.0/st"))
    assert line["cost"]["usd_at_most"] == "1.00"
    assert "at most 5 s (the clip that goes in has 4.5 s) = $1.00" in line["cost"]["arithmetic"]
    assert "that goes in has" not in said("estimate", *order, "--video", str(tmp_path / "missing.mp4"), "--json")[1]


def test_a_price_that_is_not_known_is_said_once(said) -> None:
    _, _, err = said("generate", *AVATAR, "--prompt", "x", "--no-wait", "--yes", "--accept-unknown-price")
    assert "Price unknown: " in err
    assert "Price price" not in err and "unknown: unknown" not in err


def test_an_upper_bound_is_not_at_at_most(said) -> None:
    _, out, _ = said("estimate", "--mode", "motion-control", "--image", PICTURE, "--video", "https://example.com/a.mp4")
    assert "next would be" in out and "at at most" not in out


@pytest.mark.parametrize("words", ["kling 7.5 seconds: a cat", "kling pro standard: a cat"])
def test_words_that_leave_something_open_are_said_to_do_that(said, words) -> None:
    code, _, err = said("estimate", words)
    assert code == 65
    assert "contradict" not in err or "pro" in words
    assert "The words leave --" in err and "Say it once" in err


def test_a_change_of_an_earlier_order_is_a_change_and_not_a_quarrel_with_its_words(said) -> None:
    said("kling 5s 16:9: a red fox")
    task = json.loads(said("tasks", "--json")[1])["tasks"][0]["task_id"]
    code, _, err = said("again", task, "1:1, pro", "--no-wait")
    assert code == 0
    assert "aspect_ratio is 1:1 now; the earlier order's was 16:9" in err
    assert "the words say" not in err


def test_a_refusal_speaks_of_flags_and_of_you(said) -> None:
    for words in (
        ("generate", "--prompt", "x", "--cfg-scale", "3"),
        ("estimate", "sora 5s: a cat"),
        ("generate", "--mode", "video-edit", "--prompt", "blue"),
    ):
        _, _, err = said(*words)
        assert "`" not in err and "call again" not in err and "cfg_scale" not in err, err


def test_shells_and_clients_are_no_matter_of_money(said) -> None:
    for words in (("completion", "tcsh"), ("install", "nobody"), ("auth", "nobody"), ("sandbox", "--port", "x")):
        code, _, err = said(*words)
        assert code == 64
        assert err.strip() and "charged" not in err, err
    assert "Nothing was charged." in said("generate", "--tier", "8k", "--prompt", "x")[2]


@pytest.mark.parametrize(
    "order",
    [
        ("--mode", "video-edit", "--prompt", "x"),
        ("--prompt", "x", "--duration", "99"),
        ("--prompt", "x", "--tier", "pro", "--aspect-ratio", "7:1"),
    ],
)
def test_who_has_no_key_is_not_told_a_vendors_name_before_the_reason(said, order) -> None:
    code, _, err = said("generate", *order)
    assert code == 65
    first = min((err.find(name) for name in catalog.load().providers if name in err), default=len(err))
    assert first > err.index(". "), err


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (
            {"today_usd": "1.5", "held_by_films_usd": "0.504", "daily_budget_usd": "5"},
            "Today $1.50 of $5.00 a day is spent or held back, $0.504 of it by films that are being made.",
        ),
        ({"today_usd": "1.5", "daily_budget_usd": "5"}, "Today $1.50 of $5.00 a day is spent or held back."),
        ({"today_usd": "1.5"}, ""),
    ],
)
def test_spend_says_how_far_the_day_is(said, monkeypatch, found, sentence) -> None:
    monkeypatch.setattr("mcp_server.cli.session.run", lambda _work: Spend(quoted_usd="0", settled_usd="0", **found))
    _, _, err = said("spend")
    assert [line for line in err.splitlines() if line.startswith("Today")] == [sentence] * bool(sentence)


@pytest.mark.parametrize("name", ["redo", "sheet", "balance", "list", "buy", "play"])
def test_a_command_that_people_look_for_is_named_as_it_is_here(said, name) -> None:
    code, _, err = said(name)
    assert code == 64
    there = err.split("`kling-video ")[1].split()[0].rstrip("`")
    assert there in COMMANDS and there != name


def test_a_finished_clip_says_to_a_person_what_a_person_does(said) -> None:
    said("generate", "--prompt", "a paper boat", "--yes")
    _, out, _ = said("task", json.loads(said("tasks", "--json")[1])["tasks"][0]["task_id"])
    assert "`kling-video open` shows the clip." in out
    assert "Deliver" not in out and "video_path" not in out


def test_a_line_of_a_batch_that_is_words_is_shown_what_a_line_is(said, tmp_path) -> None:
    (tmp_path / "orders.txt").write_text("kling 4k: a cat\n")
    code, _, err = said("batch", str(tmp_path / "orders.txt"))
    assert code == 65
    assert 'It is no JSON such as {"request": "kling 4k: a cat"}' in err


def test_the_shells_that_can_complete_are_named_and_nothing_else(said) -> None:
    code, _, err = said("completion", "tcsh")
    assert code == 64
    assert "bash, zsh, fish" in err and "tasks" not in err


def test_numbers_that_count_something_are_one_or_more(said) -> None:
    for words in (
        ("tasks", "--limit", "-1"),
        ("tasks", "--limit", "0"),
        ("spend", "--days", "0"),
        ("spend", "--days", "x"),
    ):
        code, _, err = said(*words)
        assert code == 64 and "is not a whole number of 1 or more" in err


def test_installing_for_a_client_that_is_not_there_prints_how_and_fails(said, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    code, out, err = said("install", "openclaw")
    assert code == 73
    assert out.startswith("openclaw mcp set kling ")
    assert "`openclaw` is not on the PATH" in err and "\\n" not in err


@pytest.mark.parametrize(
    ("pasted", "stored"),
    [
        ("Bearer sk-0123456789", "sk-0123456789"),
        ("Authorization: Bearer sk-0123456789", "sk-0123456789"),
        ("RUNAPI_API_KEY=sk-0123456789", "sk-0123456789"),
        ('"sk-0123456789"', "sk-0123456789"),
        ("Key 0123456789", "0123456789"),
        ("abc", None),
        ("https://runapi.ai/keys", None),
        ("${RUNAPI_API_KEY}", None),
        ("schlüssel-0123456789", None),
        ("two words here", None),
        ("Bearer ", None),
    ],
)
def test_a_key_is_stored_without_what_is_pasted_around_it_or_not_at_all(
    said, monkeypatch, tmp_path, pasted, stored
) -> None:
    import io

    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{pasted}\n"))
    code, _, err = said("auth", "runapi")
    file = tmp_path / "home" / "credentials.json"
    assert (code, json.loads(file.read_text()) if file.exists() else None) == (
        (0, {"RUNAPI_API_KEY": stored}) if stored else (64, None)
    )
    assert stored or pasted.strip() not in err


def test_faults_that_are_asked_for_twice_happen_twice() -> None:
    armed = faults.Armed(faults.parse("runapi=failed,runapi=failed:2,runcomfy=429@7"))
    taken = [armed.take("runapi", ["failed"]) for _ in range(4)]
    assert taken == [("failed", "")] * 3 + [None]
    assert armed.take("runcomfy", ["429"]) == ("429", "7")
    always = faults.Armed(faults.parse("runapi=failed:always,runapi=failed"))
    assert all(always.take("runapi", ["failed"]) for _ in range(5))


def test_a_picture_below_the_vendors_least_size_is_refused_before_anything_is_sent(said, monkeypatch, tmp_path) -> None:
    (tmp_path / "small.png").write_bytes(png(640, 299))
    (tmp_path / "fine.png").write_bytes(png(300, 300))
    monkeypatch.setenv("KLING_OUTPUT_DIR", str(tmp_path / "clips"))
    order = ("generate", "--provider", "klingai", "--mode", "image-to-video", "--prompt", "x", "--no-wait", "--yes")
    monkeypatch.setenv("KLINGAI_API_KEY", "never-used-0123456789")
    # A port where nobody listens: an order that went out would fail otherwise than this.
    monkeypatch.setenv("KLINGAI_BASE_URL", "http://127.0.0.1:9")
    code, _, err = said(*order, "--image", str(tmp_path / "small.png"))
    assert code == 65
    assert "--image is too small: 640 × 299 pixels, at least 300 a side for Kling AI" in err
    assert json.loads(said("tasks", "--json")[1]).get("tasks", []) == []
    code, _, err = said(*order, "--image", str(tmp_path / "fine.png"))
    assert "too small" not in err


def test_the_size_of_a_picture_is_read_from_its_head() -> None:
    jpeg = (
        b"\xff\xd8\xff\xe0\0\x04ab\xff\xff\xc4\0\x02\xff\xc2\0\x0b\x08"
        + (480).to_bytes(2, "big")
        + (640).to_bytes(2, "big")
        + b"\x01" * 9
    )
    lossy = (
        b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a" + (640).to_bytes(2, "little") + (480).to_bytes(2, "little")
    )
    lossless = b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + ((639) | (479 << 14) | (1 << 31)).to_bytes(4, "little")
    extended = b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0" + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")
    bmp = (
        b"BM"
        + bytes(12)
        + (40).to_bytes(4, "little")
        + (640).to_bytes(4, "little")
        + (-480).to_bytes(4, "little", signed=True)
    )
    for kind, content in (
        (PNG, png(640, 480)),
        (JPEG, jpeg),
        (WEBP, lossy),
        (WEBP, lossless),
        (WEBP, extended),
        (BMP, bmp),
    ):
        assert picture_size(kind, content) == (640, 480), kind
        assert picture_size(kind, content[:12]) is None
    assert picture_size(JPEG, b"\xff\xd8\xff\xe0\0\0" * 3) is None
