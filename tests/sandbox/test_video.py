"""The clips are what was ordered: opened with PyAV and measured, not believed."""

from __future__ import annotations

import base64
import os
import time
from array import array
from dataclasses import replace
from io import BytesIO
from math import log10
from operator import sub
from pathlib import Path
from typing import Any

import av
import pytest
from support.sandboxes import BY_VENDOR, bench, bought, link

from mcp_server.sandbox.jobs import ClipOrder, Scene, life_seconds, listed, numbered, pixels, sandbox_seconds
from mcp_server.sandbox.video.cache import PREBUILT
from mcp_server.sandbox.video.drawing import Still
from mcp_server.sandbox.video.font import drawable, wrap
from mcp_server.sandbox.video.render import Clip, render
from release.prebuilt_clip import CLIP


def planes(clip: bytes | Path, at: int) -> tuple[float, float, float]:
    """Mean luma and chroma of a frame; negative counts from the end."""
    with av.open(str(clip) if isinstance(clip, Path) else BytesIO(clip)) as source:
        frames = list(source.decode(video=0))
    frame = frames[at]
    means = []
    for plane in frame.planes:
        data, stride = bytes(plane), plane.line_size
        rows = [data[row * stride : row * stride + plane.width] for row in range(plane.height)]
        means.append(sum(map(sum, rows)) / (plane.width * plane.height))
    return tuple(means)  # type: ignore[return-value]


def facts(data: bytes | Path) -> dict[str, Any]:
    with av.open(str(data) if isinstance(data, Path) else BytesIO(data)) as source:
        video = source.streams.video[0]
        return {
            "codec": video.codec_context.name,
            "pixels": video.codec_context.pix_fmt,
            "size": (video.width, video.height),
            "seconds": float(video.duration * video.time_base),
            "frames": video.frames,
            "audio": [stream.codec_context.name for stream in source.streams.audio],
            "audio_seconds": [float(stream.duration * stream.time_base) for stream in source.streams.audio],
        }


def picture(red: int, green: int, blue: int, width: int = 320, height: int = 180) -> bytes:
    """A PNG of one colour."""
    held = BytesIO()
    with av.open(held, "w", format="image2pipe") as output:
        stream = output.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = width, height, "rgb24"
        frame = av.VideoFrame(width, height, "rgb24")
        for plane in frame.planes:
            row = bytes((red, green, blue)) * width
            plane.update(b"".join(row.ljust(plane.line_size, b"\0") for _ in range(height)))
        frame.pts = 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return held.getvalue()


async def fetched(b: Any, protocol: Any, **changes: Any) -> bytes:
    job = await bought(b, protocol, **changes)
    b.finish()
    reply = await b.stranger.get(await link(b, protocol, job))
    assert reply.status_code == 200, reply.text
    assert reply.headers["x-simulated"] == "true"
    return reply.content


@pytest.mark.parametrize(
    ("changes", "size", "seconds", "sound"),
    [
        ({}, (720, 1280), 3, True),
        ({"output_resolution": "1080p", "enable_sound": False, "duration_seconds": 4}, (1080, 1920), 4, False),
        ({"aspect_ratio": "1:1", "enable_sound": False}, (720, 720), 3, False),
        ({"aspect_ratio": "16:9", "output_resolution": "4k"}, (3840, 2160), 3, True),
    ],
    ids=["vertical with sound", "vertical 1080p silent", "square", "4k"],
)
async def test_a_clip_has_the_ordered_size_length_and_sound(changes, size, seconds, sound) -> None:  # type: ignore[no-untyped-def]
    async with bench() as b:
        found = facts(await fetched(b, BY_VENDOR["runapi"], **changes))

    assert (found["codec"], found["pixels"], found["size"]) == ("h264", "yuv420p", size)
    frame = seconds / found["frames"]
    assert abs(found["seconds"] - seconds) <= frame
    assert found["audio"] == (["aac"] if sound else [])
    assert all(abs(length - seconds) <= 2 * frame for length in found["audio_seconds"])


