"""What is particular about fal: the addresses of its answer, a wish to stop that is passed on, files, no second try."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.orders import PIXEL
from support.services import service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ProviderError
from mcp_server.providers import uploads
from mcp_server.providers.base import HttpReply

FACTS = catalog.load().providers["fal"]


def ordered(**more: str) -> VideoArguments:
    return VideoArguments(prompt="a paper boat", provider="fal", model="kling-4.0", tier="standard", **more)


async def test_a_local_picture_goes_up_once_and_is_ordered_by_its_address(tmp_path: Path) -> None:
    picture = tmp_path / "boat.png"
    picture.write_bytes(PIXEL)
    buyer = service(tmp_path)
    try:
        task = await buyer.generate(ordered(image=str(picture)))
        (done,) = await buyer.get([task.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    assert (done.state, done.plays, done.mode) == ("succeeded", "fal", "image-to-video")


async def test_a_wish_to_stop_is_passed_on_and_the_next_look_says_that_it_stopped(tmp_path: Path) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_SECONDS="600")
    try:
        task = await buyer.generate(ordered())
        asked = await buyer.cancel(task.task_id)
        (seen,) = await buyer.get([task.task_id], wait_s=600)
    finally:
        await buyer.close()

    assert "was asked to stop it (CANCELLATION_REQUESTED)" in str(asked)
    assert seen.state == "cancelled"


@pytest.mark.parametrize("fault", ["drop_after_accept", "500_after_accept", "html"])
async def test_a_lost_answer_is_uncertain_and_never_asked_for_again(tmp_path: Path, fault: str) -> None:
    buyer = service(tmp_path, KLING_SANDBOX_FAULTS=f"fal={fault}")
    try:
        task = await buyer.generate(ordered())
        (seen,) = await buyer.get([task.task_id], wait_s=60)
    finally:
        await buyer.close()

    assert seen.state == "uncertain"
    assert seen.error is not None and seen.error["money"] in ("may_have_been_charged", "not_spent")


@pytest.mark.parametrize("url", ["http://10.0.0.1/up", "file:///etc/passwd", "https://user@host.example/up", ""])
def test_an_upload_address_inside_a_network_is_not_followed(url: str) -> None:
    reply = HttpReply(status=200, body={"upload_url": url, "file_url": "https://v3b.fal.media/files/a.png"})

    with pytest.raises(ProviderError, match="upload address"):
        uploads(FACTS).read_prepared(reply)


def test_bytes_go_up_under_the_type_they_are_of() -> None:
    steps = uploads(FACTS)
    announced = steps.prepare("a.png", PIXEL)
    reply = HttpReply(
        status=200, body={"upload_url": "https://v3b.fal.media/up", "file_url": "https://v3b.fal.media/a"}
    )

    target = steps.read_prepared(reply)
    put = steps.put(target, PIXEL)

    assert (announced.host, announced.json) == ("rest", {"file_name": "a.png", "content_type": "image/png"})
    assert (put.bare, put.headers["Content-Type"], put.path) == (True, "image/png", "https://v3b.fal.media/up")
    assert target.ready is not None and target.ready.url == "https://v3b.fal.media/a"


def test_a_signed_address_is_put_to_as_long_as_it_is() -> None:
    signed = f"https://v3.fal.media/files/boat.png?signature={'a' * 900}"
    made = "https://v3.fal.media/files/boat.png"
    reply = HttpReply(status=200, body={"upload_url": signed, "file_url": made}, text="")
    assert uploads(FACTS).read_prepared(reply).url == signed
