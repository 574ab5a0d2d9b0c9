"""Clips are found, shown and played; what stands in them is text."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.browsing import Browser, Studio

from mcp_server.domain.arguments import VideoArguments

EVIL = '<script>alert(1)</script><img src=x onerror=alert(2)>" onmouseover="alert(3)'


async def made(opened: Studio, prompt: str = "a paper boat") -> str:
    task = await opened.service.generate(VideoArguments(prompt=prompt, duration=5))
    (done,) = await opened.service.get([task.task_id], wait_s=400)
    assert done.state == "succeeded"
    return task.task_id


async def test_a_clip_is_listed_shown_and_played_in_parts(opened: Studio, visitor: Browser) -> None:
    task_id = await made(opened)
    (task,) = await opened.service.look([task_id])
    data = Path(task.video_path or "").read_bytes()

    listed, shown = (await visitor.get("/")).text, (await visitor.get(f"/clips/{task_id}")).text
    whole = await visitor.get(f"/clips/{task_id}/video")
    middle = await visitor.get(f"/clips/{task_id}/video", range="bytes=100-299")
    saved = await visitor.get(f"/clips/{task_id}/video?download")

    assert f"/studio/clips/{task_id}" in listed
    assert "a paper boat" in listed
    for words in ("nothing: a rehearsal", task.route, task.video_path, task_id, "Contact sheet"):
        assert str(words) in shown
    assert whole.content == data
    assert whole.headers["content-type"] == "video/mp4"
    assert (middle.status_code, middle.content) == (206, data[100:300])
    assert saved.headers["content-disposition"].startswith("attachment")
    for picture in ("poster", "sheet"):
        got = await visitor.get(f"/clips/{task_id}/{picture}")
        assert got.headers["content-type"] == "image/jpeg"
        assert got.content[:2] == b"\xff\xd8"


async def test_a_poster_is_there_before_it_is_asked_for_and_made_anew_where_it_is_not(
    opened: Studio, visitor: Browser
) -> None:
    task_id = await made(opened)
    left = opened.service.settings.posters / f"{task_id}.jpg"
    first = left.read_bytes()
    assert (await visitor.get(f"/clips/{task_id}/poster")).content == first
    left.unlink()
    assert (await visitor.get(f"/clips/{task_id}/poster")).content == first
    assert left.read_bytes() == first


@pytest.mark.usefixtures("unexamined")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ({"q": "boat"}, 1),
        ({"q": "BOAT paper"}, 1),
        ({"q": "lighthouse"}, 0),
        ({"q": "%"}, 0),
        ({"state": "succeeded"}, 2),
        ({"state": "failed"}, 0),
        ({"state": "nonsense"}, 2),
        ({"vendor": "sandbox"}, 2),
        ({"vendor": "fal"}, 0),
        ({"q": "cat", "state": "succeeded", "vendor": "sandbox"}, 1),
    ],
)
async def test_clips_are_found_by_words_state_and_vendor(
    opened: Studio, visitor: Browser, words: dict[str, str], found: int
) -> None:
    await made(opened)
    await made(opened, prompt="a cat")
    address = "/?" + "&".join(f"{name}={value.replace('%', '%25')}" for name, value in words.items())
    assert (await visitor.get(address)).text.count("data-task=") == found


async def test_an_unknown_vendor_is_refused_with_the_nearest(visitor: Browser) -> None:
    refused = await visitor.get("/?vendor=runcomfi")
    assert refused.status_code == 422
    assert "runcomfy" in refused.text


@pytest.mark.usefixtures("unexamined")
async def test_older_clips_follow_each_once(opened: Studio, visitor: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.studio.clips.MANY", 2)
    ids = [await made(opened, prompt=f"boat {number}") for number in range(5)]
    seen, place = list[str](), "/"
    while place:
        page = (await visitor.get(place, **{"x-studio-part": "1"})).text
        seen += [part.partition('"')[0] for part in page.split('data-task="')[1:]]
        _, more, rest = page.partition('data-more href="/studio')
        place = rest.partition('"')[0].replace("&amp;", "&") if more else ""
        assert "<html" not in page
    assert seen == ids[::-1]


async def test_a_script_in_a_prompt_is_text(opened: Studio, visitor: Browser) -> None:
    task_id = await made(opened, prompt=EVIL)
    for place in ("/", f"/clips/{task_id}", f"/?q={EVIL}"):
        page = (await visitor.get(place)).text
        assert "<script>" not in page
        assert "<img src=x" not in page
        assert '" onmouseover=' not in page
        assert "&lt;script&gt;alert(1)" in page


@pytest.mark.usefixtures("unexamined")
@pytest.mark.parametrize(
    "name",
    ["../tasks.db", "..%2f..%2fhome%2ftasks.db", "%2e%2e/%2e%2e/etc/passwd", "kv-261129-000000000000", "kv-x", "%00"],
)
async def test_files_have_no_names_but_task_ids(opened: Studio, visitor: Browser, name: str) -> None:
    await made(opened)
    for place in (f"/clips/{name}/video", f"/clips/{name}", f"/static/{name}"):
        answer = await visitor.get(place)
        assert answer.status_code == 404
        assert "SQLite" not in answer.text


async def test_a_file_that_is_gone_is_said_to_be_gone(opened: Studio, visitor: Browser) -> None:
    task_id = await made(opened)
    (task,) = await opened.service.look([task_id])
    Path(task.video_path or "").unlink()
    gone = await visitor.get(f"/clips/{task_id}/video")
    assert gone.status_code == 404
    assert "is not there any more" in gone.text
