"""The one file that speaks HTTP: what is repeated and what never is, whose key goes where, turns, proxies, silence in logs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from support.download_target import DownloadTarget
from support.scripted_vendor import Vendor, serving

from mcp_server import catalog
from mcp_server.catalog import REGISTRY
from mcp_server.errors import NotSignedInError, ProviderError
from mcp_server.providers import wire
from mcp_server.providers.accounts import Account, sandbox_account
from mcp_server.providers.base import HttpCall
from mcp_server.providers.connections import WRITE_AT_ONCE
from mcp_server.providers.incoming import BODY_LIMIT
from mcp_server.providers.json_bodies import encode
from mcp_server.providers.transport import (
    SLOWEST_BYTES_S,
    LostAnswerError,
    Transport,
    UnreachableError,
)
from mcp_server.settings import Secret

KEY = "sk-MARKED-0123456789"
LOOK = HttpCall(method="GET", path="/v1/videos/x")
ORDER = HttpCall(method="POST", path="/v1/videos", json={"prompt": "a boat"}, paid=True)


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serving(Vendor()) as one:
        yield one


@dataclass
class Clock:
    at: float = 1_000_000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def transport(clock: Clock) -> AsyncIterator[Transport]:
    made = Transport(now=clock.now, sleep=clock.sleep)
    yield made
    await made.aclose()


def account(url: str, provider: str = "uniall", key: str | None = KEY, **changes: Any) -> Account:
    facts = replace(catalog.load().providers[provider], **changes)
    return Account(
        facts=facts, base_urls=dict.fromkeys(facts.base_urls, url), secret=None if key is None else Secret(key, "test")
    )


# How long it may take ---------------------------------------------------------------------------------------------


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that never ends and never pauses."""
    try:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("call", "money"), [(ORDER, "may_have_been_charged"), (LOOK, "not_spent")], ids=["paid", "free"]
)
async def test_an_answer_that_drips_for_ever_is_lost_in_the_end(call: HttpCall, money: str, clock: Clock) -> None:
    server = await asyncio.start_server(dripping, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = Transport(now=clock.now, sleep=clock.sleep, exchange_s=0.1)
    try:
        with pytest.raises(LostAnswerError, match="did not answer") as lost:
            await transport.send(account(url), call)
    finally:
        await transport.aclose()
        server.close()

    assert lost.value.money == money


async def test_an_exchange_may_take_longer_by_the_size_of_what_is_sent(vendor: Vendor, clock: Clock) -> None:
    transport = Transport(now=clock.now, sleep=clock.sleep, exchange_s=0)
    put = HttpCall(method="PUT", path=f"{vendor.url}/file", content=bytes(SLOWEST_BYTES_S * 20), bare=True)
    try:
        with pytest.raises(LostAnswerError):
            await transport.send(account(vendor.url), LOOK)
        assert (await transport.send(account(vendor.url), put)).status == 200
    finally:
        await transport.aclose()

    assert len(vendor.asked[-1].body) == SLOWEST_BYTES_S * 20


# What is repeated --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trouble", [(500, "", {}), (502, "", {}), (503, "", {}), (504, "", {}), "drop"], ids=["500", "502", "503", "504", "drop"]
)  # fmt: skip
async def test_a_question_is_asked_again_with_growing_pauses(
    trouble: Any, vendor: Vendor, transport: Transport, clock: Clock
) -> None:
    vendor.answers = [trouble, trouble, (200, '{"ok": true}', {})]

    reply = await transport.ask(account(vendor.url), LOOK)

    assert reply.body == {"ok": True}
    assert len(vendor.asked) == 3
    assert clock.slept == [0.5, 1.0]


