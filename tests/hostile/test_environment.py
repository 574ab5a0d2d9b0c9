"""What a machine does to the program: signals, variables nobody expanded, homes nobody can write to, doors left open."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from support.http_serving import free_port
from support.mcp_world import Vendors, client
from support.sandboxes import bench
from support.terminal import command

from mcp_server.cli.setup import checks
from mcp_server.composition import build
from mcp_server.errors import ArgumentError
from mcp_server.server.connections import Counted, LimitedLine
from mcp_server.server.http import build_app
from mcp_server.server.server import build_server
from mcp_server.settings import ACCESS, MONEY, Settings
from mcp_server.tasks.store.base import Filter
from mcp_server.tasks.store.sqlite import SqliteStore

ROOT = str(Path(__file__).parents[2])


async def started(environment: dict[str, str], *words: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command(*words),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": ROOT, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


async def until(met: object) -> None:
    async with asyncio.timeout(120):
        while not met():  # type: ignore[operator]
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_an_answer_that_was_about_to_come_is_not_lost(shops: Vendors, stop: signal.Signals) -> None:
    """The vendor has taken the order and answers a moment after the terminal was closed."""
    shops.fault("runapi", "slow", "1")
    buying = await started(shops.environment, "generate", "kling 5s: a boat", "--provider", "runapi", "--yes")
    await until(lambda: any(not line["status"] for line in shops.submits()) or shops.submits())
    buying.send_signal(stop)
    # What comes twice, as from a shell and from a session that both end, changes nothing.
    if stop is not signal.SIGINT:
        buying.send_signal(stop)
    _, told = await asyncio.wait_for(buying.communicate(), 120)
    assert buying.returncode == (130 if stop is signal.SIGINT else 128 + stop), told.decode()
    (task,) = await tasks(shops)
    assert task["state"] not in ("submitting", "uncertain")
    assert len(shops.submits()) == 1


async def tasks(shops: Vendors) -> list[dict[str, str]]:
    """The record as another process reads it."""
    looking = await started(shops.environment, "tasks", "--json")
    out, _ = await looking.communicate()
    return json.loads(out)["tasks"]


GUARDS = {
    "KLING_DAILY_BUDGET_USD": ("${X:-5}", "${BUDGET}", "$5", "1_000", "1e400", "-1", "inf", "five", "5,00", "\u0665"),
    "KLING_OWNER_BUDGETS": ("${X:-5}", "${BUDGETS}", "ann", "=5", "ann=five", "ann=1,ann=2", "*=-1"),
    "KLING_DATABASE_URL": ("${DATABASE}", "mysql://host/x", "host/x"),
    "KLING_CONFIRM_ABOVE_USD": ("${X:-5}", "1e3", "nan"),
    "KLING3API_USD_PER_CREDIT": ("${X:-0.01}", "0"),
    "KLING_ACCEPT_UNKNOWN_PRICE": ("${X:-0}", "maybe"),
    "KLING_HTTP_TOKEN": ("x", "${TOKEN}", "${KLING_HTTP_TOKEN:-let-me-in}", "fifteen-letters"),
    "KLING_HTTP_ISSUER": ("${ISSUER}", "http://id.example.com"),
    "KLING_HTTP_URL": ("${URL}", "https://video.example.com/mcp", "http://192.168.1.10/mcp"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in GUARDS.items() for value in values])
def test_a_guard_that_cannot_be_read_lets_no_server_start(name: str, value: str) -> None:
    given = {name: value}
    if name == "KLING_HTTP_ISSUER":
        given["KLING_HTTP_URL"] = "https://video.example.com/mcp"
    with pytest.raises(ArgumentError) as refused:
        build_app(Settings.read(given), host="127.0.0.1", port=8000)
    assert "KLING" in f"{refused.value}"


def test_a_variable_that_its_client_did_not_have_is_unset() -> None:
    """Shipped manifests hand on `${user_config.kling_daily_budget_usd}` where nothing was filled in."""
    handed_on = {name: "${user_config." + name.lower() + "}" for name in MONEY} | {
        name: "${" + name + "}" for name in ACCESS
    }
    settings = Settings.read(handed_on)
    settings.check()
    assert settings.daily_budget_usd is settings.http_token is settings.http_url is None
    assert Settings.read({"KLING_DAILY_BUDGET_USD": "2.50"}).daily_budget_usd == Decimal("2.50")


def test_every_owner_s_limit_is_named_once_and_a_database_is_no_word_of_its_own() -> None:
    limits = Settings.read({"KLING_OWNER_BUDGETS": " https://id.example.com#ann = 20, *=2.50,"}).owner_budgets
    assert limits == {"https://id.example.com#ann": Decimal("20"), "*": Decimal("2.50")}
    assert Settings.read({}).owner_budgets == {} and Settings.read({}).database_url is None
    shared = Settings.read({"KLING_DATABASE_URL": "postgresql://u:hush@h/d", "KLING_WORKER_PROVIDERS": "RunAPI, fal"})
    assert shared.worker_providers == {"runapi", "fal"} and shared.has_record
    assert "hush" not in f"{shared} {shared.database_url}" and "KLING_DATABASE_URL" not in shared.without_secrets
    assert Settings.read({"KLING_WORKER_PROVIDERS": "runapi"}).worker_providers == frozenset()


@pytest.mark.parametrize("words", [(), ("serve", "--http", "--port", "0")])
async def test_no_server_starts_with_half_a_budget(tmp_path: Path, words: tuple[str, ...]) -> None:
    server = await started({"HOME": str(tmp_path), "KLING_DAILY_BUDGET_USD": "${X:-5}"}, *words)
    _, told = await asyncio.wait_for(server.communicate(), 120)
    assert server.returncode == 64
    assert "KLING_DAILY_BUDGET_USD='${X:-5}' is not an amount of money" in told.decode()


async def test_the_sandbox_is_controlled_by_its_own_home_alone(tmp_path: Path) -> None:
    async with bench(tmp_path / "sandbox.db") as made:
        doors = [("GET", "faults"), ("POST", "faults"), ("DELETE", "faults"), ("GET", "journal"), ("DELETE", "journal")]
        for method, door in [*doors, ("GET", "jobs/runapi/x")]:
            address = f"{made.host}/control/{door}"
            for key in ({}, {"X-Sandbox-Key": "sandbox"}):
                assert (await made.stranger.request(method, address, headers=key)).status_code == 401, door
            page = await made.client.request(method, address, headers={"Host": "evil.example.com"})
            assert page.status_code == 403, door
        assert (await made.stranger.get(f"{made.host}/health")).status_code == 200
        await made.fault("runapi=failed")
    assert (tmp_path / "sandbox.db").stat().st_mode & 0o077 == 0


async def test_a_sandbox_file_that_others_could_read_is_taken_back(tmp_path: Path) -> None:
    (tmp_path / "sandbox.db").touch(0o644)
    async with bench(tmp_path / "sandbox.db"):
        assert (tmp_path / "sandbox.db").stat().st_mode & 0o077 == 0


class Hasty(LimitedLine):
    """The server's lines with the patience of a test."""

    lines = 20
    header_s = 0.2
    body_s = 0.3
    crowded_idle_s = 0.2


