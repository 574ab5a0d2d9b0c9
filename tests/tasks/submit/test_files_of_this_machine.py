"""Orders with files of this machine, through the service and over real HTTP: the id first, then the files, then one order."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response
from support.orders import PIXEL
from support.services import service

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.cli.buy import purchase
from mcp_server.cli.screen import Screen
from mcp_server.domain.arguments import VideoArguments
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer, variables
from mcp_server.sandbox.vendors import base as protocol
from mcp_server.sandbox.vendors.base import RefusedError
from mcp_server.service import Service

# A PNG takes what follows its end; so much does not fit into any buffer on the way.
LARGE = PIXEL + bytes(range(256)) * 4_096


@dataclass
class Shop:
    """The vendors, living longer than any buyer, with a store whose door is opened by hand."""

    folder: Path
    box: Sandbox
    keys: dict[str, str] = field(default_factory=dict)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    """A file is at the door."""
    refusals: list[int] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    orders: list[bytes] = field(default_factory=list)

    def buyer(self) -> Service:
        return service(self.folder, **self.keys)

    async def receive(self, request: Request) -> bytes:
        self.came.set()
        await self.open.wait()
        data = await protocol.read(request)
        if self.refusals:
            raise RefusedError(Response(status_code=self.refusals.pop(0)))
        self.files.append(data)
        return data

    @property
    def accepted(self) -> int:
        return sum(bool(line["accepted"]) for line in self.box.store.journal())


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    box = Sandbox(tmp_path / "vendors.db", now=time.time, seconds=0.05, rendering=False)
    made = Shop(tmp_path, box)
    read = protocol.read

    async def take(request: Request) -> bytes:
        data = await read(request)
        if "/kling/" in request.url.path or "/models/" in request.url.path:
            made.orders.append(data)
        return data

    monkeypatch.setattr("mcp_server.sandbox.vendors.runapi_account.read", made.receive)
    monkeypatch.setattr("mcp_server.sandbox.vendors.base.Vendor.body", _body_by(take))
    embedded = SandboxServer(box)
    made.keys = dict(variables(await embedded.start()))
    yield made
    made.open.set()
    await embedded.stop()
    box.close()


def _body_by(take: Any) -> Any:
    async def body(self: Any, exchange: Any) -> dict[str, Any]:
        sent: dict[str, Any] = json.loads(await take(exchange.request))
        exchange.facts["body"] = protocol.redacted(sent)
        return sent

    return body


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "first frame.png"
    path.write_bytes(LARGE)
    return path


def wish(image: Path | str, **more: Any) -> VideoArguments:
    return VideoArguments(prompt="she looks up", image=str(image), **({"provider": "runapi"} | more))


async def ended(buyer: Service, task_id: str) -> TaskAnswer:
    return (await buyer.get([task_id], wait_s=2_000))[0]


def recorded(shop: Shop, column: str) -> str:
    with closing(sqlite3.connect(shop.folder / "home" / "tasks.db")) as db:
        return str(db.execute(f"select {column} from tasks").fetchone()[0])


async def test_the_answer_has_an_id_while_a_file_still_goes_up(shop: Shop, picture: Path) -> None:
    buyer = shop.buyer()

    ordered = await buyer.generate(wish(picture), wait_s=0)
    await shop.came.wait()
    (waiting,) = await buyer.get([ordered.task_id])

    assert (waiting.state, waiting.note) == ("submitting", "Handing over first frame.png to RunAPI")
    assert "do not order again" in waiting.next_step
    assert (shop.orders, shop.accepted) == ([], 0)
    assert recorded(shop, "sent_at") == "None"
    shop.open.set()
    task = await ended(buyer, ordered.task_id)
    await buyer.close()
    assert (task.state, task.note) == ("succeeded", "")
    assert (shop.files, shop.accepted) == ([LARGE], 1)
    address = json.loads(shop.orders[0])["first_frame_image_url"]
    assert "/runapi/uploads/" in address
    assert address in recorded(shop, "local_media")


async def test_the_same_key_during_the_upload_is_the_same_task(shop: Shop, picture: Path) -> None:
    buyer = shop.buyer()
    one = await buyer.generate(wish(picture, idempotency_key="k"), wait_s=0)
    await shop.came.wait()

    two = await buyer.generate(wish(picture, idempotency_key="k"), wait_s=0)
    shop.open.set()
    await ended(buyer, one.task_id)
    await buyer.close()

    assert two.task_id == one.task_id
    assert (len(shop.files), shop.accepted) == (1, 1)


async def test_cancelled_during_the_upload_nothing_is_ordered(shop: Shop, picture: Path) -> None:
    buyer = shop.buyer()
    ordered = await buyer.generate(wish(picture), wait_s=0)
    await shop.came.wait()

    cancelled = await buyer.cancel(ordered.task_id)
    shop.open.set()
    await asyncio.gather(*buyer.runner.dispatcher.submitting.values())
    await buyer.close()

    assert cancelled.state == "cancelled"
    assert "Nothing was charged" in cancelled.note
    assert (shop.orders, shop.accepted) == ([], 0)


@pytest.mark.parametrize("gone", [False, True], ids=["changed", "vanished"])
@pytest.mark.parametrize("provider", ["runapi", "runcomfy"])
async def test_other_bytes_than_were_ordered_are_never_sent(
    shop: Shop, picture: Path, provider: str, gone: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dying:
        # The first process ends between the row and the files.
        dying.setattr("mcp_server.tasks.submit.submitter.Submitter.submit", _never)
        first = shop.buyer()
        ordered = await first.generate(wish(picture, provider=provider), wait_s=0)
        await first.close()
    if gone:
        picture.unlink()
    else:
        picture.write_bytes(PIXEL + bytes(LARGE[len(PIXEL) :][::-1]))
    shop.open.set()
    second = shop.buyer()
    task = await ended(second, ordered.task_id)
    await second.close()

    assert task.state == "failed"
    assert task.error is not None
    assert task.error["money"] == "not_spent"
    assert task.error["what"].startswith("first frame.png was")
    assert ("There is no file" if gone else "holds other bytes now") in task.error["why"]
    assert task.error["next_step"].endswith("order again" if gone else "the file as it is now")
    assert (shop.files, shop.orders) == ([], [])
    assert recorded(shop, "reserved_usd") == "0"


async def _never(self: Any, lease: Any) -> None:
    await asyncio.Event().wait()


async def test_another_process_goes_on_with_the_same_file_from_another_folder(
    shop: Shop, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as there:
        there.chdir(tmp_path)
        first = shop.buyer()
        ordered = await first.generate(wish(picture.name), wait_s=0)
        await shop.came.wait()
        await first.close()
    shop.open.set()

    second = shop.buyer()
    task = await ended(second, ordered.task_id)
    await second.close()

    assert task.state == "succeeded"
    assert (shop.files[-1], shop.accepted) == (LARGE, 1)
    again = await shop.buyer().whole(VideoArguments(again=ordered.task_id))
    assert again.image == picture.name


async def test_a_store_that_refuses_the_file_ends_the_order_in_its_words(shop: Shop, picture: Path) -> None:
    shop.open.set()
    shop.refusals = [403]
    buyer = shop.buyer()

    task = await buyer.generate(wish(picture))
    await buyer.close()

    assert task.state == "failed"
    assert task.error is not None
    assert task.error["what"] == "RunAPI's store did not take the file (HTTP 403)"
    assert task.error["money"] == "not_spent"
    assert (shop.files, shop.orders) == ([], [])


async def test_a_store_that_is_down_for_a_moment_is_asked_again(shop: Shop, picture: Path) -> None:
    shop.open.set()
    shop.refusals = [503, 503]
    buyer = shop.buyer()

    ordered = await buyer.generate(wish(picture), wait_s=0)
    task = await ended(buyer, ordered.task_id)
    await buyer.close()

    assert task.state == "succeeded"
    assert (shop.files, shop.accepted) == ([LARGE], 1)


async def test_a_lost_answer_is_asked_for_with_the_very_same_bytes(shop: Shop, picture: Path) -> None:
    shop.open.set()
    for fault in ("drop_after_accept", "500_after_accept"):
        shop.box.store.set_fault("runapi", fault, 1, "")
    buyer = shop.buyer()

    ordered = await buyer.generate(wish(picture), wait_s=0)
    task = await ended(buyer, ordered.task_id)
    await buyer.close()

    assert task.state == "succeeded"
    assert len(shop.orders) == 3
    assert len(set(shop.orders)) == 1
    assert (len(shop.files), shop.accepted) == (1, 1)


@pytest.mark.parametrize("inline", [False, True], ids=["file", "data"])
async def test_bytes_that_go_into_the_order_are_not_in_the_record_of_the_call(
    shop: Shop, picture: Path, inline: bool
) -> None:
    buyer = shop.buyer()
    uri = f"data:image/png;base64,{b64encode(LARGE).decode()}"

    ordered = await buyer.generate(wish(uri if inline else picture, provider="runcomfy"))
    task = await ended(buyer, ordered.task_id)
    again = await buyer.whole(VideoArguments(again=ordered.task_id))
    stored = await buyer.runner.store.get(ordered.task_id)
    await buyer.close()

    (sent,) = shop.orders
    body = json.loads(sent)
    (field,) = [name for name, value in body.items() if str(value).startswith("data:")]
    assert b64decode(body[field].partition(",")[2]) == LARGE
    assert task.state == "succeeded"
    assert Path(again.image or "").read_bytes() == LARGE
    assert inline or again.image == str(picture)
    assert len(json.dumps(dict(stored.call))) < 2_000
    assert len(recorded(shop, "local_media")) < 1_000
    assert len(recorded(shop, "bought")) < 4_000


async def test_what_the_vendor_would_refuse_is_refused_before_there_is_a_row(shop: Shop, picture: Path) -> None:
    buyer = shop.buyer()
    with pytest.raises(Exception, match="not a field of this vendor"):
        await buyer.generate(wish(picture, provider="runcomfy", options={"colour": "blue"}))
    await buyer.close()

    assert not (shop.folder / "home" / "tasks.db").exists()


async def test_the_command_line_does_not_leave_before_its_files_have_arrived(
    shop: Shop, picture: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(purchase, "_ACCEPT_S", 0.0)
    buyer = shop.buyer()
    order = purchase.Purchase(service=buyer, screen=Screen(), arguments=wish(picture), yes=True, wait=False)
    running = asyncio.create_task(order.run())
    await shop.came.wait()
    (waiting,) = (await buyer.tasks()).tasks

    assert not running.done()
    told, printed = "", ""
    async with asyncio.timeout(60):
        while "Handing over first frame.png to RunAPI" not in told:
            await asyncio.sleep(0.01)
            said = capsys.readouterr()
            told, printed = told + said.err, printed + said.out
    shop.open.set()
    assert await running == 0
    await buyer.close()

    said = capsys.readouterr()
    told, printed = told + said.err, printed + said.out
    assert printed.strip() == waiting.task_id
    assert shop.accepted == 1


async def test_the_command_line_tells_why_a_file_ended_the_order(
    shop: Shop, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.open.set()
    shop.refusals = [422]
    buyer = shop.buyer()

    order = purchase.Purchase(service=buyer, screen=Screen(), arguments=wish(picture), yes=True, wait=False)
    code = await order.run()
    await buyer.close()

    said = capsys.readouterr()
    assert code != 0
    assert said.out == ""
    assert "did not take the file (HTTP 422)" in said.err
    assert "Nothing was charged" in said.err
    assert "Ordered" not in said.err
