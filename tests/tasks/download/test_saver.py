"""A clip from its link to a file: whole or not at all, only from where it may come, never over another file."""

from __future__ import annotations

import errno
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.stub_vendor import MP4, House, everywhere, facts

from mcp_server.errors import LocalError
from mcp_server.providers.accounts import Account
from mcp_server.providers.downloads import Taker
from mcp_server.providers.network import public
from mcp_server.providers.transport import LostAnswerError
from mcp_server.settings import Secret
from mcp_server.tasks.download import files
from mcp_server.tasks.download.files import NotAVideoError, Part, name_of
from mcp_server.tasks.download.links import LinkRefusedError, check
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.follow import poller
from mcp_server.tasks.store.base import Lease, LeaseLostError

URL = "https://media.test/job-1.mp4"
CUT = LostAnswerError("The download broke off (ReadError)")


async def finished(house: House, runner: Any = None, **changes: Any) -> tuple[Any, Any]:
    runner = runner or house.runner()
    task, _ = await runner.buy(house.new(**changes))
    house.vendor.finish(task.job_id)
    return runner, task


def whole(data: bytes = MP4, **headers: str) -> tuple[int, dict[str, str], list[Any]]:
    return 200, {"content-length": str(len(data)), "etag": '"one"'} | headers, [data]


async def test_a_clip_is_saved_under_a_readable_name_with_its_hash(house: House) -> None:
    runner, task = await finished(house, prompt="Neon city, at NIGHT: rain!")
    task = await house.until(runner, task.id, "succeeded")

    path = Path(task.artifact.path)
    assert path.parent == house.out
    assert path.name == f"2026-11-18-neon-city-at-night-rain-{task.id[-6:]}.mp4"
    assert path.read_bytes() == MP4
    assert task.artifact.sha256 == hashlib.sha256(MP4).hexdigest()
    assert (task.artifact.bytes, task.artifact.media_type) == (len(MP4), "video/mp4")
    assert [entry.name for entry in house.out.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("纸船 在雨中", "纸船-在雨中"),
        ("", "text-to-video"),
        ("a/b\x00c\n*?", "a-b-c"),
        ("w" * 300, "text-to-video"),
        ("É́cole", None),
    ],
)
async def test_a_name_holds_no_way_out_of_the_folder(house: House, prompt: str, expected: str | None) -> None:
    runner, task = await finished(house, prompt=prompt)
    task = await house.until(runner, task.id, "succeeded")
    path = Path(task.artifact.path)

    assert path.parent == house.out
    assert len(path.name.encode()) < 120
    if expected is not None:
        assert path.name == f"2026-11-18-{expected}-{task.id[-6:]}.mp4"


async def test_a_simulated_clip_says_so_in_its_name(house: House) -> None:
    runner, task = await finished(house, simulated=True)
    task = await house.until(runner, task.id, "succeeded")

    assert "-simulated-" in name_of(task)
    assert task.artifact.path.endswith(f"{name_of(task)}.mp4")
    assert task.reserved_usd == 0


async def test_what_stands_there_already_is_never_overwritten(house: House) -> None:
    runner, task = await finished(house)
    house.out.mkdir()
    taken = house.out / f"{name_of(task)}.mp4"
    taken.write_text("mine")
    (house.out / f"{name_of(task)}-2.mp4").symlink_to(house.home / "elsewhere")
    task = await house.until(runner, task.id, "succeeded")

    assert taken.read_text() == "mine"
    assert Path(task.artifact.path).name == f"{name_of(task)}-3.mp4"
    assert not (house.home / "elsewhere").exists()


