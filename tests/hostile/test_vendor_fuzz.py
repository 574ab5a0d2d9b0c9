"""Every documented answer of every vendor, bent: never a second order, never a crash, never an end without a reason.

`FUZZ_EXAMPLES` says how many for each vendor; the suite takes a few that are always the same.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.hostile_vendor import HostileVendor, hostile, reply
from support.orders import PIXEL, ordinary
from support.services import arguments

from mcp_server import catalog
from mcp_server.catalog import REGISTRY
from mcp_server.domain.task import Task
from mcp_server.errors import KlingError
from mcp_server.service import Service

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "4"))
SUITE = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    # A smaller example is not worth the minutes that many orders take.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
CASES = Path(__file__).parents[1] / "cases"
FACTS = catalog.load()
JUNK: tuple[Any, ...] = (
    None, True, 0, -1, 10**40, 0.1, "", " ", "x" * 3_000, "\x1b[2J", "\u202e", "\ud800", "\x00", [], {}, [[]], {"": None},
    "completed", "failed", "succeed", "IN_PROGRESS", "429", "200", ["https://127.0.0.1/a"], "https://a.test/b\nc", "job/../1",
)  # fmt: skip
STATUSES = (
    200,
    200,
    200,
    200,
    201,
    202,
    204,
    299,
    301,
    302,
    400,
    401,
    402,
    404,
    408,
    409,
    422,
    429,
    451,
    499,
    500,
    503,
    599,
)


def documented(vendor: str) -> dict[str, list[tuple[int, Any]]]:
    """The answers of its cases by step; one that is not JSON is its text."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for path in sorted((CASES / vendor).glob("*.json")):
        case = json.loads(path.read_text(encoding="utf-8"))
        said = case["reply"]
        found.setdefault(case["step"], []).append((said["status"], said["json"] if "json" in said else said["text"]))
    return found


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    rows = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for name, part in rows for place in places(part, (*at, name)))]


