"""What is answered before the SDK is there: to the byte what the SDK says, or nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from support.mcp_wire import ENVELOPE, LEGACY, MODERN, greeting, pipe, request

from mcp_server.composition import build
from mcp_server.server.handshake import front, opening
from mcp_server.server.handshake.front import ANSWERS, Handover, installed_sdk, open_connection
from mcp_server.server.handshake.opening import Call, Opening
from mcp_server.server.tools.catalog_answers import early
from mcp_server.server.wire import Wire
from release.handshake import said

OPENINGS = sorted((Path(__file__).parent / "openings").glob("*.jsonl"))
"""The first lines of clients nobody here wrote, as they sent them."""
VERSIONS = [*opening.LEGACY, *opening.MODERN]
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
STRANGE = {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"}
"""Harmless to the SDK, unknown to the front: after it, the SDK answers everything."""


CALLS = [
    ("list_models", {}),
    ("list_models", {"provider": "fal", "detail": True}),
    ("list_models", {"model": "kling-3.0", "tier": "pro", "mode": "text-to-video"}),
    ("estimate_cost", {"request": "kling 4k, vertical, 10s: a neon city"}),
    ("estimate_cost", {"request": "可灵 3.0, 5 秒: 雨里的“纸船” 🚤\u2028\x7f", "all": True}),
    ("estimate_cost", {"prompt": 'say "go"\n\t\\ {"facts":"facts"}', "duration": 5, "count": 3, "audio": False}),
    ("estimate_cost", {"prompt": '{"facts":"facts"}', "provider": "sandbox"}),
    ("estimate_cost", {"prompt": "a boat", "image": "https://example.org/a.png", "cfg_scale": 0.5, "tier": "pro"}),
]
"""Calls that need no SDK to be answered."""
REFUSED = [
    ("list_models", {"provider": "nobody"}),
    ("estimate_cost", {"durration": 5}),
    ("estimate_cost", {"prompt": "a boat", "again": "kt-000000000000"}),
    ("estimate_cost", {"request": "kling, 60 seconds: a boat crosses the sea"}),
    ("estimate_cost", {"prompt": "a boat", "model": "kling-99"}),
]
"""Calls that are refused, or need the record."""


def line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, ensure_ascii=False).encode()


def from_files() -> Opening:
    return Opening(ANSWERS / f"mcp-{installed_sdk(sys.path)}")


def answered(lines: list[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The lines that are answered from files, and the answers."""
    first, taken, answers = from_files(), [], []
    for one in lines:
        reply = first.answer(one)
        if reply is None and (call := first.call(one)) is not None and (facts := early(call.tool, call.arguments)):
            reply = call.answer(facts)
        if reply is None:
            break
        taken.append(one)
        if reply:
            answers.append(reply)
    return taken, [*answers, *filter(None, [first.farewell()])]


def exchange(version: str) -> list[bytes]:
    if version == MODERN:
        asked = [line(request(n, m, {}, MODERN)) for n, m in enumerate(("server/discover", *opening.LISTS))]
        return [*asked, line(request(9, opening.LISTEN, {"notifications": opening.CHANGES}, MODERN))]
    asked = [line(request(n, m, {}, version)) for n, m in enumerate(("ping", *opening.LISTS), 1)]
    return [line(greeting(version)), line(INITIALIZED), *asked]


def run(lines: list[bytes], home: Path, *options: str, **more: str) -> subprocess.CompletedProcess[bytes]:
    """A whole server, told all lines at once, and left."""
    command = [sys.executable, *options, "-m", "mcp_server"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), **more}
    return subprocess.run(
        command, check=False, input=b"\n".join(lines) + b"\n", capture_output=True, timeout=120, env=environment
    )