@pytest.fixture
def short_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vendors keep clips for a minute, and that is soon believed."""
    monkeypatch.setattr(poller, "UNSAVED_LIFE_S", 60.0)
    monkeypatch.setattr(poller, "LATE_GRACE_S", 60.0)


async def test_a_cut_download_goes_on_where_it_was_cut(house: House) -> None:
    asked: list[tuple[int, str]] = []
    half = len(MP4) // 2
    answers = [
        (200, {"content-length": str(len(MP4)), "etag": '"v1"'}, [MP4[:half], CUT]),
        (
            206,
            {
                "content-length": str(len(MP4) - half),
                "content-range": f"bytes {half}-{len(MP4) - 1}/{len(MP4)}",
                "etag": '"v1"',
            },
            [MP4[half:]],
        ),
    ]
    vendor = house.vendor
    plain = vendor.download

    def download(url: str, taker: Taker, *, start: int = 0, etag: str = "", addresses: Any = ()) -> Any:
        asked.append((start, etag))
        vendor.files[url] = answers[len(asked) - 1]
        return plain(url, taker)

    vendor.download = download  # type: ignore[method-assign]
    runner, task = await finished(house)
    task = await house.until(runner, task.id, "succeeded")

    assert asked == [(0, ""), (half, '"v1"')]
    assert Path(task.artifact.path).read_bytes() == MP4
    assert task.artifact.sha256 == hashlib.sha256(MP4).hexdigest()


@pytest.mark.parametrize(
    "second",
    [
        (200, {"content-length": str(len(MP4)), "etag": '"v2"'}, [MP4]),
        (206, {"content-range": "bytes 3-9/10", "content-length": "7"}, [b"wrong"]),
        (416, {}, [b""]),
    ],
    ids=["whole again", "another part", "out of range"],
)
async def test_a_clip_that_changed_meanwhile_is_fetched_anew(house: House, second: Any) -> None:
    answers = [(200, {"content-length": str(len(MP4)), "etag": '"v1"'}, [b"OLD" * 50, CUT]), second, whole()]
    vendor = house.vendor
    plain = vendor.download
    count = 0

    def download(url: str, taker: Taker, **_: Any) -> Any:
        nonlocal count
        vendor.files[url] = answers[min(count, 2)]
        count += 1
        return plain(url, taker)

    vendor.download = download  # type: ignore[method-assign]
    runner, task = await finished(house)
    task = await house.until(runner, task.id, "succeeded")

    assert Path(task.artifact.path).read_bytes() == MP4


async def test_a_short_answer_is_not_taken_for_the_whole(house: House) -> None:
    house.vendor.files[URL] = (200, {"content-length": str(len(MP4) + 5)}, [MP4])
    runner, task = await finished(house)
    await house.clock.advance(120)

    task = await runner.store.get(task.id)
    assert task.state == "saving"
    assert "ended after" in task.note
    assert [entry.name for entry in house.out.iterdir() if not entry.name.startswith(".")] == []
    house.vendor.files[URL] = whole()
    assert (await house.until(runner, task.id, "succeeded", limit_s=300)).note == ""


@pytest.mark.usefixtures("short_lives")
async def test_a_web_page_instead_of_a_clip_is_asked_for_again_and_then_said(house: House) -> None:
    house.vendor.files[URL] = (200, {"content-type": "video/mp4"}, [b"<html>not found</html>"])
    runner, task = await finished(house)

    task = await house.until(runner, task.id, "failed", limit_s=400)

    assert "no mp4, mov or webm" in task.error["what"]
    assert task.error["money"] == "charged"
    assert task.video_url == URL
    assert list(house.out.iterdir()) == []


async def test_an_expired_link_is_asked_for_again(house: House) -> None:
    house.vendor.files[URL] = (403, {}, [b"expired"])
    runner, task = await finished(house)

    def fresh(job: dict[str, Any]) -> None:
        if len(house.vendor.looks) > 1:
            job["videos"] = ["https://media.test/fresh.mp4"]

    house.vendor.plays = fresh
    house.vendor.files["https://media.test/fresh.mp4"] = MP4

    task = await house.until(runner, task.id, "succeeded", limit_s=100)

    assert task.video_url == "https://media.test/fresh.mp4"


@pytest.mark.usefixtures("short_lives")
async def test_an_expired_link_without_a_new_one_is_said(house: House) -> None:
    house.vendor.files[URL] = (410, {}, [b"gone"])
    runner, task = await finished(house)

    task = await house.until(runner, task.id, "failed", limit_s=400)

    assert task.error["fault"] == "expired"
    assert task.error["money"] == "charged"
    assert task.settlement.basis == "computed"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
async def test_a_disk_in_the_way_keeps_the_task_and_its_link(
    house: House, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    plain = os.write
    broken = True

    def write(target: int, data: Any) -> int:
        if broken:
            raise OSError(code, os.strerror(code))
        return plain(target, data)

    monkeypatch.setattr(files.os, "write", write)
    runner, task = await finished(house)
    await house.clock.advance(200)
    task = await runner.store.get(task.id)

    assert task.state == "saving"
    assert str(house.out) in task.note
    assert task.video_url == URL
    assert len(house.vendor.downloads) < 12
    broken = False
    assert (await house.until(runner, task.id, "succeeded", limit_s=300)).note == ""


async def test_an_output_folder_that_is_a_file_is_said(house: House) -> None:
    (house.home / "file").write_text("x")
    runner, task = await finished(house, output_dir=house.home / "file")
    await house.clock.advance(60)

    assert (await runner.store.get(task.id)).state == "saving"
    assert "cannot be saved" in (await runner.store.get(task.id)).note


async def test_a_link_laid_under_the_part_is_not_followed(house: House) -> None:
    runner, task = await finished(house)
    victim = house.home / "victim"
    victim.write_text("mine")
    parts = house.out / f".{task.id}"
    parts.mkdir(parents=True)
    for name in ("1.part", "0.t226f6e6522.part", "whole"):
        (parts / name).symlink_to(victim)

    task = await house.until(runner, task.id, "succeeded")

    assert victim.read_text() == "mine"
    assert Path(task.artifact.path).read_bytes() == MP4


async def test_a_link_laid_under_the_folder_of_parts_is_not_followed(house: House) -> None:
    runner, task = await finished(house)
    elsewhere = house.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "1.part").write_text("mine")
    house.out.mkdir()
    (house.out / f".{task.id}").symlink_to(elsewhere)

    await house.until(runner, task.id, "succeeded")

    assert (elsewhere / "1.part").read_text() == "mine"
    assert [entry.name for entry in elsewhere.iterdir()] == ["1.part"]


async def test_too_large_is_refused_whether_announced_or_not(house: House, tmp_path: Path) -> None:
    for headers in ({"content-length": str(len(MP4))}, {}):
        house.vendor.files[URL] = (200, headers, [MP4[:100], MP4[100:]])
        runner, task = await finished(house)
        saver = Saver(runner.runtime, resolve=everywhere, size_limit=1000)
        ready = replace(await runner.store.get(task.id), video_url=URL, output_dir=str(tmp_path / "big"))

        with pytest.raises(NotAVideoError, match="1,000"):
            await saver.save(Lease(ready, 1), await runner.runtime.account("stub", False))
        await runner.close(grace_s=0)


async def test_who_lost_the_task_names_nothing(house: House) -> None:
    runner, task = await finished(house)
    ready = replace(await runner.store.get(task.id), video_url=URL)

    with pytest.raises(LeaseLostError):
        await runner.dispatcher.poller.fetch.saver.save(Lease(ready, 7), await runner.runtime.account("stub", False))

    assert not house.out.exists()


async def test_who_slept_while_another_saved_the_clip_leaves_nothing_beside_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner, task = await finished(house)
    saved = await house.until(runner, task.id, "succeeded")
    leased = iter([True, False])

    async def still_leased(_: Lease) -> bool:
        return next(leased)

    monkeypatch.setattr(runner.store, "still_leased", still_leased)
    ready = replace(saved, state="saving", video_url=URL)
    with pytest.raises(LeaseLostError):
        await runner.dispatcher.poller.fetch.saver.save(Lease(ready, 1), await runner.runtime.account("stub", False))

    assert [entry.name for entry in house.out.iterdir()] == [Path(saved.artifact.path).name]


async def test_a_file_system_without_hard_links_will_do(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(files.os, "link", link)
    runner, task = await finished(house)
    task = await house.until(runner, task.id, "succeeded")

    assert Path(task.artifact.path).read_bytes() == MP4


def account(*hosts: str, trusted: str = "") -> Account:
    return Account(
        facts=facts(media_hosts=hosts),
        base_urls={},
        secret=Secret("k", "t"),
        trusted_origins=frozenset({trusted} - {""}),
    )


async def checked(url: str, who: Account, *addresses: str, proxied: bool = False) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses) or ["93.184.216.34"]

    return await check(url, who, resolve=resolve, proxied=lambda _: proxied)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://cdn.test/x.mp4", ()),
        ("ftp://cdn.test/x.mp4", ()),
        ("file:///etc/passwd", ()),
        ("https://user:pw@cdn.test/x.mp4", ()),
        ("https://cdn.test:99999/x.mp4", ()),
        ("https:///x.mp4", ()),
        ("https://evil.test/x.mp4", ("*.runcomfy.net", "*.runcomfy.com")),
        ("https://runcomfy.net.evil.test/x.mp4", ("*.runcomfy.net",)),
        ("https://notruncomfy.net/x.mp4", ("*.runcomfy.net",)),
    ],
)
async def test_a_link_that_leads_elsewhere_is_refused(url: str, hosts: tuple[str, ...]) -> None:
    with pytest.raises(LinkRefusedError):
        await checked(url, account(*hosts))


async def test_a_providers_own_hosts_and_a_trusted_origin_are_taken() -> None:
    assert (await checked("https://cdn.RunComfy.net/x.mp4", account("*.runcomfy.net"))).addresses == ("93.184.216.34",)
    place = await checked("http://127.0.0.1:8000/x.mp4", account("*.runcomfy.net", trusted="http://127.0.0.1:8000"))
    assert place.addresses == ()
    with pytest.raises(LinkRefusedError):
        await checked("http://127.0.0.1:8001/x.mp4", account(trusted="http://127.0.0.1:8000"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.9",
        "172.16.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "::1",
        "fe80::1%eth0",
        "fc00::1",
        "::ffff:127.0.0.1",
        "2002:7f00:1::",
        "::",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "::a9fe:a9fe",
        "fec0::1",
    ],
)
async def test_addresses_inside_are_refused_by_name_and_by_number(address: str) -> None:
    assert not public([address])
    assert not public(["93.184.216.34", address])
    with pytest.raises(LinkRefusedError, match="not followed"):
        await checked("https://cdn.test/x.mp4", account(), address)
    plain = address.partition("%")[0]
    host = f"[{plain}]" if ":" in plain else plain
    with pytest.raises(LinkRefusedError):
        await checked(f"https://{host}/x.mp4", account(), plain)
    with pytest.raises(LinkRefusedError):
        await checked(f"https://{host}/x.mp4", account(), proxied=True)


def test_a_public_machine_is_one_however_its_network_writes_it() -> None:
    assert public(["93.184.216.34", "2a00:1450:4001::1", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127。0。0。1"])
async def test_a_proxy_is_not_sent_to_an_inside_address_in_any_spelling(host: str) -> None:
    with pytest.raises(LinkRefusedError, match="not followed"):
        await checked(f"https://{host}/x.mp4", account(), proxied=True)


@pytest.mark.usefixtures("short_lives")
async def test_every_redirect_is_checked_again(house: House) -> None:
    house.vendor.files[URL] = (302, {"location": "https://169.254.169.254/secrets"}, [b""])

    async def resolve(host: str, port: int) -> list[str]:
        return ["169.254.169.254"] if host.startswith("169") else ["93.184.216.34"]

    runner, task = await finished(house)
    runner.dispatcher.poller.fetch.saver.resolve = resolve
    task = await house.until(runner, task.id, "failed", limit_s=400)

    assert task.error["code"] == "link_refused"
    assert "https://169.254.169.254/secrets" not in house.vendor.downloads
    assert "169.254.169.254/secrets" not in str(task.error), "addresses with their signatures stay out of messages"


@pytest.mark.usefixtures("short_lives")
async def test_redirects_are_followed_a_few_times_and_not_for_ever(house: House) -> None:
    house.vendor.files[URL] = (302, {"location": "/next.mp4"}, [b""])
    house.vendor.files["https://media.test/next.mp4"] = MP4
    runner, task = await finished(house)
    await house.until(runner, task.id, "succeeded")

    house.vendor.files["https://media.test/job-2.mp4"] = (307, {"location": "/job-2.mp4"}, [b""])
    _, round_task = await finished(house, runner)
    before = len(house.vendor.downloads)
    await house.clock.advance(3)
    assert len(house.vendor.downloads) - before <= 12
    assert (await house.until(runner, round_task.id, "failed", limit_s=400)).error["fault"] == "expired"


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (MP4, (".mp4", "video/mp4")),
        (b"\0\0\0\x14ftypqt  ", (".mov", "video/quicktime")),
        (b"\x1a\x45\xdf\xa3\x01", (".webm", "video/webm")),
        (b"\0\0\x10\0moov", (".mov", "video/quicktime")),
        (b"\0\0\0\x18ftypheic", None),
        (b"\0\0\0\x18ftypavif", None),
        (b"\0\0\0\x20ftypM4A ", None),
        (b"RIFF\x24\0\0\0AVI ", None),
        (b"<html>", None),
        (b"", None),
    ],
)
def test_what_a_file_is_is_read_from_its_bytes(tmp_path: Path, head: bytes, kind: Any) -> None:
    part = Part(tmp_path / "1.part")
    part.path.write_bytes(head)
    if kind is None:
        with pytest.raises(NotAVideoError, match="no mp4, mov or webm"):
            files.finished(part, tmp_path / "whole")
        assert not part.path.exists()
        return
    assert files.finished(part, tmp_path / "whole") == kind
    assert (tmp_path / "whole").read_bytes() == head


@pytest.mark.usefixtures("short_lives")
async def test_a_link_to_sound_alone_is_said_to_be_that(house: House) -> None:
    house.vendor.files[URL] = whole(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom")
    runner, task = await finished(house)
    task = await house.until(runner, task.id, "failed", limit_s=400)

    assert "no mp4, mov or webm file but M4A" in task.error["what"]
    assert not list(house.out.glob("*.m4a"))


async def test_a_saved_task_is_told_offline_for_ever(house: House) -> None:
    runner, task = await finished(house)
    await house.until(runner, task.id, "succeeded")
    await runner.close()
    house.vendor.jobs.clear()
    asked = len(house.vendor.looks)
    late = house.runner()
    house.clock.jumped = 400 * 86_400.0
    await late.start()
    await house.clock.advance(30)

    assert (await late.store.get(task.id)).artifact is not None
    assert len(house.vendor.looks) == asked


async def test_a_home_nobody_may_write_to_is_said_before_anything_is_bought(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (house.home / "tasks.db").mkdir()
    runner = house.runner()

    with pytest.raises(LocalError, match="KLING_HOME"):
        await runner.buy(house.new())

    assert house.vendor.submits == []
