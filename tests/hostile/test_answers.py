"""What a vendor may answer to a call, whatever it answers: bounded in bytes, in time and in words, and never a second order."""

from __future__ import annotations

import asyncio
import gzip
import json
import math
import sqlite3
import tracemalloc
import zlib
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from support.hostile_vendor import KEY, Asked, early_hints, hostile, ordered, reply

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.providers import answer_head
from mcp_server.providers.incoming import BODY_LIMIT
from mcp_server.service import Service

JOB = {"request_id": "job-1", "status": "in_queue"}


# Answers that unpack ------------------------------------------------------------------------------------------------


NOTHING = bytes(16_000_000)


@cache
def bomb(coding: str) -> bytes:
    """Sixteen megabytes of nothing, as it is packed."""
    if coding == "deflate":
        return zlib.compress(NOTHING)
    data = gzip.compress(NOTHING, 1)
    return gzip.compress(data) if coding.count("gzip") > 1 else data


async def ordered_within(buyer: Service) -> tuple[TaskAnswer, int]:
    """The order, and the most memory that Python took meanwhile."""
    tracemalloc.start()
    try:
        return await ordered(buyer), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


CODINGS = ("gzip", "gzip, gzip", "x-gzip", "deflate", "br", "gzip, identity, gzip")


@pytest.mark.parametrize("coding", CODINGS)
async def test_an_answer_that_unpacks_is_counted_as_it_unpacks(coding: str, tmp_path: Path) -> None:
    async with hostile(tmp_path, submit=reply(200, bomb(coding), {"Content-Encoding": coding})) as (vendor, buyer):
        task, peak = await ordered_within(buyer)

    assert task.state == "uncertain"
    assert vendor.count("submit") == 1
    assert vendor.asked[0][1].headers["accept-encoding"] == "identity"
    assert peak < 12_000_000


async def test_an_answer_that_is_packed_once_is_read(tmp_path: Path) -> None:
    for number, (coding, pack) in enumerate({"gzip": gzip.compress, "deflate": zlib.compress}.items()):
        packed = reply(200, pack(json.dumps(JOB).encode()), {"Content-Encoding": coding})
        async with hostile(tmp_path / str(number), submit=packed) as (_, buyer):
            assert (await ordered(buyer)).state == "succeeded"


async def test_what_is_packed_wrongly_is_no_answer(tmp_path: Path) -> None:
    async with hostile(tmp_path, submit=reply(200, b"{}", {"Content-Encoding": "gzip"})) as (vendor, buyer):
        assert (await ordered(buyer)).state == "uncertain"
    assert vendor.count("submit") == 1


def brackets(text: str) -> bytes:
    """As many as an answer may have."""
    return reply(200, f"[{text * (BODY_LIMIT // len(text) - 2)}0]")


@pytest.mark.parametrize("text", ["[],", "[" * 100])
async def test_an_answer_of_brackets_is_small_in_memory(text: str, tmp_path: Path) -> None:
    async with hostile(tmp_path, submit=brackets(text)) as (_, buyer):
        task, peak = await ordered_within(buyer)

    assert task.state == "uncertain"
    assert peak < 120_000_000


@pytest.mark.parametrize(("numbers", "state"), [(5_000, "succeeded"), (30_000, "uncertain")])
async def test_an_answer_has_no_more_parts_than_answers_have(numbers: int, state: str, tmp_path: Path) -> None:
    # To make and to look through what a megabyte of them is takes a quarter of a second, in which nobody is served.
    async with hostile(tmp_path, submit=reply(200, {**JOB, "more": [0] * numbers})) as (vendor, buyer):
        assert (await ordered(buyer)).state == state
    assert vendor.count("submit") == 1


# Heads that do not end ----------------------------------------------------------------------------------------------