async def test_after_three_times_the_last_answer_or_the_silence_is_told(vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [(503, "busy", {})] * 3
    assert (await transport.ask(account(vendor.url), LOOK)).status == 503
    vendor.answers = ["drop"] * 3
    with pytest.raises(LostAnswerError) as told:
        await transport.ask(account(vendor.url), LOOK)

    assert told.value.money == "not_spent"
    assert len(vendor.asked) == 6


@pytest.mark.parametrize("status", [400, 401, 402, 404, 409, 422])
async def test_a_no_is_not_asked_again(status: int, vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [(status, "no", {})]

    assert (await transport.ask(account(vendor.url), LOOK)).status == status
    assert len(vendor.asked) == 1


@pytest.mark.parametrize("trouble", [(500, "", {}), (429, "", {"Retry-After": "1"}), (302, "", {"Location": "/other"})])
async def test_a_paid_call_is_sent_once_whatever_comes_back(trouble: Any, vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [trouble]

    assert (await transport.send(account(vendor.url), ORDER)).status == trouble[0]
    assert [one.line for one in vendor.asked] == ["POST /v1/videos HTTP/1.1"]


async def test_a_paid_call_without_an_answer_may_have_been_charged(vendor: Vendor, transport: Transport) -> None:
    vendor.answers = ["drop"]

    with pytest.raises(LostAnswerError) as told:
        await transport.send(account(vendor.url), ORDER)

    assert told.value.money == "may_have_been_charged"
    assert len(vendor.asked) == 1
    with pytest.raises(AssertionError):
        await transport.ask(account(vendor.url), ORDER)
    assert len(vendor.asked) == 1


async def test_a_paid_call_that_reached_nobody_cost_nothing(transport: Transport) -> None:
    with pytest.raises(UnreachableError) as told:
        await transport.send(account("http://127.0.0.1:9"), ORDER)

    assert told.value.money == "not_spent"


# Turns -------------------------------------------------------------------------------------------------------------


async def test_a_paid_call_costs_nothing_where_no_line_can_be_opened_whatever_keeps_it(
    vendor: Vendor, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_loop(*_: Any, **__: Any) -> None:
        raise TypeError("create_connection() got an unexpected keyword argument")

    # As uvloop does, whose lines are opened with less to say.
    monkeypatch.setattr(asyncio.get_running_loop(), "create_connection", other_loop, raising=False)
    with pytest.raises(UnreachableError) as told:
        await transport.send(account(vendor.url), ORDER)
    assert told.value.money == "not_spent"
    assert vendor.asked == []


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0)


async def test_a_provider_is_asked_so_many_at_once_and_another_has_turns_of_its_own(
    vendor: Vendor, transport: Transport
) -> None:
    vendor.hold = asyncio.Event()
    one, other = account(vendor.url, concurrency=3), account(vendor.url, "octopusx", concurrency=2)
    looks = [asyncio.create_task(transport.ask(who, LOOK)) for who in [one] * 9 + [other] * 9]
    await until(lambda: vendor.inside >= 5)
    vendor.hold.set()
    await asyncio.gather(*looks)

    assert vendor.most_inside == 5
    assert len(vendor.asked) == 18
    assert vendor.connections <= 5


@pytest.mark.parametrize(
    ("said", "wait"), [("7", 7.0), ("Mon, 12 Jan 1970 13:46:52 GMT", 12.0), ("100000", 300.0)], ids=["s", "date", "far"]
)
async def test_later_closes_the_door_for_everybody_at_this_provider(
    said: str, wait: float, vendor: Vendor, transport: Transport, clock: Clock
) -> None:
    vendor.answers = [(429, "", {"Retry-After": said})]
    who = account(vendor.url)
    await transport.send(who, LOOK)

    async with transport.slot(account(vendor.url, "octopusx")):
        assert clock.slept == []
    async with transport.slot(who):
        assert sum(clock.slept) == pytest.approx(wait)


async def test_a_closed_door_lets_a_question_through_when_the_time_has_passed(
    vendor: Vendor, transport: Transport, clock: Clock
) -> None:
    vendor.answers = [(429, "", {"Retry-After": "20"}), (200, "{}", {})]

    assert (await transport.ask(account(vendor.url), LOOK)).status == 200
    assert clock.slept == [0.5, 19.5]


async def test_a_clock_that_is_set_back_keeps_no_door_closed(
    vendor: Vendor, transport: Transport, clock: Clock
) -> None:
    vendor.answers = [(429, "", {"Retry-After": "20"})]
    who = account(vendor.url)
    await transport.send(who, LOOK)
    clock.at -= 86_400

    async with transport.slot(who):
        assert clock.slept == []


# Keys --------------------------------------------------------------------------------------------------------------


async def test_the_key_goes_to_its_vendor_and_to_nobody_else(vendor: Vendor, transport: Transport) -> None:
    who = account(vendor.url)
    await transport.send(who, LOOK)
    await transport.send(who, HttpCall(method="GET", path="/prices", public=True))
    await transport.send(who, HttpCall(method="PUT", path=f"{vendor.url}/up?sig=1", content=b"x", bare=True))
    clip = DownloadTarget()
    await transport.download(f"{vendor.url}/clip.mp4", clip)
    assert clip.status == 200

    assert [one.headers.get("authorization") for one in vendor.asked] == [f"Bearer {KEY}", None, None, None]


async def test_the_key_goes_under_the_header_and_the_word_its_vendor_asks_for(
    vendor: Vendor, transport: Transport
) -> None:
    await transport.send(account(vendor.url, key_scheme="Key"), LOOK)
    await transport.send(account(vendor.url, key_header="X-API-Key", key_scheme=""), LOOK)

    assert [one.headers.get("authorization") for one in vendor.asked] == [f"Key {KEY}", None]
    assert [one.headers.get("x-api-key") for one in vendor.asked] == [None, KEY]


@pytest.mark.parametrize("paid", [False, True], ids=["file", "order"])
async def test_a_long_body_leaves_in_pieces_each_with_a_time_of_its_own(
    paid: bool, vendor: Vendor, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write, drain = asyncio.StreamWriter.write, asyncio.StreamWriter.drain

    def watched(writer: asyncio.StreamWriter, data: bytes) -> None:
        written.append(len(data))
        write(writer, data)

    async def waited(writer: asyncio.StreamWriter) -> None:
        waits.append(len(written))
        await drain(writer)

    waits: list[int] = []
    monkeypatch.setattr(asyncio.StreamWriter, "write", watched)
    monkeypatch.setattr(asyncio.StreamWriter, "drain", waited)
    content = bytes(range(251)) * 5_000
    file = HttpCall(method="PUT", path=f"{vendor.url}/store", content=content, bare=True)
    order = HttpCall(method="POST", path="/v1/videos", json={"image": "x" * len(content)}, paid=True)

    await transport.send(account(vendor.url), order if paid else file)

    (asked,) = vendor.asked
    assert asked.body == (encode(order.json) if paid else content)
    assert "transfer-encoding" not in asked.headers
    ours = [size for size in written if size > 1_000]
    assert max(ours) <= WRITE_AT_ONCE
    assert len(ours) > len(content) // WRITE_AT_ONCE
    assert len(waits) >= len(ours)


async def test_without_a_key_nothing_is_sent(vendor: Vendor, transport: Transport) -> None:
    with pytest.raises(NotSignedInError, match="UNIALL_API_KEY"):
        await transport.send(account(vendor.url, key=None), LOOK)

    assert vendor.asked == []


async def test_a_vendor_that_quotes_the_key_is_not_quoted(vendor: Vendor, transport: Transport) -> None:
    said = json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}})
    vendor.answers = [(401, said, {}), (401, f"<p>{KEY}", {})]
    who = account(vendor.url)

    for _ in range(2):
        reply = await transport.ask(who, LOOK)
        with pytest.raises(ProviderError) as told:
            wire(who.facts).read_balance(reply)
        assert "[the key]" in told.value.vendor_words
        assert KEY not in f"{reply} {told.value} {told.value.as_dict()}"


async def test_logs_have_no_addresses_and_no_headers_at_any_level(
    vendor: Vendor, transport: Transport, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.DEBUG)
    logging.getLogger("httpcore").setLevel(logging.DEBUG)

    await transport.send(account(vendor.url), LOOK)
    await transport.download(f"{vendor.url}/clip.mp4?signature=MARKED", DownloadTarget())
    with pytest.raises(UnreachableError) as told:
        await transport.send(account("http://127.0.0.1:9/?signature=MARKED"), LOOK)

    everything = f"{told.value} {told.value.as_dict()} {[record.getMessage() for record in caplog.records]}"
    assert "MARKED" not in everything


# Proxies -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def socks_proxy(vendor: Vendor, asked: list[str]) -> AsyncIterator[int]:
    """RFC 1928 without a password: whatever name is asked for, the vendor is behind it; the proxy's port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        head = await reader.readexactly(5)
        assert head[:4] == b"\x05\x01\x00\x03", "a name was to be asked for, and not an address"
        name = await reader.readexactly(head[4])
        asked.append(f"{name.decode()}:{int.from_bytes(await reader.readexactly(2))}")
        there, back = await asyncio.open_connection("127.0.0.1", urlsplit(vendor.url).port)
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        await asyncio.gather(handed_on(reader, back), handed_on(there, writer))

    async def handed_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            sink.write(piece)
        sink.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_a_proxy_of_the_environment_is_used_and_hears_no_key_over_https(
    vendor: Vendor, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(Vendor(answers=[(200, '{"through": "the proxy"}', {}), (403, "", {}), (403, "", {})])) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        reply = await transport.send(account("http://vendor.test"), LOOK)
        for call in (LOOK, ORDER):
            with pytest.raises(UnreachableError) as told:
                await transport.send(account("https://vendor.test"), call)

        assert reply.body == {"through": "the proxy"}
        assert proxy.asked[0].line == "GET http://vendor.test/v1/videos/x HTTP/1.1"
        # The tunnel is asked for before the vendor hears anything: a refusal of it cannot have been charged.
        assert [one.line for one in proxy.asked[1:]] == ["CONNECT vendor.test:443 HTTP/1.1"] * 2
        assert "authorization" not in proxy.asked[1].headers
        assert told.value.money == "not_spent"
        assert vendor.asked == []
        assert transport.proxied("https://media.test/clip.mp4")


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks"])
async def test_a_socks_proxy_of_the_environment_is_used_and_asked_for_the_name(
    scheme: str, vendor: Vendor, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    async with socks_proxy(vendor, asked) as port:
        monkeypatch.setenv("ALL_PROXY", f"{scheme}://127.0.0.1:{port}")
        reply = await transport.send(account("http://vendor.test"), ORDER)
        clip = DownloadTarget()
        await transport.download("http://media.test/clip.mp4", clip)

    assert (reply.status, clip.status) == (200, 200)
    assert asked == ["vendor.test:80", "media.test:80"]


@pytest.mark.parametrize(
    "proxy", ["socks5://{there}", "http://{there}", "gopher://{there}", "http://[", "socks4://{there}"]
)
async def test_a_paid_call_that_got_no_further_than_a_proxy_cost_nothing(
    proxy: str, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands there is no proxy, or none that is known."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(3)
        writer.write(b"SSH-2.0-neither\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        there = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        monkeypatch.setenv("ALL_PROXY", proxy.format(there=there))
        with pytest.raises(UnreachableError) as told:
            await transport.send(account("https://vendor.test"), ORDER)
        with pytest.raises(LostAnswerError):
            await transport.download("https://media.test/clip.mp4", DownloadTarget())
    assert told.value.money == "not_spent"


async def test_this_machine_and_what_no_proxy_names_are_reached_without_one(
    vendor: Vendor, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(Vendor(answers=[(407, "", {})] * 9)) as proxy:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.setenv("NO_PROXY", "inside.test")

        simulated = sandbox_account(catalog.load().providers["uniall"], vendor.url)
        assert (await transport.send(simulated, LOOK)).status == 200
        clip = DownloadTarget()
        await transport.download(f"{vendor.url}/clip.mp4", clip)
        assert clip.status == 200

        assert proxy.asked == []
        assert not transport.proxied(f"{vendor.url}/clip.mp4")
        assert not transport.proxied("https://inside.test/clip.mp4")


# What comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", REGISTRY)
@pytest.mark.parametrize("header", ["X-Request-Id", "X-Oneapi-Request-Id", "Request-Id"])
async def test_every_refusal_names_the_exchange(
    provider: str, header: str, vendor: Vendor, transport: Transport
) -> None:
    who = account(vendor.url, provider)
    adapter = wire(who.facts)
    for status, text in ((500, "<html>"), (422, '{"message": "no"}'), (200, "[]")):
        vendor.answers = [(status, text, {header: "req-1"})]
        reply = await transport.send(who, ORDER)
        with pytest.raises(ProviderError) as told:
            adapter.read_submit(reply)
        assert told.value.request_id == "req-1"
        assert told.value.as_dict()["request_id"] == "req-1"


async def test_an_answer_without_an_end_is_cut(vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [(200, "x" * (BODY_LIMIT + 1), {})]

    reply = await transport.send(account(vendor.url), LOOK)

    assert reply.body is None
    assert len(reply.text) == 4_000


async def test_numbers_arrive_exactly(vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [(200, '{"cost": 0.1126, "big": 1e999999}', {})]

    body = (await transport.send(account(vendor.url), LOOK)).body

    assert str(body["cost"]) == "0.1126"


@pytest.mark.parametrize("key", ["sk-MARKED\n0123", "sk-MARKED\x00123", "sk-MARKED ö 12", "sk-MARKED 0123"])
async def test_what_cannot_be_a_key_is_neither_sent_nor_shown(key: str, vendor: Vendor, transport: Transport) -> None:
    with pytest.raises(NotSignedInError, match="UNIALL_API_KEY") as refused:
        await transport.send(account(vendor.url, key=key), ORDER)

    assert "MARKED" not in str(refused.value)
    assert vendor.asked == []


async def test_half_a_character_in_an_answer_does_not_stop_the_record(vendor: Vendor, transport: Transport) -> None:
    vendor.answers = [(200, '{"id": "job-1", "status": "\\ud83d", "more": ["\\uDC00", {"\\ud800": 1}]}', {})]

    reply = await transport.send(account(vendor.url), ORDER)

    assert reply.body["id"] == "job-1"
    json.dumps(reply.body, ensure_ascii=False).encode()