async def test_a_clip_can_be_played_while_it_is_still_coming() -> None:
    async with bench() as b:
        data = await fetched(b, BY_VENDOR["runapi"])

    assert data.index(b"moov") < data.index(b"mdat")


async def test_shots_are_cuts_where_they_were_ordered() -> None:
    shots = [{"prompt": "a wide canal", "duration_seconds": 1}, {"prompt": "a close boat", "duration_seconds": 2}]
    async with bench() as b:
        data = await fetched(b, BY_VENDOR["runapi"], multi_shots=True, multi_prompt=shots, prompt="x")

    with av.open(BytesIO(data)) as source:
        frames = [tuple(bytes(plane)[5000:5010] for plane in frame.planes[1:]) for frame in source.decode(video=0)]
    changes = [number for number, (one, two) in enumerate(zip(frames, frames[1:], strict=False), 1) if one != two]
    assert [number / 24 for number in changes if colours_differ(frames[number - 1], frames[number])] == [1.0]


def colours_differ(one: tuple[bytes, ...], two: tuple[bytes, ...]) -> bool:
    return any(abs(a[0] - b[0]) > 4 for a, b in zip(one, two, strict=True))


async def test_every_frame_differs_from_the_one_before() -> None:
    async with bench() as b:
        data = await fetched(b, BY_VENDOR["kling3api"])

    with av.open(BytesIO(data)) as source:
        frames = [bytes(frame.planes[0]) for frame in source.decode(video=0)]
    assert all(one != two for one, two in zip(frames, frames[1:], strict=False))


async def test_given_pictures_are_the_first_and_the_last_frame() -> None:
    red, blue = picture(255, 0, 0), picture(0, 0, 255)
    inside = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (red, blue)]
    protocol = BY_VENDOR["runcomfy"]
    body = {"prompt": "x", "image": inside[0], "end_image": inside[1], "duration": 3, "sound": False}
    async with bench() as b:
        address = f"{b.host}/runcomfy/v1/models/kling/kling-video-o3/pro/image-to-video"
        reply = await b.client.post(address, json=body)
        assert reply.status_code == 200, reply.text
        b.finish()
        data = (await b.stranger.get(await link(b, protocol, reply.json()["request_id"]))).content
        journal = await b.journal()

    _, blue_first, red_first = planes(data, 0)
    _, blue_last, red_last = planes(data, -1)
    assert red_first > 200 and blue_first < 128
    assert blue_last > 200 and red_last < 128
    assert inside[0][30:60] not in str(journal)


async def test_an_uploaded_picture_decides_the_shape() -> None:
    import hashlib

    data = picture(0, 255, 0, width=200, height=300)
    checksum = base64.b64encode(hashlib.md5(data).digest()).decode()
    async with bench() as b:
        files = f"{b.host}/runapi/api/v1/files"
        asked = {"filename": "tall.png", "byte_size": len(data), "checksum": checksum}
        prepared = (await b.client.post(f"{files}/prepare", json=asked)).json()
        await b.stranger.put(prepared["upload_url"], content=data, headers=prepared["headers"])
        url = (await b.client.post(f"{files}/confirm", json={"signed_id": prepared["signed_id"]})).json()["url"]
        body = {"model": "kling-3.0", "prompt": "x", "duration_seconds": 3, "first_frame_image_url": url}
        job = (await b.client.post(f"{b.host}/runapi/api/v1/kling/text_to_video", json=body)).json()["id"]
        b.finish()
        clip = (await b.stranger.get(await link(b, BY_VENDOR["runapi"], job))).content

    assert facts(clip)["size"] == (720, 1080)
    luma, blue, red = planes(clip, 0)
    assert luma > 100 and blue < 90 and red < 90


async def test_a_picture_by_address_is_drawn_as_a_labelled_frame_and_never_fetched() -> None:
    async with bench() as b:
        data = await fetched(b, BY_VENDOR["uniall"], image="https://example.com/secret.png?token=abc")

    _, blue, red = planes(data, 0)
    assert abs(blue - 128) < 4 and abs(red - 128) < 4