async def headers_without_end(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-A: b\r\n" * 500)
        await writer.drain()


async def one_header_line(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        writer.write(b"a" * 10_000)
        await writer.drain()


@pytest.mark.parametrize("talk", [early_hints, headers_without_end, one_header_line])
async def test_a_head_has_a_size(talk: Any, tmp_path: Path) -> None:
    async with hostile(tmp_path, submit=talk) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state == "uncertain"
    assert vendor.count("submit") == 1


@pytest.mark.parametrize(("hints", "state"), [(3, "succeeded"), (50, "uncertain")])
async def test_hints_before_an_answer_are_counted(hints: int, state: str, tmp_path: Path) -> None:
    hinted = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * hints + reply(200, JOB)
    async with hostile(tmp_path, submit=hinted) as (vendor, buyer):
        assert (await ordered(buyer)).state == state
    assert vendor.count("submit") == 1


async def drip(_: Asked, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-A: ")
    while True:
        writer.write(b"a")
        await writer.drain()
        await asyncio.sleep(0.005)


async def test_a_head_has_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_head.Head.__init__, "__defaults__", (0.1,))
    async with hostile(tmp_path, submit=drip) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state == "uncertain"
    assert "ReadTimeout" in task.error["why"]
    assert vendor.count("submit") == 1


async def test_a_vendors_cookies_are_not_kept(tmp_path: Path) -> None:
    more = {"Set-Cookie": f"a={'x' * 4000}; Path=/"}
    async with hostile(tmp_path, submit=reply(200, JOB, more)) as (vendor, buyer):
        assert (await ordered(buyer)).state == "succeeded"
    assert all("cookie" not in asked.headers for _, asked in vendor.asked)


# Numbers and dates nobody means --------------------------------------------------------------------------------------


MAD = ("9" * 5_000, "NaN", "Infinity", "-Infinity", "1e999999999", "[" * 90_000)


@pytest.mark.parametrize("number", MAD)
async def test_one_mad_number_does_not_cost_the_whole_answer(number: str, tmp_path: Path) -> None:
    said = f'{{"request_id": "job-1", "status": "in_queue", "queue_position": {number}, "cost": {number}}}'
    nested = number.startswith("[")
    async with hostile(tmp_path, submit=reply(200, said)) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state == ("uncertain" if nested else "succeeded")
    assert vendor.count("submit") == 1
    assert all(math.isfinite(each) for each in numbers_on_record(tmp_path / "home" / "tasks.db"))


def numbers_on_record(database: Path) -> list[float]:
    """Every number that stands in a row's JSON, `Infinity` and `NaN` among them."""
    found: list[float] = []

    def read(said: str) -> float:
        found.append(float(said))
        return found[-1]

    with closing(sqlite3.connect(database)) as db:
        columns = [column for row in db.execute("SELECT * FROM tasks") for column in row]
    for column in columns:
        if isinstance(column, str) and column.startswith(("{", "[")):
            json.loads(column, parse_float=read, parse_int=read, parse_constant=read)
        elif isinstance(column, float):
            found.append(column)
    return found


@pytest.mark.parametrize(
    "when", ["Mon, 12 Jan 1970 13:46:52 -0000", "Mon, 99 Jan 99999 99:99:99 GMT", "Infinity", "-5", "1e30", "\xff", ""]
)
async def test_later_said_in_a_strange_way_is_later(when: str, tmp_path: Path) -> None:
    later = reply(429, {"error": "later"}, {"Retry-After": when})
    async with hostile(tmp_path, submit=[later, reply(200, JOB)]) as (vendor, buyer):
        task = await ordered(buyer)

    assert task.state in ("succeeded", "failed")
    assert task.state == "succeeded" or task.error["money"] == "not_spent"
    assert vendor.count("submit") <= 2


# Keys ----------------------------------------------------------------------------------------------------------------

SPELT = {
    "plain": KEY,
    "escaped": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "one escape": KEY.replace("-", "\\u002D"),
    "slashed": KEY.replace("-", "\\/").replace("\\/", "\\u002d", 1).replace("\\/", "-"),
    "entities": "".join(f"&#{ord(letter)};" for letter in KEY),
    "percent": KEY.replace("-", "%2D"),
    "twice": KEY.replace("-", "\\\\u002d"),
}


def quoted(where: str, said: str) -> bytes:
    """An answer to an order that quotes the key so."""
    match where:
        case "json":
            return reply(401, f'{{"error": "no such key: {said}"}}')
        case "html":
            return reply(500, f"<p>{said}")
        case "id":
            return reply(200, f'{{"request_id": "{said}", "status": "in_queue"}}')
        case "header":
            return reply(500, "{}", {"X-Request-Id": said})
        case "broken header":
            return f"HTTP/1.1 200 OK\r\nBearer {said}\r\n\r\n".encode()
        case _:
            return reply(422, f'{{"detail": [{{"loc": ["{said}"], "msg": "no"}}]}}')


QUOTED = ("json", "html", "id", "header", "broken header", "name")


@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("where", QUOTED)
async def test_a_key_that_is_quoted_in_any_spelling_reaches_nobody(spelling: str, where: str, tmp_path: Path) -> None:
    said = SPELT[spelling]
    async with hostile(tmp_path, submit=quoted(where, said), status=reply(404, "{}")) as (_, buyer):
        task = await ordered(buyer, until=("failed", "uncertain", "queued"))
        kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())

    told = task.model_dump_json()
    read = told + json.dumps(task.error)
    assert KEY not in read and KEY.encode() not in kept
    assert said not in read and said.encode() not in kept
