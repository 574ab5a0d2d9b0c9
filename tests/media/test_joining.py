"""Clips become one film: what plays is decoded again, picture by picture and sample by sample."""

from __future__ import annotations

import errno
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from support.drawn_clips import Drawn
from support.small_disk import SmallDisk, SuddenEnd
from support.watched_films import watch

from mcp_server.errors import ClipError, LocalError, RequestError
from mcp_server.media import isolated
from mcp_server.media.joining.cut_list import Clip, CutList, JoinedFilm
from mcp_server.media.joining.film import joined
from mcp_server.media.progress import Work

DARK, MIDDLE, BRIGHT = 60, 120, 190
SHOT = Drawn(seconds=2, width=640, height=360, ground=DARK)


@pytest.fixture
def film(drawn, tmp_path):
    """Draws the clips and joins them."""

    def make(*clips: Drawn | tuple[Drawn, dict], sound: str = "") -> JoinedFilm:
        listed = []
        for number, given in enumerate(clips, 1):
            clip, how = given if isinstance(given, tuple) else (given, {})
            listed.append(Clip(shot=f"s{number}", path=str(drawn(clip)), **how))
        return joined(CutList(clips=tuple(listed), target=str(tmp_path / "film.mp4"), sound=sound), Work())

    return make


def units(packet: bytes) -> list[int]:
    """The kinds of the units in a packet of H.264 as MP4 holds it: 1 and 5 are pictures, or slices of one."""
    kinds, at = [], 0
    while at < len(packet):
        kinds.append(packet[at + 4] & 31)
        at += 4 + int.from_bytes(packet[at : at + 4])
    return kinds


def near(value: float, wanted: float, by: float) -> bool:
    return abs(value - wanted) <= by


def test_shots_follow_each_other_in_their_order_and_none_is_dropped(film) -> None:
    made = film(SHOT, replace(SHOT, ground=BRIGHT), replace(SHOT, ground=MIDDLE))
    seen = watch(made.path)
    assert [near(seen.at(second)[0], ground, 3) for second, ground in ((1, DARK), (3, BRIGHT), (5, MIDDLE))] == [
        True
    ] * 3
    assert (len(seen.times), seen.steps) == (3 * 48, {round(1 / 24, 4)})
    assert [(placed.shot, placed.start, placed.end) for placed in made.shots] == [
        ("s1", 0, 2),
        ("s2", 2, 4),
        ("s3", 4, 6),
    ]
    assert (made.duration, made.failed_checks) == (6.0, ())


def test_clips_of_different_sizes_become_one_size_whole_and_letterboxed(film) -> None:
    made = film(
        SHOT, replace(SHOT, width=360, height=640, ground=BRIGHT), replace(SHOT, width=640, height=480, ground=MIDDLE)
    )
    seen = watch(made.path)
    assert seen.sizes == {(640, 360)}
    above, top, bottom, left, right = seen.at(3)
    assert near(above, BRIGHT, 3)
    assert max(left, right) <= 18
    assert (near(seen.at(3)[1], BRIGHT, 3), near(seen.at(3)[2], BRIGHT, 3)) == (True, True)
    assert near(seen.at(5)[0], MIDDLE, 3) and max(seen.at(5)[3:]) <= 18
    assert "shot s2 is 360x640, letterboxed to 640x360" in made.notes
    assert made.failed_checks == ()
    assert (made.width, made.height, made.copied) == (640, 360, False)


def test_the_shape_is_what_most_of_the_film_has_and_the_size_is_its_largest(film) -> None:
    upright = replace(SHOT, width=360, height=640, seconds=3)
    made = film(SHOT, upright, replace(upright, width=540, height=960))
    assert watch(made.path).sizes == {(540, 960)}
    assert "shot s2 is 360x640, enlarged to 540x960" in made.notes


def test_odd_sides_become_even(film) -> None:
    # 4:2:0 cannot hold half a colour: 641 pixels are coded as 640 by the encoder, but a pixel shape makes odd widths.
    made = film(replace(SHOT, shape=Fraction(211, 200)), SHOT)
    ((width, height),) = watch(made.path).sizes
    assert (width % 2, height % 2) == (0, 0)
    assert made.failed_checks == ()


def test_clips_of_different_frame_rates_keep_their_speed_at_one_rate(film) -> None:
    made = film(SHOT, replace(SHOT, fps=30, ground=BRIGHT), replace(SHOT, fps=60, ground=MIDDLE), replace(SHOT, fps=12))
    seen = watch(made.path)
    assert seen.steps == {round(1 / made.fps, 4)}
    assert made.duration == 8.0
    assert [
        near(seen.at(second)[0], ground, 3)
        for second, ground in ((2.1, BRIGHT), (3.9, BRIGHT), (4.1, MIDDLE), (5.9, MIDDLE))
    ] == [True] * 4
    assert made.failed_checks == ()


