"""The object store: what is put there is never another, and a clip goes there and comes back by a link."""

from __future__ import annotations

import hashlib
import json
import os
from base64 import b64encode
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.orders import PIXEL
from support.s3 import S3, bucket, s3  # noqa: F401 - fixtures
from support.services import service, settings

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError, LocalError, RequestError
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.object_store import PART, ObjectStore
from mcp_server.server.tools.replies import clip_links
from mcp_server.settings import Settings

ORDER = {"prompt": "a paper boat", "model": "kling-3.0", "duration": 5, "audio": False}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def test_what_is_put_is_never_another_and_large_files_go_in_parts(tmp_path: Path, s3: S3, bucket: str) -> None:  # noqa: F811
    store, root = ObjectStore(tmp_path / "cache"), f"s3://{bucket}/videos"
    await store.check(root)
    assert s3.objects(bucket) == {}, "looking leaves nothing"

    for data in (b"a small clip", os.urandom(2 * PART + 1)):
        file = tmp_path / "clip.mp4"
        file.write_bytes(data)
        put = {"sha256": digest(data), "name": "2026-11-30-纸船-boat-ab12cd.mp4", "media_type": "video/mp4"}
        address = await store.put(file, root, **put)
        assert address == f"{root}/{digest(data)}/2026-11-30-boat-ab12cd.mp4"
        assert await ObjectStore(tmp_path / "other").put(data, root, **put) == address, "its own bytes are its own"

        link = await store.link(address)
        with urlopen(link.url) as answer:
            assert (answer.read(), answer.headers["content-type"]) == (data, "video/mp4")
        assert "MARKED" not in link.url and link.url.startswith(await store.origin(root))
        here = await ObjectStore(tmp_path / "third").local(address)
        assert here.read_bytes() == data and here.name == "2026-11-30-boat-ab12cd.mp4"
        key = address.removeprefix(f"s3://{bucket}/")
        s3.client().put_object(Bucket=bucket, Key=key, Body=b"somebody else's")
        with pytest.raises(LocalError, match="somebody else wrote it"):
            await store.put(file, root, **put)
        with pytest.raises(LocalError, match="other bytes"):
            await ObjectStore(tmp_path / "fourth").local(address)
        assert s3.objects(bucket)[key] == b"somebody else's", "nothing is written over it"

    with pytest.raises(LocalError, match="is not in the object store"):
        await store.local(f"{root}/{digest(b'gone')}/gone.mp4")
    with pytest.raises(LocalError, match="s3://nobody-has-this cannot be used"):
        await store.check("s3://nobody-has-this/videos")


async def test_a_clip_goes_to_the_bucket_and_is_handed_out_by_link(tmp_path: Path, s3: S3, bucket: str) -> None:  # noqa: F811
    made = service(tmp_path, KLING_STORE_URL=f"s3://{bucket}/videos")
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
        (key,) = s3.objects(bucket)
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


async def test_only_an_earlier_order_may_name_what_is_in_the_bucket(tmp_path: Path, s3: S3, bucket: str) -> None:  # noqa: F811
    store = ObjectStore(tmp_path / "cache")
    theirs = await store.put(PIXEL, f"s3://{bucket}/media", sha256=digest(PIXEL), name="x.png", media_type="image/png")
    made = service(tmp_path, KLING_STORE_URL=f"s3://{bucket}")
    try:
        with pytest.raises(RequestError, match="no address, data: URI or path"):
            await made.generate(VideoArguments.model_validate({**ORDER, "image": theirs}))
        mine = f"data:image/png;base64,{b64encode(PIXEL).decode()}"
        first = await made.generate(VideoArguments.model_validate({**ORDER, "image": mine}))
        repeated = await made.generate(VideoArguments.model_validate({"again": first.task_id, "prompt": "a tin boat"}))
        tasks = await made.runner.store.many([first.task_id, repeated.task_id])
        assert [task.request["image"] for task in tasks] == [
            f"s3://{bucket}/media/{digest(PIXEL)}/{digest(PIXEL)}.png"
        ] * 2
        assert "base64" not in json.dumps(tasks[0].request)
        with pytest.raises(RequestError, match="no address, data: URI or path"):
            await made.generate(VideoArguments.model_validate({"again": first.task_id, "end_image": theirs}))
    finally:
        await made.close()


def test_a_store_is_a_bucket_or_a_folder_and_its_address_holds_no_key(tmp_path: Path) -> None:
    folder = settings(tmp_path, KLING_STORE_URL=f"file://{tmp_path}/all%20clips/")
    assert (folder.bucket, folder.destination(None)) == (None, f"{tmp_path}/all clips")
    assert Settings.read({"KLING_STORE_URL": "gs://clips/kling/"}).bucket == "gs://clips/kling"
    for wrong in (
        "clips",
        "http://host/clips",
        "file://host/clips",
        "s3://",
        "s3://key:secret@clips",
        "s3://clips?x=1",
    ):
        with pytest.raises(ArgumentError, match="KLING_STORE_URL"):
            Settings.read({"KLING_STORE_URL": wrong}).check()


async def test_a_film_is_joined_from_the_bucket_into_the_bucket(tmp_path: Path, s3: S3, bucket: str) -> None:  # noqa: F811
    made = service(tmp_path, KLING_STORE_URL=f"s3://{bucket}")
    shots = [{"id": "one", "prompt": "a boat", "duration": 5}, {"id": "two", "prompt": "it sinks", "begin": "continue"}]
    board = from_arguments({"title": "Boat", "look": {"tier": "standard"}, "shots": shots})
    try:
        film = await made.films.make(FilmOrder(board=board), buying=True)
        (film,) = await made.films.get([film.film_id], wait_s=1_200)

        assert film.state == "succeeded", (film.error, film.note)
        assert film.video_path is None and "by the link at video_url" in film.next_step
        with urlopen(film.video_url or "") as answer:
            assert digest(answer.read()) == film.sha256
        assert (await made.sheet(film.film_id)).read_bytes() in s3.objects(bucket).values()
        assert len(s3.objects(bucket)) == 4, "two clips, the film and its sheet"
    finally:
        await made.close()
