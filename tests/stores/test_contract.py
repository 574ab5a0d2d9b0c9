"""What every kind of object store promises: nothing put there is ever another, and a clip comes back by a link.

Each test runs on S3 and Google's; `python tests/thirdparty/run.py --only azure` runs the same on Azure's.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from support.services import service
from support.stores import Place, digest

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError, LocalError
from mcp_server.object_store import PART, ObjectStore
from mcp_server.server.tools.replies import clip_links

ORDER = {"prompt": "a paper boat", "model": "kling-3.0", "duration": 5, "audio": False}
CLIPS = {"one part": b"a small clip", "many parts": os.urandom(2 * PART + 1)}


@pytest.mark.parametrize("data", CLIPS.values(), ids=CLIPS)
async def test_what_is_put_is_never_another(tmp_path: Path, place: Place, data: bytes) -> None:
    store, root = ObjectStore(tmp_path / "cache"), f"{place.address}/videos"
    file = tmp_path / "clip.mp4"
    file.write_bytes(data)
    put = {"sha256": digest(data), "name": "2026-11-30-纸船-boat-ab12cd.mp4", "media_type": "video/mp4"}
    address = await store.put(file, root, **put)
    assert address == f"{root}/{digest(data)}/2026-11-30-boat-ab12cd.mp4"
    assert await ObjectStore(tmp_path / "other").put(data, root, **put) == address, "its own bytes are its own"
    assert list(place.objects().values()) == [data]

    here = await ObjectStore(tmp_path / "third").local(address)
    assert here.read_bytes() == data and here.name == "2026-11-30-boat-ab12cd.mp4"

    place.overwrite(address, b"somebody else's")
    with pytest.raises(LocalError, match="somebody else wrote it"):
        await store.put(file, root, **put)
    with pytest.raises(LocalError, match="other bytes"):
        await ObjectStore(tmp_path / "fourth").local(address)
    assert list(place.objects().values()) == [b"somebody else's"], "nothing is written over it"


@pytest.mark.parametrize("data", CLIPS.values(), ids=CLIPS)
async def test_a_link_opens_one_object_for_anybody_and_nothing_else(tmp_path: Path, place: Place, data: bytes) -> None:
    store, root = ObjectStore(tmp_path / "cache"), f"{place.address}/videos"
    kept = {"sha256": digest(data), "name": "boat.mp4", "media_type": "video/mp4"}
    link = await store.link(await store.put(data, root, **kept))
    with urlopen(link.url) as answer:
        assert (answer.read(), answer.headers["content-type"]) == (data, "video/mp4")
    with urlopen(Request(link.url, headers={"Range": "bytes=2-5"})) as part:
        assert (part.status, part.read()) == (206, data[2:6]), "browsers ask for parts of a clip"

    assert link.url.startswith(f"{await store.origin(root)}/")
    for value in place.emulated.variables.values():
        assert value.startswith("http") or len(value) < 20 or value not in link.url, "no key stands in it"
    if place.emulated.proves:
        others = (link.url.partition("?")[0], link.url.replace("boat", "goat"), _another_signature(link.url))
        for other in others:
            with pytest.raises(HTTPError, match="403"):
                urlopen(other)


def _another_signature(url: str) -> str:
    """The link with one letter of its end, where the signature is in it or after it, another."""
    name = "X-Goog-Signature=" if "X-Goog-Signature=" in url else "sig="
    before, _, rest = url.partition(name)
    return f"{before}{name}{'A' if rest[0] != 'A' else 'B'}{rest[1:]}"


async def test_a_store_is_looked_at_before_clips_go_there(
    tmp_path: Path, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = f"{place.address}/videos"
    await ObjectStore(tmp_path / "cache").check(root)
    assert place.objects() == {}, "looking leaves nothing"
    with pytest.raises(LocalError, match="is not in the object store"):
        await ObjectStore(tmp_path / "cache").local(f"{root}/{digest(b'gone')}/gone.mp4")

    nobodys = f"{place.emulated.scheme}://nobody-has-this"
    with pytest.raises(LocalError, match=f"{nobodys} cannot be used") as refused:
        await ObjectStore(tmp_path / "cache").check(f"{nobodys}/videos")
    assert "does not exist" in refused.value.why and "<" not in refused.value.why, refused.value.why
    if place.emulated.proves:
        for name, value in place.emulated.strangers().items():
            monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name)
        with pytest.raises(LocalError, match=f"{place.address} cannot be used") as refused:
            await ObjectStore(tmp_path / "cache").check(root)
        assert refused.value.why.startswith("403 Forbidden"), refused.value.why


async def test_a_clip_is_bought_goes_to_the_store_and_is_handed_out_by_link(tmp_path: Path, place: Place) -> None:
    made = service(tmp_path, KLING_STORE_URL=f"{place.address}/videos")
    try:
        with pytest.raises(ArgumentError, match="object store"):
            await made.generate(VideoArguments.model_validate({**ORDER, "output_dir": str(tmp_path)}))
        ordered = await made.generate(VideoArguments.model_validate(ORDER))
        (task,) = await made.get([ordered.task_id], wait_s=600)
        (again,) = (await made.tasks()).tasks

        assert task.state == "succeeded", task.note
        assert task.video_path is None and task.expires_at
        assert task.next_step.startswith("Deliver the clip by the link at video_url")
        with urlopen(task.video_url or "") as answer:
            clip = answer.read()
        assert (digest(clip), len(clip)) == (task.sha256, task.bytes)
        (key,) = place.objects()
        assert key.startswith(f"videos/clips/{task.sha256}/") and key.endswith(f"-simulated-{task.task_id[-6:]}.mp4")
        assert again.place and key in again.place, "lists have links, too"
        assert not (tmp_path / "videos").exists() and not any((tmp_path / "home" / "cache" / "saving").iterdir())
        (link,) = clip_links([task])
        assert str(link.uri) == task.video_url  # type: ignore[union-attr]

        # What is made of a clip is made on this machine, of a copy whose bytes are those of the record.
        frame = await made.last_frame(task.task_id)
        with urlopen(await made.handed(frame)) as answer:
            assert answer.read() == frame.read_bytes()
        second = await made.generate(VideoArguments.model_validate({**ORDER, "image": task.task_id}))
        assert second.mode == "image-to-video"
    finally:
        await made.close()
