"""Pictures from this machine: they reach vendors that can take them, and are refused for the others before any money."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pytest
from support.orders import PIXEL
from support.services import service
from support.stub_vendor import new_task

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.request import VideoRequest
from mcp_server.errors import ProviderError, RequestError
from mcp_server.ordering import vendor_schema
from mcp_server.providers import local_media
from mcp_server.providers.accounts import Account
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.local_media import Intake
from mcp_server.settings import Secret
from mcp_server.tasks.store.schema import task_of

ADDRESSES_ONLY = [name for name, facts in catalog.load().providers.items() if facts.media_inputs == ("https",)]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "first frame.png"
    path.write_bytes(PIXEL)
    return path


@pytest.mark.parametrize("provider", ["runapi", "runcomfy", "klingai", "fal"])
async def test_a_local_picture_becomes_the_first_frame(
    provider: str, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    buyer = service(tmp_path)
    try:
        wish = VideoArguments(prompt="she looks up", image=str(picture), provider=provider)
        ordered = await buyer.generate(wish)
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    assert (task.state, task.plays, task.mode) == ("succeeded", provider, "image-to-video")


async def test_a_data_uri_needs_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    buyer = service(tmp_path)
    try:
        uri = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
        ordered = await buyer.generate(VideoArguments(prompt="she looks up", image=uri))
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    assert task.state == "succeeded"


@pytest.mark.parametrize("provider", ADDRESSES_ONLY)
async def test_a_vendor_without_uploads_is_refused_and_those_with_are_named(
    provider: str, picture: Path, tmp_path: Path
) -> None:
    buyer = service(tmp_path)

    with pytest.raises(RequestError) as refused:
        await buyer.generate(VideoArguments(prompt="she looks up", image=str(picture), provider=provider))

    await buyer.close()
    assert "does not take a local file" in str(refused.value)
    assert "runapi" in str(refused.value)
    assert "runcomfy" in str(refused.value)
    assert not (tmp_path / "home" / "tasks.db").exists()


async def test_a_file_that_is_no_picture_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("not a picture")
    buyer = service(tmp_path)

    with pytest.raises(RequestError, match="no file this program knows"):
        await buyer.generate(VideoArguments(prompt="x", image=str(path), provider="runcomfy"))

    await buyer.close()


async def test_an_estimate_uploads_nothing(picture: Path, tmp_path: Path) -> None:
    buyer = service(tmp_path)

    estimate = await buyer.estimate(VideoArguments(prompt="she looks up", image=str(picture), provider="runapi"))

    await buyer.close()
    assert estimate.chosen.provider == "runapi"
    assert not (tmp_path / "home").exists()


async def test_a_vendor_does_not_send_a_file_to_another_program_of_this_machine() -> None:
    facts = catalog.load().providers["runapi"]
    inside = {"signed_id": "s", "upload_url": "http://127.0.0.1:5984/_users", "headers": {}}

    class Line:
        sent: ClassVar[list[HttpCall]] = []

        async def ask(self, _account: Account, call: HttpCall) -> HttpReply:
            self.sent.append(call)
            return HttpReply(status=200, body=inside)

        def proxied(self, _url: str) -> bool:
            return False

    account = Account(facts=facts, base_urls=facts.base_urls, secret=Secret("k", "test"))
    uri = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    _, media = await local_media.with_placeholders(
        VideoRequest(prompt="a boat", image=uri), {"image": "data"}, facts, "kv-1"
    )
    task = task_of(new_task(provider="runapi", request={"image": uri}, local_media=media), 1.0, (), Decimal(0))
    with pytest.raises(ProviderError, match="upload address"):
        await Intake(Line(), check=vendor_schema.check_body).hand_over(account, task, media[0])  # type: ignore[arg-type]

    assert [call.path for call in Line.sent] == ["/api/v1/files/prepare"]
