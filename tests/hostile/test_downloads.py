"""What a media host may do with a paid clip: cut it, splice it, drip it, hide it; the clip is saved whole or waited for."""

from __future__ import annotations

import asyncio
import hashlib
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from support.download_target import DownloadTarget
from support.drawn_clips import Drawn, draw
from support.hostile_vendor import CLIP, Answer, Asked, became, box, early_hints, hostile, order, ordered, reply

from mcp_server import media
from mcp_server.providers import answer_head, downloads
from mcp_server.providers.transport import LostAnswerError, Transport
from mcp_server.tasks.download.container import unfinished

HALF = 5_000


def part(first: int, data: bytes, total: object = len(CLIP), **headers: str) -> bytes:
    span = {"Content-Range": f"bytes {first}-{first + len(data) - 1}/{total}"}
    return reply(206, data, span | headers)


def until_closed(data: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + data


CUT = reply(200, CLIP[:HALF], {"ETag": '"v1"'}, length=len(CLIP))
OTHER = bytes(len(CLIP) - HALF)
SHORT: dict[str, list[Answer]] = {
    "a part nobody asked for": [part(0, CLIP[:HALF])],
    "a part of nobody knows how much": [part(0, CLIP[:HALF], "*")],
    "a part whose length is not its range": [reply(206, CLIP[:HALF], {"Content-Range": f"bytes 0-{len(CLIP)}/9"})],
    "other bytes without a version": [CUT, part(HALF, OTHER)],
    "other bytes of another version": [CUT, part(HALF, OTHER, ETag='"v2"')],
    "half of the rest": [CUT, part(HALF, CLIP[HALF:-100], ETag='"v1"')],
    "the rest of something longer": [CUT, part(HALF, CLIP[HALF:], len(CLIP) + 7, ETag='"v1"')],
    "other bytes of the same version": [CUT, part(HALF, b"\xff" * 8 + OTHER[8:-1], len(CLIP) - 1, ETag='"v1"')],
    "a length that is too small": [reply(200, CLIP[:HALF])],
    "no length, and the line closed early": [until_closed(CLIP[:-1])],
    "a box too many": [until_closed(CLIP + b"\0\0\1\0free")],
    "no picture data": [until_closed(CLIP[: CLIP.index(b"mdat") - 4])],
}


@pytest.mark.parametrize("how", SHORT)
async def test_a_clip_that_is_not_whole_is_fetched_again_before_it_is_called_done(how: str, tmp_path: Path) -> None:
    async with hostile(tmp_path, times=2_000, clip=[*SHORT[how], reply(200, CLIP)]) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state == "succeeded"
    assert task.sha256 == hashlib.sha256(CLIP).hexdigest()
    assert Path(task.video_path or "").read_bytes() == CLIP
    assert task.differences == []
    assert vendor.count("clip") > len(SHORT[how])


async def test_what_a_host_gives_again_and_again_is_kept_and_said_to_break_off(tmp_path: Path) -> None:
    async with hostile(tmp_path, times=5_000, clip=until_closed(CLIP[:HALF])) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state == "succeeded"
    assert Path(task.video_path or "").read_bytes() == CLIP[:HALF]
    assert task.differences == [
        f"the file is not whole: it ends within its mdat part, {len(CLIP) - HALF:,} bytes early"
    ]
    assert 5 < vendor.count("clip") < 30


def small(path: Path) -> bytes:
    return draw(path, Drawn(seconds=0.5, width=160, height=90)).read_bytes()


async def test_a_clip_that_does_not_play_is_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media, "available", lambda: True)
    good = small(tmp_path / "good.mp4")
    at = good.index(b"mdat") + 4
    mute = good[:at] + bytes(len(good[at:])) if at > good.index(b"moov") else good[:at] + bytes(200) + good[at + 200 :]
    async with hostile(tmp_path, clip=[reply(200, mute), reply(200, good)]) as (vendor, buyer):
        task = await ordered(buyer)

    assert Path(task.video_path or "").read_bytes() == good
    assert vendor.count("clip") == 2
    assert not list(Path(task.video_path or "").parent.glob("*-2.mp4"))
    assert "unreadable" not in (task.delivered or {})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (CLIP, ""),
        (CLIP + bytes(5), ""),
        (box(b"ftyp", b"isom\0\0\0\0") + box(b"moov") + b"\0\0\0\0mdat" + bytes(50), ""),
        (box(b"ftyp", b"isom\0\0\0\0") + box(b"moov") + b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + bytes(4), ""),
        (box(b"ftyp", b"isom\0\0\0\0") + box(b"moov") + b"\0\0\0\1mdat" + (2**60).to_bytes(8, "big"), "mdat"),
        (box(b"ftyp", b"isom\0\0\0\0") + b"\0\0\0\4moov", "moov"),
        (CLIP + b"\0\0\0", ""),
        (CLIP + b"\0\0\1", "last"),
        (box(b"ftyp", b"isom\0\0\0\0") + box(b"free") * 200_000, "100,000"),
        (b"\x1aE\xdf\xa3\x81\0" + b"\x18S\x80g\x84" + bytes(4), ""),
        (b"\x1aE\xdf\xa3\x81\0" + b"\x18S\x80g\x84" + bytes(3), "1 bytes before"),
        (b"\x1aE\xdf\xa3\x81\0" + b"\x18S\x80g\xff" + b"\x1fC\xb6u\x82\0\0", ""),
        (b"\x1aE\xdf\xa3\x81\0" + b"\x18S\x80g\xff" + b"\x1fC\xb6u\x82\0", "1 bytes before"),
        (b"\x1aE\xdf\xa3\x81\0", "no segment"),
        (b"\x1aE\xdf\xa3\x81\0\0", "within the name"),
    ],
)
def test_a_container_is_walked_to_its_end(data: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "clip").write_bytes(data)

    found = unfinished(tmp_path / "clip")

    assert says in found and bool(says) is bool(found)


