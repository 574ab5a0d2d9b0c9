"""What the house does with an object store, on one of the three kinds; what each kind promises is in test_contract.py."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from urllib.request import urlopen

import pytest
from support.browsing import browser, studio
from support.orders import PIXEL
from support.s3 import S3, bucket, s3  # noqa: F401 - fixtures
from support.services import service, settings
from support.stores import digest

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError, RequestError
from mcp_server.films.board import from_arguments
from mcp_server.films.films import FilmOrder
from mcp_server.object_store import ObjectStore
from mcp_server.settings import Settings

ORDER = {"prompt": "a paper boat", "model": "kling-3.0", "duration": 5, "audio": False}


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


async def test_the_studio_plays_by_link_and_hands_out_by_name(tmp_path: Path, s3: S3, bucket: str) -> None:  # noqa: F811
    async with studio(settings(tmp_path, KLING_STORE_URL=f"s3://{bucket}")) as opened, browser(opened) as visitor:
        ordered = await opened.service.generate(VideoArguments.model_validate(ORDER))
        (task,) = await opened.service.get([ordered.task_id], wait_s=600)
        page = await visitor.get(f"/clips/{task.task_id}")
        played = await visitor.get(f"/clips/{task.task_id}/video")
        kept = await visitor.get(f"/clips/{task.task_id}/video?download")

        assert f"media-src 'self' {s3.address};" in page.headers["content-security-policy"]
        assert played.status_code == 302 and played.headers["location"].startswith(f"{s3.address}/{bucket}/clips/")
        name = played.headers["location"].partition("?")[0].rpartition("/")[2]
        assert kept.headers["content-disposition"] == f'attachment; filename="{name}"'
        assert digest(kept.content) == task.sha256


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
