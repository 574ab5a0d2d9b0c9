"""A client that sends too much, too deep or too odd: it gets an answer, and whoever else is served notices nothing."""

# pyright: basic

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.mcp_wire import MODERN, Pipe, pipe
from support.mcp_world import client

from mcp_server import places as shipped
from mcp_server.domain.arguments import MEDIUM_MAX
from mcp_server.domain.parsing import read
from mcp_server.errors import ArgumentError
from mcp_server.server.server import build_server
from mcp_server.server.tools.arguments import ARGUMENTS

DEEP = '{"a":' * 2000 + "1" + "}" * 2000
DIGITS = "9" * 5000


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "KLING_HOME": str(tmp_path / "home"), "KLING_OUTPUT_DIR": str(tmp_path / "out")}


def call(arguments: str, number: str = "9", *, last: bool = False) -> bytes:
    """A call of estimate_cost with arguments as they are written; the id first or last, as clients differ."""
    parts = [
        f'"jsonrpc":"2.0","id":{number}',
        f'"method":"tools/call","params":{{"name":"estimate_cost","arguments":{arguments}}}',
    ]
    return ("{" + ",".join(reversed(parts) if last else parts) + "}\n").encode()


async def answered(server: Pipe, line: bytes, number: Any = 9) -> dict[str, Any]:
    assert server.process.stdin is not None
    server.process.stdin.write(line)
    return await server.answer(number)


UNREAD = [
    (call(f'{{"options":{DEEP}}}'), 9),
    (call(f'{{"options":{DEEP}}}', last=True), 9),
    (call(f'{{"duration":{DIGITS}}}'), 9),
    (call(f'{{"duration":{DIGITS}}}', last=True), 9),
    (call('{"prompt":"\\ud800","options":' + DEEP + "}"), 9),
    (call("{}").replace(b'"jsonrpc":"2.0",', b""), 9),
    (call("{}", '"nine"').replace(b'"jsonrpc":"2.0",', b""), "nine"),
    *((call("{}", number), None) for number in (DIGITS, "1.5", "null", "[]")),
    *((line, None) for line in (b"[]\n", b"7\n", b"\xff\xfe\n", b"{" * 10_000 + b"\n")),
    (b'{"jsonrpc":"2.0","id":9,"method":"ping","params":{"x":"' + b"x" * (40 << 20) + b'"}}\n', 9),
]


async def test_a_line_that_cannot_be_read_is_answered_under_its_id(home: dict[str, str]) -> None:
    async with pipe(home) as server:
        for line, number in UNREAD:
            said = await answered(server, line, number)
            assert said["error"]["code"] in (-32700, -32600), line[:80]
            assert "was not read" in said["error"]["message"]
        assert (await server.ask("ping"))["result"] == {}


BAITS = ["```" + " " * 4000 + "x", "{" * 2_000_000, "kling 4k: " + "a " * 4_990, "x" * 3_000_000, "“" * 10_000]


async def test_a_text_that_takes_long_keeps_nobody_waiting(home: dict[str, str]) -> None:
    async with pipe(home) as server:
        # Everything that a call needs is imported by then, the SDK too, which a first price does without.
        await server.call("list_tasks", {})
        start = time.monotonic()
        for bait in BAITS:
            await server.send("tools/call", {"name": "estimate_cost", "arguments": {"request": bait}})
        assert (await server.ask("ping"))["result"] == {}
        assert time.monotonic() - start < 1.5


def places(node: dict[str, Any], where: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str | list[Any]]]:
    """Every text without a closed set of words and every list below this one, with far too much of it."""
    for name, part in node.get("properties", {}).items():
        yield from places(part, (*where, name))
    if "items" in node:
        yield from places(node["items"], (*where, "[]"))
    if isinstance(named := node.get("additionalProperties"), dict):
        yield from places(named, (*where, "somebody"))
    if node["type"] == "string" and "enum" not in node:
        yield where, "x" * (MEDIUM_MAX + 1)
    if node["type"] == "array":
        items = node["items"]
        yield where, [dict.fromkeys(items["required"], "a") if "required" in items else "a"] * 1_001