def bent(value: Any, place: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    if not place:
        return change(value)
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[place[0]] = bent(value[place[0]], place[1:], change)
    return copy


@st.composite
def answers(draw: Any, known: list[tuple[int, Any]]) -> bytes:
    """A documented answer with something wrong in its JSON, its status, its bytes or its frame."""
    status, body = draw(st.sampled_from(known))
    for _ in range(draw(st.integers(0, 2))):
        junk = draw(st.sampled_from(JUNK))
        how = draw(st.sampled_from(["put", "wrap", "list", "drop"]))
        changes: dict[str, Callable[[Any], Any]] = {
            "put": lambda _, junk=junk: junk,
            "wrap": lambda was, junk=junk: {"data": was, "error": junk},
            "list": lambda was: [was] * 3,
            "drop": lambda was: {} if isinstance(was, dict) else None,
        }
        body = bent(body, draw(st.sampled_from(places(body))), changes[how])
    if draw(st.booleans()):
        status = draw(st.sampled_from(STATUSES))
    text = body if isinstance(body, str) else json.dumps(body)
    if draw(st.integers(0, 5)) == 0:
        text = text.replace("0", draw(st.sampled_from(["NaN", "1e999", "9" * 5_000, "Infinity"])), 1)
    data = text.encode("utf-8", "surrogatepass")
    return framed(status, data, draw(st.sampled_from(FRAMES)))


FRAMES = (*["plain"] * 8, "short", "long", "gzip", "lies of gzip", "bad chunks", "no head", "cut head", "bom", "utf-16", "half", "headers")  # fmt: skip


def framed(status: int, data: bytes, frame: str) -> bytes:
    match frame:
        case "short" | "long":
            return reply(status, data, length=max(0, len(data) + (9 if frame == "long" else -9)))
        case "gzip":
            return reply(status, gzip.compress(data), {"Content-Encoding": "gzip"})
        case "lies of gzip":
            return reply(status, data, {"Content-Encoding": "gzip, deflate"})
        case "bad chunks":
            return f"HTTP/1.1 {status} X\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode() + data
        case "no head":
            return data
        case "cut head":
            return b"HTTP/1.1 200 OK\r\nContent-Le"
        case "bom" | "utf-16":
            return reply(status, data.decode("utf-8", "replace").encode("utf-8-sig" if frame == "bom" else "utf-16"))
        case "half":
            return reply(status, data[: len(data) // 2])
        case "headers":
            return reply(
                status, data, {"Retry-After": "soon", "X-Request-Id": "\x9b\xff", "Location": "http://10.0.0.1/"}
            )
        case _:
            return reply(status, data)


class Errors(logging.Handler):
    """Everything this program did not expect."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.told.append(logging.Formatter().format(record))


async def polled(vendor: HostileVendor, buyer: Service, task_id: str, times: int) -> Task:
    """The task after so many polls more, or at its end."""
    before, end = vendor.count("status"), time.monotonic() + 10
    while True:
        task = await buyer.runner.store.get(task_id)
        if task.finished or vendor.count("status") >= before + times:
            return task
        assert time.monotonic() < end, f"nobody looks at {task}"
        await asyncio.sleep(0.002)


def explained(task: Task) -> None:
    if task.state in ("failed", "uncertain"):
        error = dict(task.error or {})
        assert error.get("what") and error.get("money"), task
        assert task.state == "failed" or error["money"] == "may_have_been_charged"
    if task.state == "succeeded":
        assert task.artifact is not None


def sent_once(task: Task, vendor: HostileVendor) -> None:
    orders = [asked for step, asked in vendor.asked if step == "submit"]
    keys = {asked.headers.get("idempotency-key", "") for asked in orders}
    assert keys == {task.id} or len(orders) <= 1 or (task.error or {}).get("code") == "try_later", task.error
    assert len({asked.body for asked in orders}) <= 1


def checked(run: Callable[[Path], Any]) -> None:
    """Run it with a home of its own; nothing may have been unexpected."""
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(run(Path(folder)))
    finally:
        logging.getLogger().removeHandler(errors)
    assert errors.told == []


@pytest.mark.parametrize("vendor", REGISTRY)
@SUITE
@given(data=st.data())
def test_a_bent_answer_buys_nothing_twice_and_ends_nothing_without_a_reason(vendor: str, data: st.DataObject) -> None:
    known = documented(vendor)
    good = [(status, body) for status, body in known["submit"] if status < 300]
    steps = {step: data.draw(answers(known[step]), step) for step in ("status", "result", "cancel") if step in known}
    # Every other time the order itself is taken, so that what comes after it is seen.
    steps["submit"] = data.draw(answers(known["submit"]) | st.sampled_from(good).map(lambda row: reply(*row)), "submit")
    offer = next(each for each in FACTS.offers if each.provider == vendor and each.mode == "text-to-video")
    order = arguments(ordinary(offer), provider=vendor, model=offer.model, tier=offer.tier, accept_unknown_price=True)

    async def run(folder: Path) -> None:
        async with hostile(folder, times=1_000, **steps) as (stand_in, buyer):
            task_id = (await buyer.generate(order, confirmed=True, wait_s=0)).task_id
            stand_in.hurry.begin()
            sending = buyer.runner.dispatcher.submitting.get(task_id)
            if sending is not None:
                await asyncio.wait([sending], timeout=120)
            explained(await polled(stand_in, buyer, task_id, 3))
            try:
                await buyer.cancel(task_id)
            except KlingError as error:
                assert str(error).strip()
            task = await polled(stand_in, buyer, task_id, 2)
            explained(task)
            sent_once(task, stand_in)
            await buyer.get([task_id])

    checked(run)


ANNOUNCED = [(200, {"signed_id": "up-1", "upload_url": "URL/store/up-1", "headers": {"Content-Type": "image/png"}})]
KEPT = [(200, {"url": "https://files.runapi.ai/up-1", "expires_at": "2027-01-01"})]


@SUITE
@given(prepare=answers(ANNOUNCED), store=answers([(200, "")]), confirm=answers(KEPT))
def test_a_bent_answer_to_an_upload_sends_no_order_without_its_file(
    prepare: bytes, store: bytes, confirm: bytes
) -> None:
    async def run(folder: Path) -> None:
        picture = folder / "first.png"
        picture.write_bytes(PIXEL)
        async with hostile(folder, times=1_000, store=store, confirm=confirm) as (stand_in, buyer):
            url = stand_in.url.encode()
            # The address has the length that was announced for it.
            stand_in.answers["prepare"] = [
                prepare.replace(b"URL", url) if b"Content-Length" not in prepare else sized(prepare, url)
            ]
            wish = {"prompt": "a boat", "provider": "runapi", "image": str(picture), "accept_unknown_price": True}
            from mcp_server.domain.arguments import VideoArguments

            task_id = (await buyer.generate(VideoArguments.model_validate(wish), confirmed=True, wait_s=0)).task_id
            stand_in.hurry.begin()
            task = await polled(stand_in, buyer, task_id, 1)
            explained(task)
            sent_once(task, stand_in)
            orders = [asked for step, asked in stand_in.asked if step == "submit"]
            assert all(b"https://" in asked.body and b"example.com" not in asked.body for asked in orders)

    checked(run)


def sized(answer: bytes, url: bytes) -> bytes:
    head, blank, body = answer.partition(b"\r\n\r\n")
    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
    grown = length + body.count(b"URL") * (len(url) - 3)
    return (
        head.replace(b"Content-Length: %d" % length, b"Content-Length: %d" % grown) + blank + body.replace(b"URL", url)
    )
