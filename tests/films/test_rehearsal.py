"""The sandbox plays a film whose shots differ as vendors' clips do, and one of which alone goes wrong."""

from __future__ import annotations

import av
from support.films import FilmMaking, board, states
from support.watched_films import watch

from mcp_server.media.joining.compared import apart
from mcp_server.media.probe import grid_maker
from mcp_server.sandbox.faults import parse

SOUND = {"provider": "runcomfy", "tier": "standard", "audio": True}


def spoil(films: FilmMaking, text: str) -> None:
    for fault in parse(text):
        films.vendors.box.armed.add(fault)


def first_and_last(path: str) -> tuple[bytes, bytes]:
    with av.open(path) as container:
        shown = list(map(grid_maker(), container.decode(video=0)))
    # Above and below stands what the sandbox writes on every picture.
    middle = slice(len(shown[0]) // 3, len(shown[0]) * 2 // 3)
    return shown[0][middle], shown[-1][middle]


async def test_shots_of_other_sizes_mute_or_soft_become_one_even_film(films: FilmMaking) -> None:
    spoil(films, "*=clip_soft~picture 2,*=clip_small~picture 3,*=clip_silent~picture 4")
    film = await films.made(board("cut", "continue", "cut", "cut", look=SOUND))

    assert film.state == "succeeded" and film.failed_checks == [], film
    assert any(note.startswith("shot s2 was made") and note.endswith("dB louder") for note in film.notes)
    assert "shot s3 is 640x360, enlarged to 1280x720" in film.notes
    assert "shot s4 has no sound track: silence" in film.notes

    seen = watch(film.video_path or "")
    assert seen.sizes == {(1280, 720)} and len(seen.steps) == 1
    levels = [seen.level(start + 0.2, start + 2.8) for start in (0, 3, 6)]
    assert max(levels) - min(levels) < 2
    assert seen.level(9.2, 11.8) < -60
    # What continues begins with what the one before ended with.
    one, two = (first_and_last(film.shots[number].video_path or "") for number in (0, 1))
    assert apart(one[1], two[0]) < 2.5 < apart(two[0], two[1])


async def test_the_shot_that_is_meant_to_fail_fails_alone(films: FilmMaking) -> None:
    spoil(films, "*=failed~picture 2")
    film = await films.made(board("cut", "cut", "cut"))

    assert states(film) == {"s1": "succeeded", "s2": "failed", "s3": "succeeded"}
    assert films.orders() == 3