# Slow hosts -----------------------------------------------------------------------------------------------------------


async def test_slow_links_of_one_vendor_hold_up_nobody_elses_clips(tmp_path: Path) -> None:
    let_go = asyncio.Event()

    async def slow(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(
            reply(200, {"status": "completed", "output": {"video": f"http://{asked.headers['host']}/clip-slow"}})
        )

    async def clip(asked: Asked, writer: asyncio.StreamWriter) -> None:
        if "slow" in asked.line:
            await let_go.wait()
        else:
            writer.write(reply(200, CLIP))

    async with hostile(tmp_path, result=slow, clip=clip) as (vendor, buyer):
        try:
            for number in range(10):
                await ordered(buyer, until=("queued", "saving"), prompt=f"boat {number}")
            while vendor.count("clip") < 4:
                await asyncio.sleep(0.005)
            other = await ordered(buyer, provider="runapi")
        finally:
            let_go.set()

    assert other.state == "succeeded"
    assert vendor.count("clip") <= 5


async def dripping(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("talk", [early_hints, dripping])
async def test_a_head_that_does_not_end_holds_a_place_for_a_moment(
    talk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_head.Head.__init__, "__defaults__", (0.1,))
    async with hostile(tmp_path, times=1_000, clip=[talk, reply(200, CLIP)]) as (_, buyer):
        assert (await ordered(buyer)).state == "succeeded"


async def test_a_body_just_above_the_floor_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minutes = (float(minute) for minute in count(0, 60))
    monkeypatch.setattr(downloads, "monotonic", lambda: next(minutes))
    monkeypatch.setattr(downloads, "READ_AT_ONCE", 65_536)

    async def trickle(_: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n")
        while True:
            writer.write(bytes(65_536))
            await writer.drain()

    async with hostile(tmp_path, clip=trickle) as (vendor, _):
        transport, target = Transport(now=lambda: 0.0), DownloadTarget()
        with pytest.raises(LostAnswerError, match="broke off"):
            await transport.download(f"{vendor.url}/clip", target)
        await transport.aclose()

    assert target.size < 2_000_000


# Patience -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "times"),
    [
        (reply(404, "gone"), 12),
        (reply(403), 12),
        (reply(200, "<html>soon</html>"), 12),
        (reply(302, "", {"Location": "/clip"}), 72),
        (reply(500), 70),
    ],
    ids=["404", "403", "html", "circle", "500"],
)
async def test_a_paid_clip_is_waited_for_through_hours_of_trouble(trouble: bytes, times: int, tmp_path: Path) -> None:
    async with hostile(tmp_path, times=20_000, clip=[trouble] * times + [reply(200, CLIP)]) as (vendor, buyer):
        before = buyer.now()
        task = await ordered(buyer)
        after = buyer.now()

    assert task.state == "succeeded"
    assert after - before > 2 * 3_600
    assert vendor.count("submit") == 1


async def test_a_clip_at_a_private_address_is_asked_for_again_until_it_is_elsewhere(tmp_path: Path) -> None:
    done = {"status": "completed", "id": "job-1", "videos": [{"url": "https://10.0.0.1/clip.mp4"}]}

    async def moved(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(200, {**done, "videos": [{"url": f"http://{asked.headers['host']}/clip.mp4"}]}))

    async with hostile(tmp_path, times=40_000, status=[reply(200, done)] * 12 + [moved]) as (_, buyer):
        task = await buyer.generate(order(provider="runapi"), confirmed=True)
        seen = await became(buyer, task.task_id, until=("saving", "succeeded"))
        task = await became(buyer, task.task_id)

    assert seen.state == "saving"
    assert task.state == "succeeded"


async def test_a_page_without_an_end_is_refused_at_its_first_bytes(tmp_path: Path) -> None:
    sent = 0

    async def page(_: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b'HTTP/1.1 200 OK\r\nETag: "v1"\r\n\r\n<html>')
        while True:
            writer.write(b"<p>" * 20_000)
            await writer.drain()
            sent += 60_000

    async with hostile(tmp_path, times=2_000, clip=[page, reply(200, CLIP)]) as (_, buyer):
        task = await ordered(buyer)

    assert task.state == "succeeded"
    assert sent < 10_000_000