@asynccontextmanager
async def hasty() -> AsyncIterator[int]:
    async def echo(scope: Any, receive: Any, send: Any) -> None:
        message: dict[str, Any] = {"more_body": True}
        while message.get("more_body"):
            message = await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    port = free_port()
    server = uvicorn.Server(uvicorn.Config(echo, port=port, http=Hasty, log_config=None, lifespan="off"))
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    yield port
    server.should_exit = True
    await serving


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"POST /mcp HT",
        b"POST /mcp HTTP/1.1\r\nHost: x\r\nA: ",
        b"POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
    ],
    ids=["nothing", "half a line", "half a header", "half a body"],
)
async def test_a_request_that_does_not_arrive_is_not_waited_for(begun: bytes) -> None:
    async with hasty() as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        with suppress(ConnectionError):
            assert b"200" not in await reader.read()
        writer.close()


async def test_a_byte_now_and_then_buys_no_time() -> None:
    async with hasty() as port, asyncio.timeout(5):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(b"A: b\r\n")
                with suppress(TimeoutError):
                    await asyncio.wait_for(reader.read(1), 0.05)
        writer.close()


async def test_lines_are_counted_and_a_whole_request_is_served_again_and_again() -> None:
    async with hasty() as port, asyncio.timeout(10):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        with suppress(ConnectionError):
            # The twenty-first and all after it are closed at once, long before the others are.
            await held[-1][0].read()
        for _, writer in held:
            writer.close()
        async with httpx.AsyncClient(timeout=60) as http:
            for _ in range(3):
                await until_served(http, f"http://127.0.0.1:{port}/")


