"""What was delivered is held against what was ordered: each way to differ is drawn, and named."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import av
import pytest
from support.drawn_clips import Drawn

from mcp_server.domain.delivered import Delivered
from mcp_server.errors import LocalError
from mcp_server.media import isolated
from mcp_server.media.compare import Bill, differences
from mcp_server.media.frames import (
    contact_sheet,
    last_frame,
    last_frame_beside,
    sheet_beside,
)
from mcp_server.media.probe import grid_maker, look

ORDER = {"duration": 5, "aspect_ratio": "16:9", "resolution": "720p", "audio": False}


WRONG = [
    pytest.param({}, Drawn(seconds=10), "ordered 5 s, got 10 s", id="longer"),
    pytest.param({}, Drawn(seconds=3), "ordered 5 s, got 3 s", id="shorter"),
    pytest.param({}, Drawn(sound="tone"), "ordered silent, got a clip with sound", id="sound nobody ordered"),
    pytest.param({"audio": True}, Drawn(), "ordered with sound, got no sound track", id="no sound track"),
    pytest.param(
        {"audio": True},
        Drawn(sound="mute"),
        "ordered with sound, got a sound track that holds only silence",
        id="a mute track",
    ),
    pytest.param({}, Drawn(seconds=10, sound="tone"), "ordered 5 s silent, got 10 s with sound", id="longer and loud"),
    pytest.param({}, Drawn(width=720, height=1280), "ordered 16:9, got 9:16 (720x1280)", id="upright"),
    pytest.param({}, Drawn(width=960, height=960), "ordered 16:9, got 1:1 (960x960)", id="square"),
    pytest.param({"resolution": "1080p"}, Drawn(), "ordered 1080p, got 1280x720", id="smaller"),
    pytest.param({"resolution": "4k"}, Drawn(width=1920, height=1080), "ordered 4k, got 1920x1080", id="no 4k"),
    pytest.param({}, Drawn(width=1920, height=1080), "ordered 720p, got 1920x1080", id="bigger"),
    pytest.param({}, Drawn(look="black"), "the picture is black from beginning to end", id="black"),
    pytest.param({}, Drawn(look="noisy black"), "the picture is black from beginning to end", id="not quite black"),
    pytest.param({}, Drawn(look="ends black"), "2.5 of 5 s are black", id="half black"),
    pytest.param({}, Drawn(look="frozen"), "the picture is frozen: nothing moves from beginning to end", id="frozen"),
    pytest.param({}, Drawn(look="stops"), "the picture stands still for 3.8 of 5 s", id="stops moving"),
]


@pytest.mark.parametrize(("order", "clip", "sentence"), WRONG)
def test_each_way_a_file_can_differ_is_named_and_nothing_else_is(order, clip, sentence, drawn) -> None:
    assert differences(ORDER | order, look(drawn(clip))) == (sentence,)


RIGHT = [
    pytest.param({}, Drawn(), id="as ordered"),
    pytest.param({}, Drawn(look="faint"), id="one small thing moves in the dark"),
    pytest.param({}, Drawn(look="night"), id="dark, but not black"),
    pytest.param({}, Drawn(seconds=5.09, fps=30), id="three frames more than ordered"),
    pytest.param({}, Drawn(sound="mute"), id="a mute track in a silent clip does no harm"),
    pytest.param({"audio": True}, Drawn(sound="tone"), id="sound as ordered"),
    pytest.param({"audio": None}, Drawn(sound="tone"), id="nobody said anything about sound"),
    pytest.param({}, Drawn(width=1288, height=720), id="sides rounded to the encoder's blocks"),
    pytest.param({}, Drawn(width=640, height=720, shape=Fraction(2, 1)), id="pixels that are not square"),
    pytest.param({"aspect_ratio": "9:16"}, Drawn(width=720, height=1280), id="upright as ordered"),
    pytest.param({"aspect_ratio": "1:1"}, Drawn(width=960, height=960), id="square keeps the pixels"),
    pytest.param({"aspect_ratio": "1:1"}, Drawn(width=720, height=720), id="or keeps the side"),
    pytest.param({"aspect_ratio": "auto"}, Drawn(width=720, height=1280), id="auto promises no shape"),
    pytest.param({"duration": None, "resolution": None, "aspect_ratio": None}, Drawn(seconds=3), id="nothing promised"),
    pytest.param({"duration": 10}, Drawn(seconds=10, cuts=(5,)), id="a cut is no defect"),
]


@pytest.mark.parametrize(("order", "clip"), RIGHT)
def test_a_clip_as_ordered_differs_in_nothing(order, clip, drawn) -> None:
    assert differences(ORDER | order, look(drawn(clip))) == ()


def test_what_the_file_is_stands_in_the_answer(drawn) -> None:
    assert look(drawn(Drawn(sound="tone"))).facts() == {
        "duration": 5.0,
        "width": 1280,
        "height": 720,
        "aspect_ratio": "16:9",
        "fps": 24.0,
        "frames": 120,
        "audio": True,
    }
    assert look(drawn(Drawn(look="black"))).facts()["black"] is True


@pytest.mark.parametrize("where", ["within a picture", "between two pictures"])
def test_a_file_cut_short_says_where_it_breaks_off(where, drawn, tmp_path) -> None:
    whole, starts = tmp_path / "whole.mp4", []
    with av.open(str(drawn(Drawn()))) as source, av.open(str(whole), "w", options={"movflags": "+faststart"}) as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    with av.open(str(whole)) as container:
        starts = [packet.pos for packet in container.demux(video=0) if packet.dts is not None]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: starts[60] + (0 if where.startswith("between") else 40)])

    found = differences(ORDER, look(cut))

    assert found[0] == "ordered 5 s, got 2.5 s"
    assert found[1].startswith("the file breaks off after 2.5 s: ")


@pytest.mark.parametrize("content", [b"", b"<html>sorry</html>", b"\0" * 5000], ids=["empty", "a web page", "zeros"])
def test_a_file_that_is_no_clip_is_a_difference_not_a_crash(content, tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    (sentence,) = differences(ORDER, look(path))
    assert sentence.startswith("the file is no clip that plays: ")


def test_pictures_of_any_size_and_kind_become_the_same_grids_in_any_order(drawn) -> None:
    """What makes them is set up once and kept; what it made last leaves nothing behind."""
    frames: list[av.VideoFrame] = []
    for clip in (Drawn(look="grain", seconds=1), Drawn(width=640, height=360, seconds=1)):
        with av.open(str(drawn(clip))) as container:
            first = next(container.decode(video=0))
        frames += [first, first.reformat(format="yuvj420p"), first.reformat(format="rgb24")]
    alone = [grid_maker()(frame) for frame in frames]
    kept = grid_maker()
    assert [kept(frame) for frame in frames] == alone
    assert [kept(frame) for frame in reversed(frames)] == alone[::-1]
    assert len(set(alone)) > 1


def test_a_sound_file_is_no_clip(tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w", format="mp4") as out:
        audio = out.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=1024)
        frame.sample_rate = 44_100
        out.mux(audio.encode(frame))
        out.mux(audio.encode(None))
    assert differences(ORDER, look(path)) == ("the file is no clip that plays: there is no picture in it",)


def _ten_seconds_loud() -> Delivered:
    return Delivered(duration=10.0, width=1280, height=720, frames=240, fps=24.0, audio=True)


def test_what_the_vendor_charged_stands_with_the_difference() -> None:
    bill = Bill(quoted=Decimal("0.56"), charged=Decimal("1.12"), per_second=Decimal("0.112"))
    assert differences(ORDER, _ten_seconds_loud(), bill) == (
        "ordered 5 s silent, got 10 s with sound: billed double ($1.12 instead of $0.56)",
    )


def test_without_a_bill_the_quoted_rate_says_what_the_length_is_worth() -> None:
    bill = Bill(quoted=Decimal("0.56"), per_second=Decimal("0.112"))
    assert differences(ORDER | {"audio": None}, _ten_seconds_loud(), bill) == (
        "ordered 5 s, got 10 s: at the quoted $0.112 per second that is $1.12 instead of $0.56",
    )


def test_credits_stay_credits() -> None:
    bill = Bill(quoted=Decimal(100), charged=Decimal(50), currency="credits")
    short = Delivered(duration=2.5, width=1280, height=720, frames=60)
    assert differences(ORDER, short, bill) == (
        "ordered 5 s, got 2.5 s: billed half (50 credits instead of 100 credits)",
    )


def test_a_bill_as_quoted_says_nothing_of_money() -> None:
    bill = Bill(quoted=Decimal("0.56"), charged=Decimal("0.56"), per_second=Decimal("0.112"))
    assert differences(ORDER | {"audio": None}, _ten_seconds_loud(), bill) == ("ordered 5 s, got 10 s",)


def test_a_bill_alone_is_no_difference() -> None:
    bill = Bill(quoted=Decimal(1), charged=Decimal(2))
    as_ordered = Delivered(duration=5.0, width=1280, height=720, frames=120)
    assert differences(ORDER, as_ordered, bill) == ()


def _pictures(data: bytes) -> list[av.VideoFrame]:
    import io

    with av.open(io.BytesIO(data)) as container:
        return [frame.reformat(format="gray") for frame in container.decode(video=0)]


def _brightness(frame: av.VideoFrame, left: float, top: float) -> int:
    plane = frame.planes[0]
    return bytes(plane)[int(frame.height * top) * plane.line_size + int(frame.width * left)]


def test_the_sheet_shows_six_moments_from_first_to_last(drawn) -> None:
    (sheet,) = _pictures(contact_sheet(drawn(Drawn())))
    assert (sheet.width, sheet.height) == (3 * 360 + 2 * 4, 2 * 202 + 4)


def test_the_sheet_of_several_shots_shows_each_of_them(drawn) -> None:
    (sheet,) = _pictures(contact_sheet(drawn(Drawn(seconds=6, cuts=(2.125, 4.125))), shots=(2, 2, 2)))
    # The cuts come three frames later than ordered. Three shots and the last frame: the grounds get brighter with each shot (see clips.py).
    seen = [_brightness(sheet, left, top) for left, top in ((0.1, 0.1), (0.45, 0.1), (0.8, 0.1), (0.1, 0.6))]
    assert seen[0] < seen[1] - 20 < seen[2] - 40
    assert abs(seen[2] - seen[3]) < 5


def test_an_upright_clip_becomes_one_row(drawn) -> None:
    (sheet,) = _pictures(contact_sheet(drawn(Drawn(width=720, height=1280))))
    assert sheet.width > 3 * sheet.height


def test_the_sheet_stays_small_even_of_noise(tmp_path) -> None:
    import random

    path, dice = tmp_path / "noise.mp4", random.Random(7)
    with av.open(str(path), "w", format="mp4") as out:
        video = out.add_stream("libx264", rate=4, options={"preset": "ultrafast", "crf": "12"})
        video.width, video.height, video.pix_fmt = 1920, 1080, "yuv420p"
        for index in range(6):
            frame = av.VideoFrame(1920, 1080, "yuv420p")
            for plane in frame.planes:
                plane.update(dice.randbytes(plane.buffer_size))
            frame.pts = index
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    assert 10_000 < len(contact_sheet(path)) <= 150_000


def test_the_last_frame_is_the_last_and_in_full_size(drawn) -> None:
    (last,) = _pictures(last_frame(drawn(Drawn())))
    assert (last.width, last.height) == (1280, 720)
    # The block has wandered to the right edge by then (see clips.py).
    assert _brightness(last, 0.96, 0.55) > 180
    assert _brightness(last, 0.02, 0.55) < 90


def test_pictures_lie_beside_the_clip_and_are_made_once(drawn, tmp_path) -> None:
    clip = tmp_path / "2026-11-21-neon.mp4"
    clip.write_bytes(drawn(Drawn()).read_bytes())

    sheet, last = sheet_beside(clip), last_frame_beside(clip)

    assert (sheet.name, last.name) == ("2026-11-21-neon.sheet.jpg", "2026-11-21-neon.last.png")
    before = sheet.stat().st_mtime_ns, last.stat().st_mtime_ns
    assert (sheet_beside(clip).stat().st_mtime_ns, last_frame_beside(clip).stat().st_mtime_ns) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([clip.name, sheet.name, last.name])


def test_no_picture_of_a_broken_file_is_an_error_in_our_words(tmp_path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not a clip")
    for ask in (contact_sheet, last_frame, sheet_beside):
        with pytest.raises(LocalError, match="No picture can be taken"):
            ask(path)
    assert list(tmp_path.iterdir()) == [path]


async def test_looking_does_not_stop_the_event_loop(drawn) -> None:
    path = drawn(Drawn(width=1920, height=1080, seconds=5))
    late, running = 0.0, True

    async def beat() -> None:
        nonlocal late
        while running:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            late = max(late, time.perf_counter() - before - 0.005)

    heart = asyncio.create_task(beat())
    began = time.perf_counter()
    await asyncio.to_thread(look, path)
    took, running = time.perf_counter() - began, False
    await heart
    # Held lock, the loop would stand still for the whole look; decoding lets go of it.
    assert late < max(0.1, took * 0.6)


def _task(**changes):
    from mcp_server.domain.task import Settlement, Task

    facts = {
        "id": "kv-1", "state": "saving", "created_at": 0.0, "updated_at": 0.0, "provider": "runapi", "simulated": False,
        "offer_id": "o", "model": "kling-3.0", "tier": "pro", "mode": "text-to-video", "prompt": "", "request": {},
        "request_digest": "", "call": {}, "route": "", "warnings": (), "quote_amount": Decimal("0.56"),
        "quote_currency": "USD", "quote_usd": Decimal("0.56"), "quote": {"arithmetic": "5 s × $0.112 (silent) = $0.56"},
        "reserved_usd": Decimal(0), "idempotency_key": None, "owner": "", "output_dir": "",
        "ordered": ORDER,
        "settlement": Settlement(amount=Decimal("1.12"), currency="USD", usd=Decimal("1.12"), basis="reported"),
    }  # fmt: skip
    return Task(**(facts | changes))


def _artifact(path: Path):
    from mcp_server.domain.task import Artifact

    return Artifact(path=str(path), sha256="", bytes=0, media_type="video/mp4", saved_at=0.0)


async def test_a_saved_clip_is_examined_in_a_process_of_its_own(drawn) -> None:
    found = await isolated.examined(_task(), _artifact(drawn(Drawn(seconds=10, sound="tone"))))

    assert found.delivered["duration"] == 10.0
    assert found.differences == ("ordered 5 s silent, got 10 s with sound: billed double ($1.12 instead of $0.56)",)


async def test_the_look_leaves_a_poster_and_one_that_cannot_be_kept_changes_nothing(drawn, tmp_path) -> None:
    artifact, folder = _artifact(drawn(Drawn(seconds=10, sound="tone"))), tmp_path / "posters"
    found = await isolated.examined(_task(), artifact, folder)
    left = isolated.poster_at(folder, _task())
    made = await isolated.poster(artifact.path, tmp_path / "made.jpg")
    assert left.read_bytes() == made.read_bytes(), "who looks and who shows make the same picture"

    (tmp_path / "file").write_bytes(b"no folder")
    assert await isolated.examined(_task(), artifact, tmp_path / "file") == found


async def test_a_price_per_clip_is_not_multiplied_by_seconds(drawn) -> None:
    task = _task(quote={"arithmetic": "$0.56 per clip, whatever its length"}, settlement=None)
    found = await isolated.examined(task, _artifact(drawn(Drawn(seconds=10))))
    assert found.differences == ("ordered 5 s, got 10 s",)


async def test_a_file_nobody_can_open_leaves_the_purchase_done_and_says_so(tmp_path) -> None:
    clip = tmp_path / "clip.mp4"
    clip.write_bytes(b"no clip")
    found = await isolated.examined(_task(), _artifact(clip))
    assert found.differences[0].startswith("the file is no clip that plays")


async def test_a_decoder_that_dies_takes_nothing_with_it(drawn, monkeypatch) -> None:
    # A path with a NUL byte cannot even be handed to a process: as bad as a crash in it.
    artifact = _artifact(Path("x\0.mp4"))
    assert await isolated.examined(_task(), artifact) == artifact
    monkeypatch.setattr(isolated, "_TIME_S", 0.01)
    artifact = _artifact(drawn(Drawn()))
    assert await isolated.examined(_task(), artifact) == artifact


async def test_many_clips_are_examined_a_few_at_a_time(monkeypatch) -> None:
    begun, let_go, artifact = [], asyncio.Event(), object()

    async def look(task, artifact, posters):
        begun.append(task)
        await let_go.wait()
        return artifact

    monkeypatch.setattr(isolated, "examined", look)
    examine = isolated.in_turns(2)
    looks = [asyncio.create_task(examine(number, artifact)) for number in range(5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert begun == [0, 1]

    let_go.set()
    assert await asyncio.gather(*looks) == [artifact] * 5
    assert begun == [0, 1, 2, 3, 4]


async def test_without_the_extra_a_clip_is_simply_not_examined(drawn, monkeypatch) -> None:
    monkeypatch.setattr("mcp_server.media.available", lambda: False)
    artifact = _artifact(drawn(Drawn()))
    assert await isolated.examined(_task(), artifact) == artifact
    with pytest.raises(LocalError, match="media"):
        await isolated.sheet(artifact.path)


async def test_pictures_are_made_apart_too(drawn, tmp_path) -> None:
    clip = tmp_path / "c.mp4"
    clip.write_bytes(drawn(Drawn(seconds=6, cuts=(2, 4))).read_bytes())
    sheet = await isolated.sheet(str(clip), [{"prompt": "a", "duration": 2}, {"prompt": "b", "duration": 4}])
    assert sheet == tmp_path / "c.sheet.jpg"
    assert len(_pictures(sheet.read_bytes())) == 1
    assert await isolated.last_frame(str(clip)) == tmp_path / "c.last.png"


async def test_the_folder_it_is_started_in_is_not_trusted(drawn, tmp_path, monkeypatch) -> None:
    path = drawn(Drawn())
    for name in ("av.py", "json.py", "mcp_server.py"):
        (tmp_path / name).write_text("raise SystemExit('somebody else')")
    monkeypatch.chdir(tmp_path)
    assert (await isolated.examined(_task(), _artifact(path))).delivered["frames"] == 120
