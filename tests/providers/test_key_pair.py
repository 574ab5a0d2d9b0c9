"""A pair of keys: a fresh token for each call of a legacy route, the key for all others, and the secret key nowhere."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import jwt
import pytest
from support.orders import PIXEL
from support.scripted_vendor import Vendor, serving
from support.services import hurried, service

from mcp_server import catalog
from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import NoOfferError, NotSignedInError
from mcp_server.providers.accounts import Account, account
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.transport import Transport
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer
from mcp_server.settings import Settings

FACTS = catalog.load().providers["klingai"]
KEY = "api-key-MARKED-0123456789"
ACCESS = "access-MARKED-0123456789"
SECRET = "secret-MARKED-0123456789-0123456789"
NEW = HttpCall(method="GET", path="/tasks")
LEGACY = HttpCall(method="GET", path="/v1/videos/avatar/image2video/1", signed=True)
FACE = VideoArguments(image="https://example.com/a.png", audio_file="https://example.com/v.mp3", provider="klingai")
SCENE = VideoArguments(prompt="a boat", provider="klingai", model="kling-3.0", tier="standard")


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    async with serving(Vendor()) as one:
        yield one


def held(vendor: Vendor, **variables: str) -> Account:
    return account(FACTS, Settings.read({"KLINGAI_BASE_URL": vendor.url, **variables}))


async def asked(one: Account, call: HttpCall, at: float = 1_000_000.0) -> HttpReply:
    transport = Transport(now=lambda: at)
    try:
        return await transport.send(one, call)
    finally:
        await transport.aclose()


PAIR = {"KLINGAI_ACCESS_KEY": ACCESS, "KLINGAI_SECRET_KEY": SECRET}


async def test_a_legacy_call_carries_a_token_that_its_secret_key_verifies_and_says_for_how_long(vendor: Vendor) -> None:
    mine = held(vendor, KLINGAI_API_KEY=KEY, **PAIR)
    await asked(mine, LEGACY, at=1_000_000.0)
    await asked(mine, LEGACY, at=1_000_060.0)

    first, second = (request.headers["authorization"].removeprefix("Bearer ") for request in vendor.asked)
    times = {"verify_exp": False, "verify_nbf": False}
    claims = [jwt.decode(token, SECRET, algorithms=["HS256"], options=times) for token in (first, second)]
    assert jwt.get_unverified_header(first) == {"alg": "HS256", "typ": "JWT"}
    assert claims == [
        {"iss": ACCESS, "exp": 1_001_800, "nbf": 999_995},
        {"iss": ACCESS, "exp": 1_001_860, "nbf": 1_000_055},
    ]
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(first, SECRET[::-1], algorithms=["HS256"], options=times)


@pytest.mark.parametrize(
    ("variables", "call"), [({**PAIR}, NEW), ({}, LEGACY), ({"KLINGAI_ACCESS_KEY": ACCESS}, LEGACY)]
)
async def test_the_key_goes_along_on_new_routes_and_where_no_whole_pair_is(
    vendor: Vendor, variables: dict[str, str], call: HttpCall
) -> None:
    await asked(held(vendor, KLINGAI_API_KEY=KEY, **variables), call)

    assert vendor.asked[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_pair_alone_asks_nothing_of_a_new_route(vendor: Vendor) -> None:
    with pytest.raises(NotSignedInError, match="KLINGAI_API_KEY"):
        await asked(held(vendor, **PAIR), NEW)

    assert vendor.asked == []


@pytest.mark.parametrize("half", ["KLINGAI_ACCESS_KEY", "KLINGAI_SECRET_KEY"])
async def test_a_half_that_can_be_none_is_refused_before_anything_is_sent(vendor: Vendor, half: str) -> None:
    with pytest.raises(NotSignedInError, match=half) as refused:
        await asked(held(vendor, **PAIR | {half: "two words of MARKED"}), LEGACY)

    assert "MARKED" not in str(refused.value)
    assert vendor.asked == []


async def test_a_token_a_vendor_quotes_is_not_believed_into_any_answer(vendor: Vendor) -> None:
    mine = held(vendor, KLINGAI_API_KEY=KEY, **PAIR)
    token = mine.proof(LEGACY, 1_000_000.0)
    body = {"code": 1002, "message": f"bad {token} of {ACCESS} by {SECRET}"}
    vendor.answers = [(401, json.dumps(body), {"X-Said": token})]
    got = await asked(mine, LEGACY)

    for secret in (token, ACCESS, SECRET):
        assert secret not in f"{got!r}"
    assert got.body["message"] == "bad [the key] of [the key] by [the key]"


def test_two_pairs_are_two_accounts_in_the_record() -> None:
    marks = {
        account(FACTS, Settings.read({"KLINGAI_ACCESS_KEY": access, "KLINGAI_SECRET_KEY": SECRET})).mark
        for access in (ACCESS, ACCESS + "2")
    }
    assert len(marks) == 2
    assert all(ACCESS not in mark for mark in marks)


@pytest.fixture
async def kling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Sandbox, dict[str, str], object]]:
    """Kling on loopback, as a server of its own."""
    monkeypatch.setattr("mcp_server.sandbox.sandbox.can_render", lambda: False)
    (tmp_path / "kling").mkdir()
    clock = hurried()
    box = Sandbox(tmp_path / "kling" / "jobs.db", now=clock.now, seconds=2, sleep=clock.sleep)
    served = SandboxServer(box)
    yield box, {"KLINGAI_BASE_URL": (await served.start())["klingai"]}, clock
    await served.stop()
    box.close()


GOOD = {"KLINGAI_ACCESS_KEY": "sandbox-MARKED", "KLINGAI_SECRET_KEY": "sandbox-MARKED-secret-key-of-the-sandbox"}


@pytest.mark.parametrize("fault", ["", "drop_after_accept"])
async def test_a_talking_picture_is_bought_under_the_pair_alone_and_found_when_its_answer_is_lost(
    kling, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG)
    box, urls, clock = kling
    if fault:
        box.store.set_fault("klingai", fault, 1, "")
    buyer = service(tmp_path, clock=clock, **urls, **GOOD)
    try:
        ordered = await buyer.generate(FACE)
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
        with pytest.raises(NoOfferError, match="no key for Kling AI \\(KLINGAI_API_KEY\\)"):
            await buyer.generate(SCENE)
    finally:
        await buyer.close()

    assert (task.state, task.model, task.provider) == ("succeeded", "kling-avatar", "klingai")
    lines = box.store.journal(vendor="klingai")
    assert {line["path"].removeprefix("/klingai").rpartition("/")[0] for line in lines if line["action"] != "file"} == {
        "/v1/videos/avatar",
        "/v1/videos/avatar/image2video",
    }
    assert len([line for line in lines if line["action"] == "submit"]) == 1
    told = [json.dumps(ordered.facts()), json.dumps(task.facts()), *(record.getMessage() for record in caplog.records)]
    assert not any("MARKED" in text or "eyJ" in text for text in told)
    for path in tmp_path.rglob("*"):
        if path.is_file() and "kling" not in path.relative_to(tmp_path).parts[:1]:
            assert b"MARKED" not in path.read_bytes(), path
            assert b"eyJhbGci" not in path.read_bytes(), path


@pytest.mark.parametrize(
    "wrong", [{"KLINGAI_SECRET_KEY": "another-secret-key-of-the-sandbox"}, {"KLINGAI_ACCESS_KEY": "sandbox-other"}]
)
async def test_what_another_secret_key_signed_is_refused_and_costs_nothing(
    kling, tmp_path: Path, wrong: dict[str, str]
) -> None:
    box, urls, clock = kling
    buyer = service(tmp_path, clock=clock, **urls, **GOOD | wrong)
    try:
        ordered = await buyer.generate(FACE)
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    assert task.state == "failed" and task.error is not None
    assert (task.error["fault"], task.error["money"]) == ("auth", "not_spent")
    assert not any(line["accepted"] for line in box.store.journal(vendor="klingai"))


@pytest.mark.parametrize(
    ("age", "path"),
    [(1_801, "/v1/videos/avatar/image2video/1"), (-60, "/v1/videos/avatar/image2video/1"), (0, "/tasks")],
)
async def test_the_sandbox_takes_a_token_in_its_time_and_at_legacy_routes_alone(kling, age: float, path: str) -> None:
    box, urls, _ = kling
    mine = account(FACTS, Settings.read({**urls, **GOOD}))
    refused = await asked(mine, replace(LEGACY, path=path), at=box.now() - age)
    known = await asked(mine, LEGACY, at=box.now())

    assert (refused.status, refused.body["code"]) == (401, 1002)
    assert (known.status, known.body["code"]) == (404, 1203)


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({"audio_file": 5 << 20}, "a recording has at most 5 MB here"),
        ({"image": 10 << 20}, "a picture has at most 10 MB here"),
    ],
)
@pytest.mark.parametrize("more", [0, 3])
async def test_a_file_of_the_size_kling_names_is_sent_and_a_longer_one_is_not(
    kling, tmp_path: Path, given: dict[str, int], limit: str, more: int
) -> None:
    box, urls, clock = kling
    ((slot, size),) = given.items()
    begins = {"audio_file": b"ID3\x04\x00\x00\x00\x00\x00\x00", "image": PIXEL}[slot]
    file = tmp_path / {"audio_file": "voice.mp3", "image": "face.png"}[slot]
    # Three bytes are four letters of base64: one such step above the limit.
    file.write_bytes(begins.ljust(size + more, b"\0"))
    buyer = service(tmp_path, clock=clock, **urls, **GOOD)
    try:
        ordered = await buyer.generate(FACE.model_copy(update={slot: str(file)}))
        (task,) = await buyer.get([ordered.task_id], wait_s=2_000)
    finally:
        await buyer.close()

    taken = [line for line in box.store.journal(vendor="klingai") if line["accepted"]]
    if not more:
        assert (task.state, len(taken)) == ("succeeded", 1)
        return
    assert (task.state, taken) == ("failed", [])
    assert task.error is not None and task.error["money"] == "not_spent"
    assert limit in json.dumps(task.error)