async def test_a_line_is_kept_for_the_next_call_and_for_less_where_there_are_many() -> None:
    async with hasty() as port, asyncio.timeout(20):
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(12)]
        for reader, writer in lines:
            await asked(reader, writer)
        # Whoever came when half of all lines were taken is not kept for long.
        assert [await reader.read() for reader, _ in lines[10:]] == [b"", b""]
        for reader, writer in lines[:10]:
            await asked(reader, writer)
        for _, writer in lines:
            writer.close()


async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One call over a line, answered."""
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
    assert await reader.readexactly(2) == b"ok"


async def until_served(http: httpx.AsyncClient, address: str) -> None:
    """Once the held lines are gone, everybody is served."""
    while True:
        with suppress(httpx.TransportError):
            assert (await http.post(address, content=b"x" * 100_000)).text == "ok"
            return


def test_a_log_counts_instead_of_repeating(caplog: pytest.LogCaptureFixture) -> None:
    counted, log = Counted(), logging.getLogger("kling_video.counted")
    caplog.handler.addFilter(counted)
    for _ in range(10_000):
        log.warning("A line was closed")
    log.warning("Something else")
    caplog.handler.removeFilter(counted)
    assert [record.message for record in caplog.records] == ["A line was closed"] * 5 + ["Something else"]


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_home_nobody_can_write_to_is_no_defect_and_costs_nothing(tmp_path: Path, keyed: bool) -> None:
    (tmp_path / "file").touch()
    given = {
        "HOME": str(tmp_path),
        "KLING_HOME": str(tmp_path / "file" / "home"),
        "KLING_OUTPUT_DIR": str(tmp_path / "o"),
    }
    if keyed:
        given |= {"RUNAPI_API_KEY": "k", "RUNAPI_BASE_URL": "http://127.0.0.1:9"}
    settings = Settings.read(given)
    async with client(build_server(lambda: build(settings), settings=settings), "legacy") as connected:
        said = await connected.call_tool("generate_video", {"request": "kling 5s: a boat"})
    assert said.is_error
    text = said.content[0].text
    assert "defect" not in text and "KLING_HOME" in text and text.endswith("Nothing was charged.")


async def test_a_record_of_zero_bytes_is_not_begun_anew(tmp_path: Path) -> None:
    record = tmp_path / "tasks.db"
    record.touch()
    os.utime(record, (0, 0))
    given = {"HOME": str(tmp_path), "KLING_HOME": str(tmp_path), "KLING_OUTPUT_DIR": str(tmp_path / "o")}
    settings = Settings.read(given)
    async with client(build_server(lambda: build(settings), settings=settings), "legacy") as connected:
        for tool, arguments in (("generate_video", {"request": "kling 5s: a boat"}), ("list_tasks", {})):
            said = await connected.call_tool(tool, arguments)
            assert said.is_error and "0 bytes" in said.content[0].text, tool
    assert record.stat().st_size == 0
    found = {finding.name: finding for finding in checks.files(settings)}
    assert found["record"].level == "bad" and "0 bytes" in found["record"].what


async def test_a_new_file_that_another_process_is_making_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "tasks.db").touch()
    store = SqliteStore(tmp_path / "tasks.db")
    assert await store.find(Filter()) == []
    await store.close()
