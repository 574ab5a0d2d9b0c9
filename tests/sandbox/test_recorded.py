"""A vendor played from its exchanges alone: what its file may say, and what the sandbox makes of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from support.sandboxes import SIGNED_IN, Clock

from mcp_server.catalog import FactError
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.vendors import exchanges, recorded

SHIPPED = Path(__file__).parents[1] / "support" / "acme" / "exchanges.json"
PATH = "/v1/video/generations"
BODY = {"model": "kling-v3-pro-audio", "prompt": "a paper boat", "duration": 7, "aspect_ratio": "9:16"}
QUEUE: dict[str, Any] = {
    "submit": {"paths": ["/run/{model}"], "answer": {"request": "{job}", "status_url": "{base}/look?id={job}"}},
    "status": {"paths": ["/look?id={job}"], "queued": {"is": "{status}"}, "running": {"is": "{status}, {progress}%"},
               "succeeded": {"is": "{status}"}, "failed": {"is": "{status}"}, "cancelled": {"is": "{status}"}},
    "result": {"paths": ["/result?id={job}"], "succeeded": {"clips": [{"url": "{clip}"}]}, "failed": {"why": "{reason}"}},
    "cancel": {"paths": ["/stop/{job}"], "cancelled": {"stopped": True}, "too_late": {"stopped": False}},
    "statuses": {"queued": "waiting", "running": "working", "succeeded": "ok", "failed": "bad", "cancelled": "stopped"},
}  # fmt: skip
"""A queue: the model in the path, the job in the query, the clip by a second call, and waiting jobs that stop."""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes UniAll an exchange file, with changes."""
    path = tmp_path / "package" / "providers" / "uniall" / "exchanges.json"
    path.parent.mkdir(parents=True)
    monkeypatch.setattr("mcp_server.places.PACKAGE", tmp_path / "package")

    def write(**changes: Any) -> None:
        path.write_text(json.dumps(json.loads(SHIPPED.read_text(encoding="utf-8")) | changes), encoding="utf-8")

    return write


