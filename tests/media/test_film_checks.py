"""A film that is not what its clips are is found out: each thing that can go wrong is done to one, and named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from support.drawn_clips import Drawn

from mcp_server.media.fitting import fitted
from mcp_server.media.joining import film as joining
from mcp_server.media.joining.checks import checked
from mcp_server.media.joining.cut_list import Clip, CutList
from mcp_server.media.joining.film import joined
from mcp_server.media.joining.levels import Levels
from mcp_server.media.progress import Work

ONE = Drawn(seconds=2, width=320, height=180, ground=60, sound="tone", pitch=440)
TWO = replace(ONE, ground=120, pitch=660)
THREE = replace(ONE, ground=190, pitch=880)


@pytest.fixture
def held(drawn, tmp_path):
    """What is said of a film made of some clips, when it should be one made of others."""

    def against(made: list[Drawn], wanted: list[Drawn], *, sound: str = "") -> tuple[str, ...]:
        def listed(clips: list[Drawn], name: str) -> CutList:
            shots = tuple(Clip(shot=f"s{number}", path=str(drawn(clip))) for number, clip in enumerate(clips, 1))
            return CutList(clips=shots, target=str(tmp_path / name), sound=sound)

        joined(listed(made, "film.mp4"), Work())
        layout = joining._laid_out(listed(wanted, "other.mp4"), Work())
        return checked(tmp_path / "film.mp4", layout, lambda: None).failed

    return against


def test_a_film_of_these_clips_has_nothing_to_be_said_of_it(held) -> None:
    assert held([ONE, TWO, THREE], [ONE, TWO, THREE]) == ()


def test_a_shot_that_was_dropped_is_missed(held) -> None:
    found = held([ONE, THREE], [ONE, TWO, THREE])
    assert "the film has 96 pictures (4.00 s), its shots less their dissolves have 144 (6.00 s)" in found
    assert "at 3.0 s, where shot s2 should be, there is shot s3" in found
    assert "at 5.0 s, where shot s3 should be, there is no picture" in found


def test_shots_in_another_order_are_named(held) -> None:
    found = held([ONE, THREE, TWO], [ONE, TWO, THREE])
    assert "at 3.0 s, where shot s2 should be, there is shot s3" in found
    assert "at 5.0 s, where shot s3 should be, there is shot s2" in found
    assert any(said.startswith("what is heard in shot s2 is not its own sound") for said in found)


def test_a_film_that_lost_its_sound_is_not_passed_over(held) -> None:
    silent = [replace(clip, sound="none") for clip in (ONE, TWO)]
    assert "the film has no sound track" in held(silent, [ONE, TWO])


def test_a_shot_that_fell_silent_is_named(held) -> None:
    long = replace(TWO, seconds=4)
    found = held([ONE, replace(long, sound="none")], [ONE, long])
    assert any(said.startswith("shot s2 is ") and said.endswith(" LU softer than the film") for said in found)
    assert "what is heard in shot s2 is not its own sound" in found


def test_a_film_of_another_size_is_named(held) -> None:
    large = [replace(clip, width=640, height=360) for clip in (ONE, TWO)]
    assert "there are pictures of 640x360 in a film of 320x180" in held(large, [ONE, TWO])


def test_sound_that_comes_late_is_measured(held) -> None:
    noise = replace(ONE, sound="noise", hush=0.02)
    found = held([replace(noise, hush=0.1), TWO], [noise, TWO])
    assert any("the sound of shot s1 comes 8" in said and said.endswith("ms too late") for said in found), found


@pytest.mark.parametrize(
    ("look", "said"),
    [
        ("ends black", "the seam between shot s1 and shot s2 is black for 12 pictures"),
        ("stops", "the picture stands still for 0.5 s between shot s1 and shot s2"),
    ],
)
def test_a_seam_that_is_black_or_stands_still_is_named(held, drawn, tmp_path, look, said) -> None:
    flawed = replace(ONE, look=look)
    assert said in held([flawed, TWO], [ONE, TWO])
    # Where the clip was delivered so, joining did nothing wrong; it is said all the same.
    clips = tuple(Clip(shot=f"s{number}", path=str(drawn(clip))) for number, clip in enumerate((flawed, TWO), 1))
    made = joined(CutList(clips=clips, target=str(tmp_path / "own.mp4")), Work())
    assert made.failed_checks == ()
    assert f"{said}: the shots themselves are like that" in made.notes


def test_a_shot_ten_decibels_softer_than_it_was_to_be_is_named(drawn, tmp_path, monkeypatch) -> None:
    clips = (ONE, replace(TWO, volume=800))
    listed = tuple(Clip(shot=f"s{number}", path=str(drawn(clip))) for number, clip in enumerate(clips, 1))
    cut_list = CutList(clips=listed, target=str(tmp_path / "film.mp4"))
    with monkeypatch.context() as patch:
        patch.setattr(joining, "levels_of", lambda shots, _: Levels(-16.0, (0.0,) * len(shots), 0.0))
        joined(cut_list, Work())
    found = checked(tmp_path / "film.mp4", joining._laid_out(cut_list, Work()), lambda: None).failed
    assert any(said.startswith("shot s2 is ") and said.endswith(" LU softer than the film") for said in found), found


def test_the_sheet_has_a_row_for_each_shot_and_one_for_each_seam(drawn, tmp_path) -> None:
    listed = tuple(Clip(shot=f"s{number}", path=str(drawn(clip))) for number, clip in enumerate((ONE, TWO, THREE), 1))
    cut_list = CutList(clips=listed, target=str(tmp_path / "film.mp4"))
    joined(cut_list, Work())
    rows = checked(tmp_path / "film.mp4", joining._laid_out(cut_list, Work()), lambda: None).rows

    brightness = [[bytes(frame.planes[0])[0] for frame in row] for row in rows]
    # A JPEG's black is 0 and not 16.
    one, two, three = (round((clip.ground - 16) * 255 / 219) for clip in (ONE, TWO, THREE))
    assert brightness == [[one] * 4, [one] * 4 + [two] * 4, [two] * 4, [two] * 4 + [three] * 4, [three] * 4]


def test_one_clip_with_several_shots_is_those_shots(drawn, tmp_path) -> None:
    two = replace(ONE, seconds=3, cuts=(1.0,))

    def made(clip: Drawn) -> tuple[str, ...]:
        parts = (("a", 1.0), ("b", 2.0))
        clips = (Clip(shot="a+b", path=str(drawn(clip)), parts=parts), Clip(shot="c", path=str(drawn(THREE))))
        film = joined(CutList.read(CutList(clips=clips, target=str(tmp_path / "film.mp4")).facts()), Work())
        assert [(part.shot, part.start, part.end) for part in film.shots] == [("a", 0, 1), ("b", 1, 3), ("c", 3, 5)]
        assert film.failed_checks == ()
        return tuple(note for note in film.notes if "cut" in note)

    assert made(two) == ()
    (said,) = made(replace(two, cuts=()))
    assert said.startswith("no cut is seen at 1.0 s, where shot b was to begin in one clip with a")


def test_a_copy_for_the_chat_of_a_joined_film_is_the_whole_film(drawn, tmp_path) -> None:
    """A film is larger than a chat takes sooner than a clip is."""
    rough = [replace(clip, look="grain", seconds=1) for clip in (ONE, TWO)]
    clips = tuple(Clip(shot=f"s{number}", path=str(drawn(clip))) for number, clip in enumerate(rough, 1))
    cut_list = CutList(clips=clips, target=str(tmp_path / "film.mp4"))
    film = joined(cut_list, Work())
    copy = fitted(film.path, film.bytes / 2e6, Work())

    assert copy.bytes <= film.bytes / 2
    found = checked(Path(copy.path), joining._laid_out(cut_list, Work()), lambda: None).failed
    assert [said for said in found if "pictures (" in said or "sound" in said or "long" in said] == []