def test_a_picture_is_written_whole_and_not_in_slices(film) -> None:
    """Slices of one picture take more of the processor than several whole ones at once, and more room."""
    made = film(SHOT, replace(SHOT, fps=30))
    with av.open(made.path) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    assert not made.copied
    assert [sum(kind in (1, 5) for kind in units(packet)) for packet in packets] == [1] * made.frames


def test_a_first_clip_without_sound_silences_only_itself(film) -> None:
    made = film(SHOT, replace(SHOT, sound="tone"))
    seen = watch(made.path)
    assert seen.level(0.1, 1.9) < -80
    assert seen.level(2.1, 3.9) > -30
    assert near(len(seen.samples) / 48_000, 4.0, 0.05)
    assert "shot s1 has no sound track: silence" in made.notes
    assert made.failed_checks == ()


def test_a_film_whose_shots_are_silent_has_no_sound_and_says_so(film) -> None:
    made = film(SHOT, replace(SHOT, sound="mute"))
    assert watch(made.path).streams == ["h264"]
    assert made.audio is False
    assert "no shot has sound, so the film has none" in made.notes


def test_shots_ten_decibels_apart_become_equally_loud(film) -> None:
    loud, soft = replace(SHOT, sound="tone", volume=16_000), replace(SHOT, sound="tone", volume=1_600, pitch=660)
    made = film(loud, soft, loud)
    seen = watch(made.path)
    levels = [seen.level(start + 0.2, start + 1.8) for start in (0, 2, 4)]
    assert max(levels) - min(levels) < 1.5
    assert any(note.startswith("shot s2 was made") and note.endswith("dB louder") for note in made.notes)
    assert made.failed_checks == ()


def test_mono_and_stereo_at_44_and_48_khz_become_one_and_keep_their_pitch(film) -> None:
    one = replace(SHOT, sound="tone", pitch=500)
    two = replace(SHOT, sound="tone", pitch=900, rate=48_000, layout="stereo")
    seen = watch(film(one, two).path)
    assert seen.tone(500, 0.2, 1.8) > seen.tone(900, 0.2, 1.8) + 40
    assert seen.tone(900, 2.2, 3.8) > seen.tone(500, 2.2, 3.8) + 40
    assert near(len(seen.samples) / 48_000, 4.0, 0.05)


def test_a_dissolve_shortens_the_film_by_itself_and_shows_both_shots(film) -> None:
    made = film(SHOT, (replace(SHOT, ground=BRIGHT), {"begin": "dissolve", "dissolve_s": 1.0}))
    seen = watch(made.path)
    assert (made.duration, len(seen.times)) == (3.0, 72)
    assert near(seen.at(0.9)[0], DARK, 4)
    assert near(seen.at(1.5)[0], (DARK + BRIGHT) / 2, 12)
    assert near(seen.at(2.1)[0], BRIGHT, 4)
    assert made.failed_checks == ()


def test_sound_dissolves_with_its_pictures(film) -> None:
    one, two = replace(SHOT, sound="tone", pitch=500), replace(SHOT, sound="tone", pitch=900, ground=BRIGHT)
    seen = watch(film(one, (two, {"begin": "dissolve", "dissolve_s": 1.0})).path)
    assert seen.tone(500, 1.1, 1.2) > seen.tone(900, 1.1, 1.2) + 6
    assert seen.tone(900, 1.8, 1.9) > seen.tone(500, 1.8, 1.9) + 6
    assert near(seen.level(1.4, 1.6), seen.level(0.4, 0.6), 1.5)
    assert near(len(seen.samples) / 48_000, 3.0, 0.05)


def test_several_dissolves_keep_every_shot_where_it_is_said_to_be(film) -> None:
    dissolve = {"begin": "dissolve", "dissolve_s": 0.5}
    made = film(
        SHOT,
        (replace(SHOT, ground=BRIGHT), dissolve),
        (replace(SHOT, ground=MIDDLE), dissolve),
        replace(SHOT, ground=BRIGHT),
    )
    assert made.duration == 7.0
    seen = watch(made.path)
    for placed, ground in zip(made.shots, (DARK, BRIGHT, MIDDLE, BRIGHT), strict=True):
        assert near(seen.at((placed.start + placed.end) / 2)[0], ground, 4)
    assert made.failed_checks == ()


def test_a_dissolve_longer_than_half_a_shot_is_shortened_and_said(film) -> None:
    made = film(SHOT, (replace(SHOT, ground=BRIGHT), {"begin": "dissolve", "dissolve_s": 5.0}))
    assert made.duration == 3.0
    assert "shot s2 dissolves in 1.00 s instead of 5 s: more than half of a shot is not dissolved" in made.notes