class Played:
    """The recorded UniAll without sockets."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sandbox = Sandbox(":memory:", now=self.clock, sleep=self.clock.sleep, seconds=40, rendering=False)
        app = Starlette(routes=recorded.Api(self.sandbox, "uniall").routes())
        transport = httpx.ASGITransport(app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://sandbox", headers=SIGNED_IN)

    async def post(self, path: str, body: Any) -> httpx.Response:
        return await self.client.post(path, json=body)

    async def seen(self, path: str) -> Any:
        return (await self.client.get(path)).json()


@pytest.fixture
async def queue(written: Any) -> AsyncIterator[Played]:
    written(**QUEUE)
    played = Played()
    yield played
    await played.client.aclose()
    played.sandbox.close()


async def test_an_order_is_read_as_the_file_says(written: Any) -> None:
    written()
    played = Played()

    job = (await played.post(PATH, BODY)).json()["id"]
    image = {
        "model": "kling-v3-std-silent",
        "prompt": "x",
        "image": "https://e.com/a.png",
        "last_image": "https://e.com/b.png",
    }
    other = (await played.post(PATH, image)).json()["id"]

    order = played.sandbox.store.find("uniall", job).order
    assert (order.model, order.tier, order.mode, order.seconds) == ("kling-3.0", "pro", "text-to-video", 7)
    assert (order.ratio, order.audio, order.prompt) == ("9:16", True, "a paper boat")
    order = played.sandbox.store.find("uniall", other).order
    assert (order.tier, order.mode, order.ratio, order.audio) == ("standard", "image-to-video", "", False)
    assert (order.image, order.end_image) == ("https://e.com/a.png", "https://e.com/b.png")


async def test_what_a_word_of_the_vendors_means_stands_in_the_file(written: Any) -> None:
    ratio = {"at": "aspect_ratio", "means": {"16:9": "1:1"}, "default": "9:16"}
    sound = {"at": "extra_body.shot_type", "means": {"customize": True}}
    written(order={"model": "model", "prompt": "prompt", "ratio": ratio, "off_peak": sound})
    played = Played()

    said = (await played.post(PATH, {**BODY, "aspect_ratio": "16:9", "extra_body": {"shot_type": "customize"}})).json()
    silent = (await played.post(PATH, {"model": "kling-v3-pro-silent", "prompt": "x"})).json()

    order = played.sandbox.store.find("uniall", said["id"]).order
    assert (order.ratio, order.off_peak) == ("1:1", True)
    order = played.sandbox.store.find("uniall", silent["id"]).order
    assert (order.ratio, order.off_peak, order.seconds) == ("9:16", False, 3)


@pytest.mark.parametrize(
    "change", [{"model": "kling-9"}, {"model": None}, {"duration": 99}, {"colour": "red"}, {"prompt": ""}]
)
async def test_what_the_vendors_schema_refuses_is_not_bought(written: Any, change: dict[str, Any]) -> None:
    written()
    played = Played()

    reply = await played.post(PATH, {**BODY, **change})

    assert (reply.status_code, reply.json()["code"]) == (400, "invalid_request")
    assert [line["accepted"] for line in played.sandbox.store.journal(action="submit")] == [False]


async def test_a_queue_tells_the_clip_by_a_second_call(queue: Played) -> None:
    order = (await queue.post("/run/kling-v3-pro-audio", BODY)).json()
    job = order["request"]
    seen = []
    for step in (0, 20, 1_000):
        queue.clock.now += step
        seen.append((await queue.seen(f"/look?id={job}"))["is"])
        early = await queue.client.get(f"/result?id={job}")
        assert early.status_code == (200 if step == 1_000 else 400)

    assert order["status_url"] == f"http://sandbox/uniall/look?id={job}"
    assert [seen[0], seen[1].split(",")[0], seen[2]] == ["waiting", "working", "ok"]
    assert (await queue.seen(f"/result?id={job}"))["clips"][0]["url"].startswith(f"http://sandbox/uniall/files/{job}/")


async def test_a_waiting_job_stops_and_a_running_one_does_not(queue: Played) -> None:
    first = (await queue.post("/run/kling-v3-pro-audio", BODY)).json()["request"]
    second = (await queue.post("/run/kling-v3-pro-audio", BODY)).json()["request"]

    stopped = (await queue.client.put(f"/stop/{first}")).json()
    queue.clock.now += 20
    late = (await queue.post(f"/stop/{second}", {})).json()

    assert (stopped, late) == ({"stopped": True}, {"stopped": False})
    assert (await queue.seen(f"/look?id={first}"))["is"] == "stopped"
    assert (await queue.client.get("/look")).status_code == 400


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"notes": "x"}, "unknown part: notes"),
        ({"order": {"colour": "x"}}, "unknown name in order: colour"),
        ({"order": {"prompt": {"where": "x"}}}, "where"),
        ({"refusals": {"gone": {"json": {}}}}, "unknown refusal: gone"),
        ({"refusals": {"auth": {"json": {}}}}, "missing: other"),
        ({"statuses": {"running": "x"}}, "missing: succeeded, failed"),
        ({"submit": {"answer": {}}}, "paths"),
        ({"status": None}, "uniall/exchanges.json"),
    ],
)
def test_a_file_that_says_what_it_may_not_is_named(written: Any, changes: dict[str, Any], words: str) -> None:
    written(**changes)

    with pytest.raises(FactError, match=words):
        exchanges.load("uniall")


def test_a_file_that_is_no_json_is_named(written: Any, tmp_path: Path) -> None:
    shutil.copyfile(__file__, tmp_path / "package" / "providers" / "uniall" / "exchanges.json")

    with pytest.raises(FactError, match=r"uniall/exchanges\.json"):
        exchanges.load("uniall")