def put(where: Sequence[str], value: Any) -> Any:
    """The value at that place, and nothing beside it."""
    if not where:
        return value
    first, *rest = where
    return [put(rest, value)] if first == "[]" else {first: put(rest, value)}


def published(name: str) -> dict[str, Any]:
    return json.loads((shipped.schemas() / "tools" / f"{name}.json").read_text(encoding="utf-8"))


def test_every_text_has_a_length_and_every_list_a_count() -> None:
    found: list[tuple[str, tuple[str, ...], str | list[Any]]] = []
    for name in ARGUMENTS:
        found += [(name, where, much) for where, much in places(published(f"{name}.input")) if where[0] != "board"]
    found += [("make_film", ("board", *where), much) for where, much in places(published("board"))]
    endless: list[str] = []
    for name, where, too_much in found:
        try:
            read(ARGUMENTS[name], put(where, too_much))
        except ArgumentError as refused:
            problems = str(refused.details["problems"])
            if f"{'.'.join(where).replace('.[]', '[0]')} has {len(too_much)}" in problems:
                continue
        endless.append(f"{name}.{'.'.join(where)}")
    assert found
    assert endless == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"request": "x" * 10_001}, "request has 10001 characters, at most 10000"),
        ({"prompt": "x" * 10_001}, "prompt has 10001"),
        ({"output_dir": "a\0b"}, "a zero byte stands in it"),
        ({"image": "x" * (32 * 1024 * 1024 + 1)}, "at most 33554432"),
        ({"references": ["a.png"] * 51}, "references has 51 entries, at most 50"),
        ({"shots": [{"prompt": "x" * 5001}]}, "shots[0].prompt has 5001"),
        ({"options": {str(number): 1 for number in range(51)}}, "options has 51 entries"),
        ({"options": {"a": "x" * 30_000}}, "more than 20000 characters"),
        ({"options": json.loads('{"a":' * 100 + "1" + "}" * 100)}, "nested more than 20 deep"),
        ({f"x{number}": 1 for number in range(5000)}, "There are 5000 arguments"),
        ({"none": []}, "Unknown argument none"),
        ({"x" * 1_000_000: 1}, "Unknown argument xxx"),
        ({"request": "x", "duration": 10**4500}, "duration must be at most 600"),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
async def test_too_much_is_refused_in_a_short_answer(arguments: dict[str, Any], words: str) -> None:
    async with client(build_server(), "legacy") as connected:
        said: Any = await connected.call_tool("estimate_cost", arguments)
    assert said.is_error
    assert words in said.content[0].text
    assert len(said.content[0].text) < 5_000


async def test_a_limit_of_endless_dollars_is_none(home: dict[str, str]) -> None:
    async with pipe(home) as server:
        for amount in ("1e999", "NaN", "Infinity"):
            said = await answered(server, call(f'{{"request":"kling 5s: a boat","max_cost_usd":{amount}}}'))
            assert "error" in said or said["result"]["isError"], amount


async def test_a_name_of_a_megabyte_is_not_repeated(home: dict[str, str]) -> None:
    async with pipe(home) as server:
        for method in ("tools/call", "prompts/get", "resources/read"):
            said = await server.ask(method, {"name": "x" * 1_000_000, "uri": "task://" + "x" * 1_000_000})
            assert len(server.lines[-1]) < 1_000
            assert "longer than" in said["error"]["message"]


async def test_nobody_watches_more_than_a_hundred_tasks(home: dict[str, str]) -> None:
    async with pipe(home) as server:
        for number in range(100):
            last = await server.send("resources/subscribe", {"uri": f"task://kv-261129-{number:012}"})
        assert "result" in await server.answer(last)
        said = await server.ask("resources/subscribe", {"uri": "task://kv-261129-one-too-many"})
        assert "At most 100" in said["error"]["message"]
        assert "result" in await server.ask("resources/subscribe", {"uri": "task://kv-261129-000000000007"})


async def test_a_stream_that_names_a_hundred_thousand_is_refused(home: dict[str, str]) -> None:
    async with pipe(home, MODERN) as server:
        uris = [f"task://kv-261129-{number:012}" for number in range(100_000)]
        said = await server.ask("subscriptions/listen", {"notifications": {"resourceSubscriptions": uris}})
        assert "At most 100" in said["error"]["message"]