def test_the_versions_are_those_of_the_sdk() -> None:
    assert (opening.LEGACY, opening.MODERN) == (HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_every_list_is_answered_from_files_as_the_sdk_answers_it(version: str) -> None:
    lines = exchange(version)
    taken, answers = answered(lines)

    assert taken == lines
    assert answers == said(lines)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_price_is_told_before_the_sdk_is_there_as_the_sdk_tells_it(version: str) -> None:
    calls = [request(n, "tools/call", {"name": c, "arguments": a}, version) for n, (c, a) in enumerate(CALLS, 20)]
    calls[0]["params"].pop("arguments")
    calls[1]["params"] |= {
        "_meta": {**calls[1]["params"].get("_meta", {}), "vendor/toolUseId": "é", "progressToken": 7}
    }
    lines = [*exchange(version)[:2], *map(line, calls)]

    taken, answers = answered(lines)

    assert taken == lines
    assert answers == said(lines, build)


@pytest.mark.parametrize(("tool", "arguments"), REFUSED, ids=range(len(REFUSED)))
def test_what_a_tool_refuses_or_has_to_look_up_is_left_to_the_sdk(tool: str, arguments: dict[str, Any]) -> None:
    assert early(tool, arguments) is None


@pytest.mark.parametrize(
    "params",
    [
        {"name": "generate_video", "arguments": {"prompt": "a boat"}},
        {"name": "list_tasks", "arguments": {}},
        {"name": "list_models", "arguments": None},
        {"name": "list_models", "arguments": []},
        {"name": "list_models", "arguments": {}, "task": {"ttl": 1}},
        {"name": "list_models", "arguments": {}, "_meta": {"io.modelcontextprotocol/related-task": "x"}},
        {"name": "list_models", "arguments": {}, "_meta": {"vendor/x": {}}},
        {"name": "list_models", "arguments": {}, "_meta": {"traceparent": "x"}},
        {"arguments": {}},
    ],
    ids=range(9),
)
@pytest.mark.parametrize("version", [LEGACY, MODERN])
def test_a_call_that_is_not_certain_is_left_to_the_sdk(version: str, params: dict[str, Any]) -> None:
    first = from_files()
    for one in exchange(version)[:2]:
        assert first.answer(one) is not None

    assert first.call(line(request(7, "tools/call", params, version))) is None


def test_facts_that_two_programs_might_write_otherwise_are_left_to_the_sdk() -> None:
    call = Call("list_models", {}, b"{", b"")

    assert call.answer({"rates": [{"limit": 0.1}]}) is None


@pytest.mark.parametrize("path", OPENINGS, ids=lambda path: path.stem)
def test_a_clients_first_lines_are_answered_as_the_sdk_answers_them(path: Path) -> None:
    taken, answers = answered(path.read_bytes().splitlines())

    assert len(taken) >= 1, "nothing of it was answered early"
    assert answers == said(taken, build)


NAMES = st.text('ab é雪"/.', max_size=8)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False) | NAMES,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


