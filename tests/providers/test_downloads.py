"""Files from a media host over real lines: whole, in large pieces, through TLS; cut, dripping and stopped ones said."""

from __future__ import annotations

import asyncio
import hashlib
import random
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from support.download_target import DownloadTarget

from mcp_server.providers import downloads
from mcp_server.providers.transport import LostAnswerError, Transport

CLIP = random.Random(4).randbytes(3_000_000)


class Host:
    """Answers every request with the same head and then these parts; None waits to be let go, or for the end."""

    def __init__(self, head: str, *parts: bytes | None) -> None:
        self.head, self.parts = head, parts
        self.held = asyncio.Event()
        self.left = asyncio.Event()
        self.connections = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(f"HTTP/1.1 200 OK\r\n{self.head}\r\n\r\n".encode())
                for part in self.parts:
                    if part is None:
                        self.held.set()
                        await reader.read(1)
                        return
                    writer.write(part)
                    await writer.drain()
                if "Content-Length" in self.head and sum(map(len, filter(None, self.parts))) < len(CLIP):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()

    @asynccontextmanager
    async def open(self, trust: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        server = await asyncio.start_server(self.talk, "127.0.0.1", 0, ssl=trust)
        try:
            yield f"http{'s' if trust else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/clip.mp4"
        finally:
            server.close()


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    made = Transport(now=lambda: 0.0)
    yield made
    await made.aclose()


async def fetch(transport: Transport, url: str) -> list[bytes]:
    target = DownloadTarget()
    await transport.download(url, target)
    assert target.status == 200
    assert target.told == ["closed", "whole"]
    return target.pieces


LENGTH = f"Content-Length: {len(CLIP)}"


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_a_long_file_comes_whole_and_the_next_one_too(
    encrypted: bool, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    trust = None
    if encrypted:
        authority = trustme.CA()
        trust = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("127.0.0.1").configure_cert(trust)
        ours = ssl.create_default_context()
        authority.configure_trust(ours)
        monkeypatch.setattr("httpx.create_ssl_context", lambda: ours)
    async with Host(LENGTH, CLIP).open(trust) as url:
        for _ in range(2):
            pieces = await fetch(transport, url)

            assert hashlib.sha256(b"".join(pieces)).digest() == hashlib.sha256(CLIP).digest()


async def test_a_file_without_a_length_and_one_in_chunks_come_whole(transport: Transport) -> None:
    chunks = [b"%x\r\n%s\r\n" % (len(part), part) for part in (CLIP[:1_000_000], CLIP[1_000_000:])]
    async with Host("Transfer-Encoding: chunked", *chunks, b"0\r\n\r\n").open() as url:
        assert b"".join(await fetch(transport, url)) == CLIP
    async with Host(LENGTH, b"").open() as url:
        with pytest.raises(LostAnswerError):
            await fetch(transport, url)


async def test_a_short_file_is_not_waited_for(transport: Transport) -> None:
    async with Host("Content-Length: 5", b"short", None).open() as url:
        assert b"".join(await fetch(transport, url)) == b"short"
    async with Host("Content-Length: 0", None).open() as url:
        assert b"".join(await fetch(transport, url)) == b""


async def test_a_cut_keeps_what_came_and_is_said(transport: Transport) -> None:
    target = DownloadTarget()
    async with Host(LENGTH, CLIP[:2_000_000]).open() as url:
        with pytest.raises(LostAnswerError, match="broke off"):
            await transport.download(url, target)

    assert b"".join(target.pieces) == CLIP[:2_000_000]
    assert target.told == ["closed"]


async def test_what_is_not_wanted_is_not_fetched(transport: Transport) -> None:
    target = DownloadTarget(wanted=False)
    async with Host(LENGTH, CLIP).open() as url:
        await transport.download(url, target)

    assert (target.status, target.pieces, target.told) == (200, [], [])


async def test_a_host_that_falls_silent_is_given_up(transport: Transport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "READ_TIMEOUT_S", 0.01)
    async with Host(LENGTH, CLIP[:2_000_000], None).open() as url:
        with pytest.raises(LostAnswerError, match="ReadTimeout"):
            await fetch(transport, url)


@pytest.mark.parametrize("head", [LENGTH, "X-No-Length: 1"])
async def test_a_host_that_only_drips_is_given_up(
    head: str, transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = iter(range(0, 3600 * 1000, 3600))
    monkeypatch.setattr(downloads, "monotonic", lambda: float(next(hours)))
    async with Host(head, CLIP[:1000], None).open() as url:
        with pytest.raises(LostAnswerError, match="only 1000 bytes in 3600 s"):
            await fetch(transport, url)


async def test_stopping_hangs_up_at_once_and_nothing_comes_afterwards(transport: Transport) -> None:
    host = Host(LENGTH, CLIP[:2_000_000], None)
    target = DownloadTarget()
    async with host.open() as url:
        fetching = asyncio.create_task(transport.download(url, target))
        await host.held.wait()
        while target.size < 2_000_000:
            await asyncio.sleep(0)
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert target.told == ["closed"]
        await host.left.wait()


async def test_stopping_does_not_wait_for_a_host_that_says_nothing(transport: Transport) -> None:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await let_go.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        await reader.read(1)
        writer.close()
        asked.clear()

    target = DownloadTarget()
    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/clip.mp4"
        fetching = asyncio.create_task(transport.download(url, target))
        await asked.wait()
        fetching.cancel()
        with pytest.raises(asyncio.CancelledError):
            await fetching
        # Nor does the program's end wait for the thread that still listens.
        assert [each.daemon for each in threading.enumerate() if each.name == "kling-file"] == [True]
        let_go.set()
        while asked.is_set():
            await asyncio.sleep(0)

    assert (target.status, target.told) == (0, [])