def loudness(data: bytes) -> float:
    """Of the whole clip, in dB below full scale."""
    with av.open(BytesIO(data)) as source:
        samples = array("f")
        for frame in source.decode(audio=0):
            samples.frombytes(bytes(frame.planes[0])[: frame.samples * 4])
    return 10 * log10(sum(value * value for value in samples) / len(samples))


DEFECTS = {
    "clip_black": lambda found, data: planes(data, -1)[0] < 20,
    "clip_long": lambda found, data: found["seconds"] == 5,
    "clip_size": lambda found, data: found["size"] == (1280, 720),
    "clip_small": lambda found, data: found["size"] == (360, 640),
    "clip_soft": lambda found, data: loudness(data) < -30,
    "clip_silent": lambda found, data: found["audio"] == [],
    "clip_frozen": lambda found, data: planes(data, 0) == pytest.approx(planes(data, -1), abs=0.5),
}


@pytest.mark.parametrize("kind", DEFECTS)
async def test_a_clip_can_be_wrong_in_exactly_one_way(kind: str) -> None:
    async with bench() as b:
        await b.fault(f"runapi={kind}")
        data = await fetched(b, BY_VENDOR["runapi"])
        good = await fetched(b, BY_VENDOR["runapi"])

    found = facts(data)
    assert DEFECTS[kind](found, data)
    assert not DEFECTS[kind](facts(good), good)


async def test_a_silent_clip_can_come_with_sound() -> None:
    async with bench() as b:
        await b.fault("runapi=clip_sound")
        assert facts(await fetched(b, BY_VENDOR["runapi"], enable_sound=False))["audio"] == ["aac"]


async def test_a_clip_is_kept_until_it_is_fetched_to_its_end_and_drawn_alike_for_whoever_asks_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "sandbox.db.clips"
    async with bench(tmp_path / "sandbox.db") as b:
        job = await bought(b, BY_VENDOR["runapi"])
        b.finish()
        url = await link(b, BY_VENDOR["runapi"], job)
        part = await b.stranger.get(url, headers={"Range": "bytes=0-99"})
        assert (part.status_code, len(list(folder.iterdir()))) == (206, 1)
        whole = await b.stranger.get(url)
        assert list(folder.iterdir()) == []
        rest = await b.stranger.get(url, headers={"Range": "bytes=100-", "If-Range": whole.headers["etag"]})

    assert part.content + rest.content == whole.content
    assert rest.status_code == 206


async def test_clips_that_nobody_fetches_stay_few_and_what_is_old_goes(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr("mcp_server.sandbox.video.cache.KEPT", 2)
    folder = tmp_path / "sandbox.db.clips"
    folder.mkdir()
    for name in ("old.mp4", "half.77.part"):
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (1, 1))
    async with bench(tmp_path / "sandbox.db") as b:
        for prompt in ("one", "one", "two", "three"):
            job = await bought(b, BY_VENDOR["runapi"], prompt=prompt)
            b.finish()
            await b.stranger.get(await link(b, BY_VENDOR["runapi"], job), headers={"Range": "bytes=0-99"})

    left = list(folder.iterdir())
    assert len(left) == 2 and not {"old.mp4", "half.77.part"} & {path.name for path in left}


def lumas(clip: bytes | Path) -> list[bytes]:
    """The brightness of every picture, without padding."""
    with av.open(str(clip) if isinstance(clip, Path) else BytesIO(clip)) as source:
        return [
            b"".join(plane[row * line : row * line + frame.width] for row in range(frame.height))
            for frame in source.decode(video=0)
            for plane, line in [(bytes(frame.planes[0]), frame.planes[0].line_size)]
        ]


def apart(one: bytes, two: bytes) -> float:
    return sum(map(abs, map(sub, one, two))) / len(one)