def part(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


OBJECT = st.dictionaries(NAMES, JSON, max_size=2)
OBJECTS = st.dictionaries(NAMES, OBJECT, max_size=2)
ICON = st.fixed_dictionaries({"src": NAMES}, optional={"mimeType": NAMES, "sizes": st.lists(NAMES, max_size=2)})
CLIENT = st.fixed_dictionaries(
    {"name": NAMES, "version": NAMES},
    optional={"title": NAMES, "websiteUrl": NAMES, "description": NAMES, "icons": st.lists(ICON, max_size=2)},
)
CAPABILITIES = part(
    roots=part(listChanged=st.booleans()),
    sampling=part(context=OBJECT, tools=OBJECT),
    elicitation=part(form=OBJECT, url=OBJECT),
    experimental=OBJECTS,
    extensions=OBJECTS,
)
IDS = st.integers(0, 2**53) | st.text("abc-:/ 19", max_size=8)
TOKEN = part(progressToken=IDS)
META = st.fixed_dictionaries(
    {
        "io.modelcontextprotocol/protocolVersion": st.just(MODERN),
        "io.modelcontextprotocol/clientCapabilities": CAPABILITIES,
    },
    optional={"io.modelcontextprotocol/clientInfo": CLIENT, "progressToken": IDS},
)
HELLO = st.fixed_dictionaries(
    {"protocolVersion": st.sampled_from(opening.LEGACY), "capabilities": CAPABILITIES, "clientInfo": CLIENT}
)


CALLED = st.one_of(
    *[
        part(_meta=TOKEN).map(lambda more, made=made: {"name": made[0], "arguments": made[1], **more})
        for made in [CALLS[0], CALLS[3]]
    ]
)


def asking(method: str, params: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = {"jsonrpc": st.just("2.0"), "id": IDS, "method": st.just(method), "params": params}
    return st.fixed_dictionaries(known)


OLD = st.tuples(
    asking("initialize", HELLO),
    st.lists(
        st.one_of(
            st.just(INITIALIZED),
            *[asking(method, part(_meta=TOKEN)) for method in ("ping", *opening.LISTS)],
            asking(opening.CALL, CALLED),
        ),
        max_size=3,
    ),
)
ENVELOPED = st.fixed_dictionaries({"_meta": META})
CHANGES = st.fixed_dictionaries({"_meta": META, "notifications": st.just(opening.CHANGES)})
NEW = st.tuples(
    asking("server/discover", ENVELOPED),
    st.lists(
        st.one_of(
            asking(opening.LISTEN, CHANGES),
            *[asking(method, ENVELOPED) for method in opening.LISTS],
            asking(opening.CALL, st.builds(lambda more, said: {**said, **more}, ENVELOPED, CALLED)),
        ),
        max_size=2,
    ),
)


def places(node: Any) -> list[tuple[Any, Any]]:
    """Every place in it whose value can be another."""
    keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
    return [*((node, key) for key in keys), *(place for key in keys for place in places(node[key]))]


@st.composite
def bent(draw: st.DrawFn) -> list[Any]:
    """A connection's first messages, as they should be or with one value, one field or one method that is odd."""
    first, then = draw(st.one_of(OLD, NEW))
    messages = json.loads(json.dumps([first, *then]))
    kind = draw(st.sampled_from(["right", "right", "value", "field", "method"]))
    around, key = draw(st.sampled_from(places(messages)))
    if kind == "value":
        around[key] = draw(JSON)
    elif kind == "field" and isinstance(around, dict):
        around[draw(NAMES)] = draw(JSON)
    elif kind == "method":
        draw(st.sampled_from(messages))["method"] = draw(st.sampled_from(["ping", "server/discover", "initialize"]))
    return messages


@given(bent())
@settings(max_examples=150)
def test_whatever_is_answered_from_files_the_sdk_answers_the_same(messages: list[Any]) -> None:
    taken, answers = answered([line(message) for message in messages])

    assert answers == (said(taken, build) if taken else [])


@pytest.mark.parametrize(
    "odd_line",
    [
        b"no JSON",
        b'{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":NaN,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":"\\u0041","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":"\xff","method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1.0,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"x"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        line(greeting()),
        line(request(1, "tools/list", {}, MODERN)),
        line(request(1, "tools/call", {"name": "list_models", "arguments": {}}, LEGACY)),
        line(STRANGE),
    ],
    ids=range(13),
)
def test_what_is_not_certain_is_left_to_the_sdk(odd_line: bytes) -> None:
    first = from_files()
    assert first.answer(line(greeting()))

    assert first.answer(odd_line) is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_call_after_the_lists_is_answered_by_the_sdk_and_nothing_twice(tmp_path: Path, version: str) -> None:
    call = line(request(99, "tools/call", {"name": "cancel_task", "arguments": {}}, version))
    lines = [*exchange(version), call]

    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_server"], stdin=pipe, stdout=pipe, stderr=pipe, env=environment
    ) as server:
        assert server.stdin and server.stdout and server.stderr
        server.stdin.write(b"\n".join(lines) + b"\n")
        server.stdin.flush()
        # A call is answered to who stays: what is under way when the client goes is given up.
        told, last = [], b"{}"
        while json.loads(last).get("id") != 99:
            last = server.stdout.readline()
            told.append(last)
        server.stdin.close()
        rest = server.stdout.read()
        assert server.stderr.read() == b""

    assert server.returncode == 0
    assert [*told[:-1], *rest.splitlines(keepends=True)] == answered(lines)[1]
    assert json.loads(last)["result"]["isError"] is True


def test_an_introduction_too_long_for_the_front_is_answered_all_the_same(tmp_path: Path) -> None:
    message = greeting()
    message["params"]["clientInfo"]["title"] = "x" * opening.LINE_MAX

    done = run([line(message)], tmp_path)

    assert done.stdout == answered([line(greeting())])[1][0]


async def test_a_line_may_come_in_pieces(tmp_path: Path) -> None:
    async with pipe({"HOME": str(tmp_path)}, MODERN) as server:
        for byte in line(request(1, "tools/list", {}, MODERN)):
            server.process.stdin.write(bytes([byte]))
            await server.process.stdin.drain()
        server.process.stdin.write(b"\n")
        assert len((await server.answer(1))["result"]["tools"]) == 7


def test_a_last_line_without_an_end_is_answered(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mcp_server"]
    done = subprocess.run(
        command, check=False, input=line(greeting()), capture_output=True, env={"HOME": str(tmp_path)}, timeout=120
    )

    assert done.stdout == answered([line(greeting())])[1][0]


def test_nothing_but_the_standard_library_is_imported_before_the_first_answer(tmp_path: Path) -> None:
    done = run(exchange(LEGACY), tmp_path, "-X", "importtime")
    imported = {row.rpartition("|")[2].strip() for row in done.stderr.decode().splitlines()}

    assert len(done.stdout.splitlines()) == 6
    assert "mcp_server.server.handshake.front" in imported
    assert not imported & {"mcp", "mcp_types", "pydantic", "pydantic_core", "httpx", "httpx2", "anyio", "asyncio"}


def test_a_first_price_needs_no_sdk(tmp_path: Path) -> None:
    calls = [request(n, "tools/call", {"name": c, "arguments": a}, LEGACY) for n, (c, a) in enumerate(CALLS, 20)]

    done = run([*exchange(LEGACY), *map(line, calls)], tmp_path, "-X", "importtime")

    imported = {row.rpartition("|")[2].strip() for row in done.stderr.decode().splitlines()}
    answers = [json.loads(row) for row in done.stdout.splitlines()][-len(CALLS) :]
    assert [answer["id"] for answer in answers] == [call["id"] for call in calls]
    assert not any(answer["result"]["isError"] for answer in answers)
    assert "mcp_server.service" in imported
    assert not imported & {"mcp", "mcp_types", "httpx", "httpx2", "anyio", "sqlite3"}
    assert not list(tmp_path.iterdir()), "a price writes nothing"


def test_a_limit_that_cannot_be_read_is_refused_before_any_answer(tmp_path: Path) -> None:
    done = run(exchange(LEGACY), tmp_path, KLING_DAILY_BUDGET_USD="ten")

    assert (done.returncode, done.stdout) == (64, b"")
    assert b"KLING_DAILY_BUDGET_USD" in done.stderr


def test_the_series_of_the_sdk_is_read_from_what_is_installed(tmp_path: Path) -> None:
    (tmp_path / "later" / "mcp-9.1.0rc1.dist-info").mkdir(parents=True)
    (tmp_path / "mcp_types-9.1.0.dist-info").mkdir()
    folders = [str(tmp_path / "none"), str(tmp_path), str(tmp_path / "later")]

    assert installed_sdk(folders) == "9.1"
    assert installed_sdk(folders[:2]) == ""


def test_answers_of_another_series_of_the_sdk_are_not_given(tmp_path: Path) -> None:
    assert Opening(ANSWERS / "mcp-9.1").answer(line(greeting())) is None


@pytest.fixture
def signals() -> Iterator[None]:
    """The handlers of this process as they were."""
    kept = {number: signal.getsignal(number) for number in front.ENDING}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


def unsaid(_tool: str, _arguments: object) -> None:
    """No tool says anything early."""


@pytest.fixture
def wire() -> Iterator[tuple[int, Wire, int]]:
    """The client's end to write to, ours, and the client's end to read from."""
    ours, theirs = os.pipe(), os.pipe()
    open_ends = [*ours, *theirs]
    yield ours[1], Wire(ours[0], theirs[1]), theirs[0]
    for end in open_ends:
        os.close(end)


def test_a_record_to_look_after_brings_the_sdk_while_the_client_is_quiet(
    signals: None, wire: tuple[int, Wire, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "QUIET_S", 0)
    to_server, ours, from_server = wire
    os.write(to_server, line(greeting()) + b"\n" + line(INITIALIZED) + b"\n")

    taken = open_connection(ours, lambda: True, unsaid)

    assert os.read(from_server, 1 << 16) == answered([line(greeting())])[1][0]
    assert taken == Handover(ours, line(greeting()) + b"\n" + line(INITIALIZED) + b"\n", (b'{"jsonrpc":"2.0","id":0,',))


def test_where_nothing_was_ever_bought_the_sdk_waits_for_the_first_call(
    signals: None, wire: tuple[int, Wire, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "QUIET_S", 0)
    to_server, ours, _ = wire
    os.write(to_server, line(greeting()) + b"\n")
    call = line(request(1, "tools/call", {"name": "list_models", "arguments": {}}, LEGACY)) + b"\n"

    def nothing_bought() -> bool:
        os.write(to_server, call)
        return False

    taken = open_connection(ours, nothing_bought, unsaid)

    assert taken is not None
    assert taken.heard == line(greeting()) + b"\n" + call


def test_after_a_price_the_sdk_comes_while_the_client_is_quiet_and_hears_nothing_of_it(
    signals: None, wire: tuple[int, Wire, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(front, "QUIET_S", 0)
    to_server, ours, from_server = wire
    call = line(request(1, "tools/call", {"name": "list_models", "arguments": {}}, LEGACY)) + b"\n"
    os.write(to_server, line(greeting()) + b"\n" + call)

    taken = open_connection(ours, lambda: False, lambda tool, _: {"asked": tool})

    assert taken is not None
    assert taken.heard == line(greeting()) + b"\n"
    *_, told = os.read(from_server, 1 << 16).splitlines()
    assert json.loads(told)["result"]["structuredContent"] == {"asked": "list_models"}


def test_a_client_that_no_longer_reads_ends_it(signals: None) -> None:
    (source, to_server), (from_server, sink) = os.pipe(), os.pipe()
    os.write(to_server, line(greeting()) + b"\n")
    os.close(from_server)

    assert open_connection(Wire(source, sink), lambda: True, unsaid) is None

    for end in (source, to_server, sink):
        os.close(end)


def test_the_envelope_of_these_tests_is_one_that_is_answered() -> None:
    assert answered([line({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": ENVELOPE}})])[1]