def test_clips_that_match_in_everything_are_copied_bit_for_bit(film) -> None:
    made = film(SHOT, replace(SHOT, ground=BRIGHT, sound="tone"), replace(SHOT, ground=MIDDLE))
    assert made.copied is True
    seen = watch(made.path)
    assert seen.steps == {round(1 / 24, 4)}
    assert near(seen.at(2.0)[0], BRIGHT, 3) and near(seen.at(1.95)[0], DARK, 3)
    assert seen.level(2.1, 3.9) > -30


def test_clips_that_begin_with_pictures_shown_later_join_without_a_stutter(film) -> None:
    moving = replace(SHOT, preset="medium")
    made = film(moving, replace(moving, ground=BRIGHT), replace(moving, ground=MIDDLE))
    seen = watch(made.path)
    assert (len(seen.times), seen.steps) == (144, {round(1 / 24, 4)})
    assert seen.times[0] == 0.0
    assert made.failed_checks == ()


def test_a_bed_lies_under_the_whole_film_and_gives_way_to_what_is_heard(film, drawn) -> None:
    bed = drawn(Drawn(seconds=7, width=64, height=36, sound="tone", pitch=300, volume=20_000))
    talking = replace(SHOT, sound="tone", pitch=900)
    made = film(SHOT, talking, SHOT, sound=str(bed))
    seen = watch(made.path)
    alone, under = seen.tone(300, 0.2, 1.8), seen.tone(300, 2.3, 3.8)
    assert alone > -40
    assert alone - under > 6
    assert seen.tone(900, 2.3, 3.8) > under + 12
    assert near(len(seen.samples) / 48_000, 6.0, 0.05)
    assert made.failed_checks == ()


@pytest.mark.parametrize("given", ["missing", "no sound", "silent"])
def test_a_bed_that_cannot_be_heard_is_refused(given, film, drawn, tmp_path) -> None:
    path = {
        "missing": tmp_path / "nothing.mp3",
        "no sound": drawn(SHOT),
        "silent": drawn(replace(SHOT, sound="mute")),
    }[given]
    with pytest.raises(LocalError, match="The film's sound"):
        film(SHOT, sound=str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_clip_is_refused_by_its_shot_and_nothing_is_left(film, drawn, tmp_path) -> None:
    cut_list = CutList(
        clips=(Clip(shot="kiss", path=str(drawn(SHOT))), Clip(shot="farewell", path=str(tmp_path / "gone.mp4"))),
        target=str(tmp_path / "film.mp4"),
    )
    with pytest.raises(ClipError, match="shot farewell is not there") as caught:
        joined(cut_list, Work())
    assert caught.value.shot == "farewell"
    assert list(tmp_path.iterdir()) == []


async def test_a_full_disk_is_no_clips_fault(drawn, tmp_path, monkeypatch) -> None:
    """Packets are copied while their clip is open: what the disk says then was once told of the clip."""
    monkeypatch.setenv("PYTHONPATH", SmallDisk(tmp_path / "disk", 1).path)
    clips = tuple(
        Clip(shot=name, path=str(drawn(replace(SHOT, ground=ground)))) for name, ground in (("a", 60), ("b", 99))
    )
    with pytest.raises(LocalError, match="cannot be written") as caught:
        await isolated.join(CutList(clips=clips, target=str(tmp_path / "films" / "film.mp4")))
    assert not isinstance(caught.value, ClipError)
    assert caught.value.details == {"disk_full": True}
    assert list((tmp_path / "films").iterdir()) == []


async def test_a_joining_process_that_is_killed_leaves_no_half_file(drawn, tmp_path, monkeypatch) -> None:
    films = tmp_path / "films"
    monkeypatch.setenv("PYTHONPATH", SuddenEnd(tmp_path / "end", films).path)
    clips = tuple(Clip(shot=name, path=str(drawn(SHOT))) for name in ("a", "b"))
    with pytest.raises(LocalError, match="broke off") as caught:
        await isolated.join(CutList(clips=clips, target=str(films / "film.mp4")))
    assert "-9" in caught.value.why
    assert list(films.iterdir()) == []


def test_a_film_whose_sheet_has_no_room_stands_without_one(film, monkeypatch) -> None:
    def full(*_) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("mcp_server.media.joining.film.rows_beside", full)
    made = film(SHOT, replace(SHOT, ground=BRIGHT))
    assert (made.sheet, made.failed_checks) == ("", ())
    assert "there is no contact sheet: No space left on device" in made.notes
    assert Path(made.path).is_file()


def test_a_film_of_nothing_is_refused(tmp_path) -> None:
    with pytest.raises(RequestError, match="no clips"):
        joined(CutList(clips=(), target=str(tmp_path / "film.mp4")), Work())


def test_a_film_lies_alone_in_its_folder_with_its_sheet(film, tmp_path) -> None:
    made = film(SHOT, replace(SHOT, ground=BRIGHT))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film.mp4", "film.sheet.jpg"]
    assert Path(made.sheet).read_bytes()[:3] == b"\xff\xd8\xff"
