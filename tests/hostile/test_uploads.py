"""Where a vendor sends somebody's file: to public machines only, under headers that are its to set, and never on its own word."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from support.hostile_vendor import KEY, HostileVendor, hostile, ordered, reply
from support.orders import PIXEL

from mcp_server.domain.arguments import VideoArguments
from mcp_server.service import Service


def target(url: str, **headers: str) -> bytes:
    return reply(200, {"signed_id": "up-1", "upload_url": url, "headers": headers})


async def resolving(host: str, port: int) -> list[str]:
    return ["169.254.169.254"] if host == "store.example.com" else ["127.0.0.1", "93.184.216.34"]


async def with_picture(buyer: Service, folder: Path, **more: Any) -> Any:
    picture = folder / "first.png"
    picture.write_bytes(PIXEL)
    return await ordered(buyer, provider="runapi", image=str(picture), **more)


def refused(task: Any, vendor: HostileVendor) -> None:
    assert task.state == "failed"
    assert task.error["money"] == "not_spent"
    assert vendor.count("submit") == vendor.count("store") == 0


INSIDE = [
    "https://0x7f.1/put",
    "https://2130706433/put",
    "https://127.1/put",
    "https://0177.0.0.1/put",
    "https://127.0.0.1./put",
    "https://[::ffff:7f00:1]/put",
    "https://[fe80::1%25eth0]/put",
    "https://metadata/computeMetadata/v1/",
    "https://metadata.google.internal/put",
    "https://metadata.tencentyun.com/put",
    "https://localhost:1/put",
    "https://user:pw@store.example.com/put",
    "https://store.example.com:99999/put",
    "https://[::1/put",
    "https://127.0.0.1\\@store.example.com/put",
    "http://store.example.com/put",
    "ftp://store.example.com/put",
    "https:///put",
    "//store.example.com/put",
    "https://store.example.com/put",
    "https://both.example.com/put",
]


@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("url", INSIDE)
async def test_a_file_goes_to_no_machine_inside_a_network(
    url: str, proxied: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if proxied and url in INSIDE[-2:]:
        pytest.skip("what these names mean is the proxy's to know")
    if proxied:
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    async with hostile(tmp_path, prepare=target(url)) as (vendor, buyer):
        buyer.runner.intake.resolve = resolving
        refused(await with_picture(buyer, tmp_path), vendor)


@pytest.mark.parametrize("no_proxy", ["store.example.com", ".example.com", "*", "store.example.com:443"])
async def test_a_name_that_no_proxy_names_is_looked_up_here(
    no_proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is judged by its name alone, because a proxy would look it up, is not connected to directly after all."""
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    async with hostile(tmp_path, prepare=target("https://store.example.com/put")) as (vendor, buyer):
        buyer.runner.intake.resolve = resolving
        refused(await with_picture(buyer, tmp_path), vendor)


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer x"},
        {"aUTHORIZATION": "Bearer x"},
        {"Host": "inside.example.com"},
        {"Cookie": "a=b"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "5"},
        {"Connection": "Upgrade"},
        {"Proxy-Authorization": "x"},
        {"X-A": "b\r\nHost: inside.example.com"},
        {"X A": "b"},
        {"X-A": "ö"},
        {"X-A": "b" * 5_000},
        {f"X-{number}": "b" for number in range(100)},
        {"": "x"},
    ],
    ids=lambda headers: str(headers)[:40],
)
async def test_a_file_goes_under_no_header_that_is_not_a_vendors_to_set(
    headers: dict[str, str], tmp_path: Path
) -> None:
    async with hostile(tmp_path) as (vendor, buyer):
        vendor.answers["prepare"] = [target(f"{vendor.url}/store/up-1", **headers)]
        refused(await with_picture(buyer, tmp_path), vendor)


async def test_a_file_goes_where_the_vendor_stores_them_without_our_key(tmp_path: Path) -> None:
    async with hostile(tmp_path) as (vendor, buyer):
        headers = {"Content-Type": "image/png", "Content-MD5": "x", "x-amz-acl": "private"}
        vendor.answers["prepare"] = [target(f"{vendor.url}/store/up-1", **headers)]
        task = await with_picture(buyer, tmp_path)

    (put,) = [asked for step, asked in vendor.asked if step == "store"]
    assert put.body == PIXEL
    assert {name: put.headers[name.lower()] for name in headers} == headers
    assert KEY not in str(put.headers)
    assert task.state == "succeeded"


async def test_what_comes_inside_an_order_is_kept_once_as_a_file(tmp_path: Path) -> None:
    picture = PIXEL + bytes(500_000)
    said = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    async with hostile(tmp_path) as (vendor, buyer):
        one = await ordered(buyer, provider="runapi", image=said)
        two = await ordered(buyer, provider="runapi", image=said, end_image=said, prompt="another boat")
        again = await buyer.whole(VideoArguments(again=one.task_id, tier="standard"))
        three = await ordered(buyer, **again.given())

    assert {task.state for task in (one, two, three)} == {"succeeded"}
    assert [asked.body for step, asked in vendor.asked if step == "store"] == [picture] * 4
    (file,) = (tmp_path / "home" / "media").iterdir()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (picture, 0o600)
    assert sum(path.stat().st_size for path in (tmp_path / "home").glob("tasks.db*")) < 500_000


async def test_later_said_of_a_file_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    later = reply(429, {"error": "later"}, {"Retry-After": "999999999"})
    async with hostile(tmp_path, times=2_000, prepare=later) as (vendor, buyer):
        vendor.hurry.begin()
        task = await with_picture(buyer, tmp_path)

    refused(task, vendor)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "x" * 100_000, "https://10.0.0.1/x", "\x1b[2J", ""])
async def test_an_address_that_is_none_does_not_go_into_an_order(url: str, tmp_path: Path) -> None:
    async with hostile(tmp_path, confirm=reply(200, {"url": url})) as (vendor, buyer):
        task = await with_picture(buyer, tmp_path)

    assert (task.state, vendor.count("submit")) == ("failed", 0)
    assert len(task.model_dump_json()) < 20_000
