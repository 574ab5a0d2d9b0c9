"""A copy for the chat: smaller than asked for, just as long, and what it gave up is said; the clip stays as it is."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest
from support.drawn_clips import Drawn
from support.watched_films import watch

from mcp_server.errors import LocalError, RequestError
from mcp_server.media import isolated
from mcp_server.media.copies import Copies
from mcp_server.media.fitted_copy import FittedCopy
from mcp_server.media.fitting import fitted
from mcp_server.media.progress import Progress, Work

CLIP = Drawn(seconds=2, width=480, height=270, look="grain", sound="tone", layout="stereo")
"""Of noise, which takes an encoder long; large enough that its copies need not be as large as it is."""


@pytest.fixture
def clip(drawn, tmp_path) -> Path:
    path = tmp_path / "a-fox-3f9x2a.mp4"
    shutil.copy(drawn(CLIP), path)
    return path


@pytest.mark.parametrize("megabytes", [0.75, 0.2, 0.05])
def test_a_copy_is_smaller_than_asked_for_and_just_as_long(megabytes, clip) -> None:
    before = clip.read_bytes()
    assert len(before) > 750_000

    made = fitted(str(clip), megabytes, Work())

    seen, original = watch(made.path), watch(clip)
    assert Path(made.path).stat().st_size == made.bytes <= megabytes * 1_000_000
    assert seen.times[0] == 0.0
    assert abs((seen.times[-1] + max(seen.steps)) - (original.times[-1] + max(original.steps))) < 0.05
    assert abs(len(seen.samples) - len(original.samples)) < 48_000 * 0.1
    assert abs(seen.level(0.2, 1.8) - original.level(0.2, 1.8)) < 2
    assert seen.sizes == {(made.width, made.height)}
    assert clip.read_bytes() == before
    assert Path(made.path).parent == clip.parent


def test_what_the_copy_gave_up_is_said(clip) -> None:
    made = fitted(str(clip), 0.05, Work())
    assert (made.width, made.height) != (480, 270)
    said = "; ".join(made.given_up)
    assert f"size: {made.width}x{made.height} instead of 480x270" in said
    assert "bit rate: " in said and " instead of " in said


def test_a_narrow_limit_uses_most_of_what_it_allows(clip) -> None:
    assert fitted(str(clip), 0.4, Work()).bytes > 280_000


def test_a_copy_that_is_there_is_not_made_again_and_one_of_an_older_clip_is(clip) -> None:
    first = fitted(str(clip), 0.1, Work())
    stamp = Path(first.path).stat().st_mtime_ns
    assert fitted(str(clip), 0.1, Work()) == first
    assert Path(first.path).stat().st_mtime_ns == stamp

    clip.touch()
    fitted(str(clip), 0.1, Work())
    assert Path(first.path).stat().st_mtime_ns > stamp


def test_a_clip_that_is_small_enough_is_its_own_copy(clip) -> None:
    made = fitted(str(clip), 50, Work())
    assert (made.path, made.given_up) == (str(clip), ())
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]


def test_what_cannot_be_watched_any_more_is_refused_with_the_least_there_is(clip) -> None:
    with pytest.raises(RequestError, match=r"No copy of this clip fits into 0\.005 MB") as caught:
        fitted(str(clip), 0.005, Work())
    least = caught.value.details["least_mb"]
    assert f"Ask for {least:g} MB or more" in caught.value.next_step
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]
    assert fitted(str(clip), least, Work()).bytes <= least * 1_000_000


def test_no_bytes_at_all_are_refused(clip) -> None:
    with pytest.raises(RequestError, match="more than no bytes"):
        fitted(str(clip), 0, Work())


def test_a_file_that_is_no_clip_is_refused_in_words(tmp_path) -> None:
    page = tmp_path / "page.mp4"
    page.write_bytes(b"<html>sorry</html>" * 1000)
    with pytest.raises(LocalError, match="No smaller copy can be made"):
        fitted(str(page), 1, Work())


async def test_two_who_ask_get_one_copy_and_who_does_not_wait_hears_how_far_it_is(clip, monkeypatch) -> None:
    asked: list[tuple[str, float]] = []
    free = asyncio.Event()

    async def fit(path: str, megabytes: float, on_progress) -> FittedCopy:
        asked.append((path, megabytes))
        on_progress(Progress(done=0.4, remaining_s=3, step="encoding"))
        await free.wait()
        return FittedCopy(path=path, bytes=1, width=2, height=2, fps=24, given_up=())

    monkeypatch.setattr(isolated, "fit", fit)
    copies = Copies()
    first = await copies.get(str(clip), 1.0, wait_s=0.01)
    other = await copies.get(str(clip), 2.0, wait_s=0.01)
    assert isinstance(first, Progress) and isinstance(other, Progress)
    assert (first.done, other.done) == (0.4, 0)
    waiting = [asyncio.ensure_future(copies.get(str(clip), size)) for size in (1.0, 1.0, 2.0)]
    await asyncio.sleep(0)
    free.set()
    one, same, other = await asyncio.gather(*waiting)
    assert one is same and isinstance(other, FittedCopy)
    assert asked == [(str(clip), 1.0), (str(clip), 2.0)]


async def test_closing_ends_what_is_being_made_and_leaves_no_half_file(clip) -> None:
    copies = Copies()
    while (await copies.get(str(clip), 0.3, wait_s=0.02)).step != "encoding":
        pass
    await copies.close()
    assert [path.name for path in clip.parent.iterdir()] == [clip.name]