def test_the_camera_moves_and_other_words_are_another_place_with_another_tune(tmp_path: Path) -> None:
    def drawn(prompt: str) -> Path:
        path = tmp_path / f"{prompt}.mp4"
        render(Clip(width=640, height=360, audio=True, title="x", shots=(Scene(prompt=prompt, seconds=2),)), path)
        return path

    def heard(path: Path) -> bytes:
        with av.open(str(path)) as source:
            return b"".join(bytes(frame.planes[0]) for frame in source.decode(audio=0))

    rain, sand = drawn("rain on a roof"), drawn("a desert at noon")
    # A quarter of the picture from the bottom, above the counter: where the road is.
    road = slice(640 * 250, 640 * 330)
    frames = lumas(rain)
    assert all(apart(frames[at][road], frames[at + 6][road]) > 0.5 for at in range(0, 42, 6))
    assert apart(frames[0], lumas(sand)[0]) > 10
    assert planes(rain, 0)[1:] != pytest.approx(planes(sand, 0)[1:], abs=4)
    assert heard(rain) != heard(sand)


def test_simulated_is_written_across_the_top_of_every_picture(tmp_path: Path) -> None:
    """White letters on black, whatever is behind them."""
    for width, height, first in ((640, 360, None), (360, 640, Still(label="x", data=picture(255, 255, 255)))):
        path = tmp_path / f"{width}.mp4"
        clip = Clip(width=width, height=height, audio=False, title="x", shots=(Scene(prompt="a", seconds=1),))
        render(replace(clip, first=first), path)
        for luma in lumas(path):
            word = b"".join(luma[row * width + 4 : row * width + 220] for row in range(4, 4 + 28))
            white, black = (sum(map(shade, word)) / len(word) for shade in (lambda v: v > 190, lambda v: v < 64))
            assert 0.3 < white < 0.5 and black > 0.4


def test_a_given_picture_is_the_first_one_whole_and_left_at_once(tmp_path: Path) -> None:
    """As image-to-video does: the first picture is the one given, but for what is written on it."""
    scene = Clip(width=640, height=360, audio=False, title="x", shots=(Scene(prompt="a canal", seconds=1),))
    render(scene, tmp_path / "one.mp4")
    still = tmp_path / "last.png"
    isolated_frame(tmp_path / "one.mp4", still)
    given = replace(scene, first=Still(label="x", data=still.read_bytes()), shots=(Scene(prompt="a sea", seconds=3),))
    render(given, tmp_path / "two.mp4")
    before, after = lumas(tmp_path / "one.mp4")[-1], lumas(tmp_path / "two.mp4")
    unlettered = slice(640 * 160, 640 * 330)
    assert apart(before[unlettered], after[0][unlettered]) < 3
    assert apart(before[unlettered], after[-1][unlettered]) > 8
    assert apart(after[0], after[3]) > 0.2


def isolated_frame(clip: Path, still: Path) -> None:
    from mcp_server.media.frames import last_frame

    still.write_bytes(last_frame(clip))


