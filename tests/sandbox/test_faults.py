"""What the sandbox gets wrong on purpose: each fault, at each vendor, as often as it was ordered and not once more."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from support import recorded_vendors
from support.sandboxes import BY_VENDOR, PROTOCOLS, Protocol, bench, bought, link, look, order, served

from mcp_server.errors import ArgumentError
from mcp_server.sandbox.faults import KINDS, Fault, parse
from mcp_server.settings import Settings

EACH = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.vendor)


def test_a_fault_text_is_read_whole() -> None:
    assert list(parse("runcomfy=drop_after_accept, runapi=429:2@1.5,*=slow:always")) == [
        Fault(vendor="runcomfy", kind="drop_after_accept"),
        Fault(vendor="runapi", kind="429", count=2, value="1.5"),
        Fault(vendor="*", kind="slow", count=None),
    ]
    assert list(parse("*=failed:2~paper boat@tired")) == [
        Fault(vendor="*", kind="failed", count=2, value="tired", words="paper boat")
    ]
    assert list(parse("")) == []


@pytest.mark.parametrize(
    "text",
    [
        "runapi",
        "runapi=",
        "nobody=429",
        "runapi=boom",
        "runapi=429:0",
        "runapi=429:x",
        "=429",
        "*=failed~",
        "*=slow~boat",
    ],
)
def test_a_fault_text_that_cannot_be_meant_is_refused(text: str) -> None:
    with pytest.raises(ArgumentError):
        list(parse(text))


def test_the_settings_hand_the_text_on() -> None:
    settings = Settings.read({"KLING_SANDBOX_FAULTS": "runapi=429:2", "KLING_SANDBOX_SECONDS": "0.5"})

    assert (settings.sandbox_faults, settings.sandbox_seconds) == ("runapi=429:2", 0.5)
    assert (Settings.read({}).sandbox_faults, Settings.read({}).sandbox_seconds) == ("", 2.0)
    for wrong in ("soon", "-1", "nan", "inf"):
        with pytest.raises(ArgumentError):
            _ = Settings.read({"KLING_SANDBOX_SECONDS": wrong}).sandbox_seconds


@EACH
@pytest.mark.parametrize(("kind", "accepted"), [("drop_before_accept", 0), ("drop_after_accept", 1)])
async def test_a_dropped_answer_is_no_answer(protocol: Protocol, kind: str, accepted: int) -> None:
    async with served() as b:
        await b.fault(f"{protocol.vendor}={kind}")

        with pytest.raises(httpx.RemoteProtocolError, match="without sending a response"):
            await order(b, protocol)

        journal = await b.journal(action="submit")
        assert journal["accepted"].get(protocol.vendor, 0) == accepted
        assert [(line["status"], line["fault"]) for line in journal["entries"]] == [(None, kind)]
        assert (await order(b, protocol)).status_code == 200


@EACH
@pytest.mark.parametrize(("kind", "accepted"), [("500_before_accept@503", 0), ("500_after_accept@502", 1), ("html", 1)])
async def test_a_vendors_own_mishap_may_have_bought_something(protocol: Protocol, kind: str, accepted: int) -> None:
    async with bench() as b:
        await b.fault(f"{protocol.vendor}={kind}")

        reply = await order(b, protocol)

        assert reply.status_code == int(kind.partition("@")[2] or 200)
        assert reply.headers["content-type"].startswith("text/html" if kind == "html" else "application/json")
        assert (await b.journal())["accepted"].get(protocol.vendor, 0) == accepted


@EACH
async def test_429_says_when_to_come_back_and_only_so_often(protocol: Protocol) -> None:
    async with bench() as b:
        await b.fault(f"{protocol.vendor}=429:2@1.5")

        replies = [await order(b, protocol) for _ in range(3)]

        assert [reply.status_code for reply in replies] == [429, 429, 200]
        assert replies[0].headers["retry-after"] == "1.5"
        assert (await b.journal())["accepted"] == {protocol.vendor: 1}


@EACH
@pytest.mark.parametrize(("kind", "status"), [("status_500", 500), ("status_429", 429), ("status_html", 200)])
async def test_a_look_can_fail_and_the_next_one_not(protocol: Protocol, kind: str, status: int) -> None:
    async with bench() as b:
        job = await bought(b, protocol)
        await b.fault(f"{protocol.vendor}={kind}")

        assert (await look(b, protocol, job)).status_code == status
        assert protocol.at((await look(b, protocol, job)).json(), protocol.word) == protocol.words[0]


@EACH
async def test_a_word_nobody_documented_for_a_while(protocol: Protocol) -> None:
    async with bench() as b:
        job = await bought(b, protocol)
        await b.fault(f"{protocol.vendor}=status_unknown:2@pondering")

        said = [protocol.at((await look(b, protocol, job)).json(), protocol.word) for _ in range(3)]

        assert said == ["pondering", "pondering", protocol.words[0]]


@EACH
async def test_a_job_the_vendor_forgets_for_a_moment(protocol: Protocol) -> None:
    async with bench() as b:
        job = await bought(b, protocol)
        await b.fault(f"{protocol.vendor}=status_missing")

        assert (await look(b, protocol, job)).status_code in (400, 404)
        assert (await look(b, protocol, job)).status_code == 200


FAILED = {
    "runapi": ("status", "failed", "error"),
    "kling3api": ("data.status", "FAILED", "data.error_message"),
    "octopusx": ("status", "failed", "error.message"),
    "uniall": ("status", "failed", "error.message"),
    "runcomfy": ("status", "completed", "error"),
}


@EACH
@pytest.mark.parametrize("kind", ["failed@no luck", "moderation"])
async def test_a_job_can_end_badly_with_the_vendors_reason(protocol: Protocol, kind: str) -> None:
    async with bench() as b:
        await b.fault(f"{protocol.vendor}={kind}")
        job = await bought(b, protocol)
        b.finish()

        reply = (await look(b, protocol, job, result=bool(protocol.result) and protocol.fails_in_result)).json()

        where, word, reason = FAILED.get(protocol.vendor) or recorded_vendors.failed(protocol.vendor)
        assert protocol.at(reply, where) == word
        assert ("no luck" if "@" in kind else "moderation") in protocol.at(reply, reason)


@EACH
async def test_content_can_be_refused_at_the_counter(protocol: Protocol) -> None:
    async with bench() as b:
        await b.fault(f"{protocol.vendor}=content_refused")

        reply = await order(b, protocol)

        assert reply.status_code in (400, 422) and "moderation" in reply.text
        assert (await b.journal())["accepted"] == {}


@pytest.mark.parametrize(("vendor", "where", "words"), [("kling3api", "code", 402), ("runcomfy", "error_code", 400002)])
async def test_a_refusal_can_hide_in_a_200(vendor: str, where: str, words: object) -> None:
    async with bench() as b:
        await b.fault(f"{vendor}=no_money@200")

        reply = await order(b, BY_VENDOR[vendor])

        assert (reply.status_code, reply.json()[where]) == (200, words)


@EACH
async def test_a_slow_answer_takes_as_long_as_ordered(protocol: Protocol) -> None:
    async with bench() as b:
        await b.fault(f"{protocol.vendor}=slow@7,{protocol.vendor}=status_slow@3")
        job = await bought(b, protocol)
        await look(b, protocol, job)

        assert b.clock.slept == [7.0, 3.0]


async def test_a_download_that_breaks_off_can_be_resumed() -> None:
    protocol = BY_VENDOR["uniall"]
    async with served(rendering=False) as b:
        job = await bought(b, protocol)
        b.finish()
        address = await link(b, protocol, job)
        whole = (await b.stranger.get(address)).content
        await b.fault("uniall=file_cut:2")

        got = b""
        for attempt in range(3):
            headers = {"Range": f"bytes={len(got)}-"} if got else {}
            try:
                async with b.stranger.stream("GET", address, headers=headers) as reply:
                    assert reply.status_code == (206 if got else 200)
                    async for part in reply.aiter_raw():
                        got += part
            except httpx.RemoteProtocolError:
                assert attempt < 2 and 0 < len(got) < len(whole)

        assert got == whole


@pytest.mark.parametrize(("kind", "status"), [("file_expired", 403), ("file_gone", 410), ("file_html", 200)])
async def test_a_link_can_lead_nowhere(kind: str, status: int) -> None:
    protocol = BY_VENDOR["runapi"]
    async with bench(rendering=False) as b:
        job = await bought(b, protocol)
        b.finish()
        address = await link(b, protocol, job)
        await b.fault(f"runapi={kind}")

        reply = await b.stranger.get(address)

        assert reply.status_code == status and not reply.headers["content-type"].startswith("video")
        assert (await b.stranger.get(address)).headers["content-type"] == "video/mp4"


async def test_a_fault_for_all_vendors_hits_whoever_comes_first() -> None:
    async with bench(fault_text="*=429:2") as b:
        replies = [await order(b, protocol) for protocol in PROTOCOLS]

        assert [reply.status_code for reply in replies] == [429, 429] + [200] * (len(PROTOCOLS) - 2)


async def test_faults_of_the_settings_end_with_the_process_and_those_of_the_desk_do_not(tmp_path: Path) -> None:
    protocol = BY_VENDOR["runapi"]
    async with bench(tmp_path / "sandbox.db", fault_text="runapi=429:always,runapi=status_500") as b:
        await b.fault("kling3api=429")
        assert [(await order(b, protocol)).status_code for _ in range(2)] == [429, 429]
        assert len((await b.client.get(f"{b.host}/control/faults")).json()["faults"]) == 3
    async with bench(tmp_path / "sandbox.db") as b:
        assert (await order(b, protocol)).status_code == 200
        assert (await order(b, BY_VENDOR["kling3api"])).status_code == 429
        assert (await b.client.delete(f"{b.host}/control/faults")).json()["faults"] == []


async def test_the_desk_shows_arms_and_disarms() -> None:
    async with bench() as b:
        address = f"{b.host}/control/faults"
        await b.fault("runapi=failed:always,runcomfy=slow:2@9")
        armed = (await b.client.get(address)).json()
        wrong = await b.client.post(address, json={"faults": "runapi=nonsense"})
        shapeless = await b.client.post(address, content=b"nonsense")
        cleared = (await b.client.delete(address)).json()

        assert armed["faults"] == [
            {"vendor": "runapi", "kind": "failed", "remaining": None, "value": ""},
            {"vendor": "runcomfy", "kind": "slow", "remaining": 2, "value": "9"},
        ]
        assert armed["kinds"] == dict(KINDS)
        assert (wrong.status_code, shapeless.status_code) == (422, 422)
        assert cleared["faults"] == []