def test_the_same_clip_is_the_same_bytes(tmp_path: Path) -> None:
    clip = Clip(width=640, height=360, audio=True, title="x", shots=(Scene(prompt="雨 in the Café", seconds=1),))
    for name in ("a", "b"):
        render(clip, tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_drawing_is_cheap(tmp_path: Path) -> None:
    """CPU seconds, with room for a slow machine: 5 s of 720p take about 0.3 here, 10 s of 4k about 2.5."""
    began = time.process_time()
    render(
        Clip(width=1280, height=720, audio=True, title="x", shots=(Scene(prompt="x", seconds=5),)),
        tmp_path / "720p.mp4",
    )

    assert time.process_time() - began < 2


async def test_without_the_extra_a_real_clip_is_served_and_said_to_be_the_same_for_all() -> None:
    async with bench(rendering=False) as b:
        data = await fetched(b, BY_VENDOR["runapi"], prompt="one")
        job = await bought(b, BY_VENDOR["runapi"], prompt="two")
        b.finish()
        other = await b.stranger.get(await link(b, BY_VENDOR["runapi"], job))
        entries = (await b.journal(action="submit"))["entries"]
        notice = (await b.client.get(f"{b.host}/health")).json()["notice"]

    assert data == other.content == PREBUILT.read_bytes()
    assert other.headers["x-simulated-prebuilt"] == "true"
    assert "media" in notice and all(entry["facts"]["notice"] == notice for entry in entries)


def test_the_prebuilt_clip_is_a_real_one_and_small() -> None:
    found = facts(PREBUILT)

    assert (found["codec"], found["audio"], found["size"]) == ("h264", ["aac"], (CLIP.width, CLIP.height))
    assert PREBUILT.stat().st_size < 100_000


def test_shots_are_found_in_a_list_and_in_a_prompt() -> None:
    def told(shots: Any) -> list[tuple[str, float]]:
        return [(shot.prompt, shot.seconds) for shot in shots]

    assert told(numbered("Rain. Shot 1: wide of a canal. Shot 2: the boat", 5)) == [
        ("wide of a canal.", 2.5),
        ("the boat", 2.5),
    ]
    assert told(numbered("Shot 1 (2 s): wide\nShot 2 (3 s): close", 5)) == [("wide", 2), ("close", 3)]
    assert told(numbered("Shot 1 (9 s): wide\nShot 2 (3 s): close", 5)) == [("wide", 2.5), ("close", 2.5)]
    assert told(numbered("shot 1, 2, wide; it rains; shot 2, 3, close;", 5)) == [("wide; it rains", 2), ("close", 3)]
    assert told(numbered("a Shot 1: glass", 5)) == [("a Shot 1: glass", 5)]
    assert told(listed([{"prompt": "a", "duration": 1}, {"prompt": "b", "duration": 4}], 5)) == [("a", 1), ("b", 4)]
    assert told(listed(["a", {"prompt": "b", "duration": "4"}], 6)) == [("a", 3), ("b", 3)]
    assert told(listed([{"prompt": "a", "duration": "1"}, {"prompt": "b", "duration": "4"}], 5)) == [("a", 1), ("b", 4)]
    assert told(listed('[{"prompt": "a", "duration": 1}, {"prompt": "b", "duration": 4}]', 5)) == [("a", 1), ("b", 4)]
    assert listed(None, 5) == listed([], 5) == listed("x", 5) == ()


def test_words_fit_and_keep_their_letters() -> None:
    assert drawable("  Café\n naïve ") == "CAFE NAIVE"
    lines = wrap("a neon city in the rain with supercalifragilistic lights", letters=12, lines=3)
    assert len(lines) == 3 and all(len(line) <= 12 for line in lines) and lines[-1].endswith("...")


def test_pixels_follow_the_ratio_or_the_picture() -> None:
    def size(picture: tuple[int, int] | None = None, **facts: Any) -> tuple[int, int]:
        return pixels(ClipOrder(vendor="x", endpoint="x", vendor_model="x", **facts), picture)

    assert size(ratio="9:16", tier="pro") == (1080, 1920)
    assert size(ratio="21:9", resolution="720p") == (1680, 720)
    assert size(tier="4k") == (3840, 2160)
    assert size((300, 200), tier="standard") == (1080, 720)
    assert size(ratio="auto", tier="standard") == (1280, 720)


def test_heavy_clips_take_longer_and_life_takes_half_a_minute_to_two() -> None:
    light = ClipOrder(vendor="x", endpoint="x", vendor_model="x", seconds=3)
    heavy = ClipOrder(vendor="x", endpoint="x", vendor_model="x", seconds=15, tier="4k", audio=True)

    assert (life_seconds(light), life_seconds(heavy)) == (30, 120)
    assert 1 < sandbox_seconds(light, 2) < 2 < sandbox_seconds(heavy, 2) < 3
    night = ClipOrder(vendor="x", endpoint="x", vendor_model="x", seconds=3, off_peak=True)
    assert sandbox_seconds(night, 2) == 2 * sandbox_seconds(light, 2)
