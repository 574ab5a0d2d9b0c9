"""Saving a clip (fetched, hashed, synced) beside `curl -o` (fetched): `python benchmarks/tasks_download.py [MB]`."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from support.stub_vendor import catalog, facts, new_task

from mcp_server.providers.accounts import Account
from mcp_server.providers.transport import Transport
from mcp_server.settings import Secret
from mcp_server.tasks.download.saver import Saver
from mcp_server.tasks.runtime import TaskRuntime
from mcp_server.tasks.store.base import Budget, Lease
from mcp_server.tasks.store.sqlite import SqliteStore

ROUNDS = 11
SERVER = """
import os, socket, sys
path = sys.argv[1]; size = os.path.getsize(path)
listener = socket.create_server(("127.0.0.1", 0)); print(listener.getsockname()[1], flush=True)
while True:
    line, _ = listener.accept()
    while True:
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n"):
            got = line.recv(65536)
            if not got: break
            head += got
        if not head: break
        line.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % size)
        with open(path, "rb") as file: line.sendfile(file)
    line.close()
"""


def main(megabytes: int) -> None:
    with tempfile.TemporaryDirectory(dir=ROOT) as name:
        folder = Path(name)
        clip = folder / "clip.mp4"
        with clip.open("wb") as file:
            file.write(b"\0\0\0\x10ftypisom\0\0\2\0" + b"\0\0\0\x08moov")
            file.write((megabytes * 1024 * 1024 + 8).to_bytes(4, "big") + b"mdat")
            for _ in range(megabytes):
                file.write(os.urandom(1024 * 1024))
        server = subprocess.Popen([sys.executable, "-c", SERVER, clip], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}/clip.mp4"
            rows = measure(url, folder, clip.stat().st_size)
        finally:
            server.kill()
            server.wait()
    print(json.dumps(rows | {"megabytes": megabytes}, indent=1))


def measure(url: str, folder: Path, size: int) -> dict[str, object]:
    curl: list[float] = []
    whole: list[float] = []
    ours: list[float] = []
    used: list[float] = []
    loop, transport = asyncio.Runner(), Transport(now=time.time)
    for number in range(ROUNDS):
        target = folder / f"curl-{number}"
        began = time.perf_counter()
        subprocess.run(["curl", "-s", "-o", target, url], check=True)
        curl.append(time.perf_counter() - began)
        # What a script would have to add to know what we know.
        subprocess.run(["sha256sum", target], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(["sync", target], check=True)
        whole.append(time.perf_counter() - began)
        target.unlink()
        cpu = time.process_time()
        began = time.perf_counter()
        path = loop.run(save(transport, url, folder / "out", number))
        ours.append(time.perf_counter() - began)
        used.append(time.process_time() - cpu)
        assert path.stat().st_size == size
        path.unlink()
    loop.run(transport.aclose())
    loop.close()
    per = size / 1e6
    return {
        "curl_mb_s": round(per / median(curl)), "curl_sha256sum_sync_mb_s": round(per / median(whole)),
        "ours_mb_s": round(per / median(ours)),
        "ours_fetched_and_hashed_mb_s": round(per / median(FETCHED)),
        "ours_fetched_and_hashed_of_curl": round(median(curl) / median(FETCHED), 2),
        "ours_of_curl": round(median(curl) / median(ours), 2), "ours_of_curl_at_best": round(min(curl) / min(ours), 2),
        "ours_of_curl_sha256sum_sync": round(median(whole) / median(ours), 2), "ours_cpu_s": round(median(used), 2),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }  # fmt: skip


FETCHED: list[float] = []


def watch() -> Callable[[str], None]:
    """A failpoint that times what lies between the first request and the last byte in the file, before it is synced."""
    began = 0.0

    def passed(point: str) -> None:
        nonlocal began
        if point == "save.before_fetch":
            began = time.perf_counter()
        if point == "save.fetched":
            FETCHED.append(time.perf_counter() - began)

    return passed


async def save(transport: Transport, url: str, out: Path, number: int) -> Path:
    origin = url.rsplit("/", 1)[0]
    account = Account(facts=facts(), base_urls={}, secret=Secret("k", "t"), trusted_origins=frozenset({origin}))

    async def reach(_provider: str, _simulated: bool) -> Account:  # noqa: FBT001 - the runtime's own signature
        return account

    store = SqliteStore(out.parent / "tasks.db")
    runtime = TaskRuntime(store=store, transport=transport, catalog=catalog(), account=reach, failpoint=watch())
    saver = Saver(runtime)
    lease, _ = await store.create(new_task(f"kv-bench-{number}", output_dir=out), Budget())
    artifact = await saver.save(Lease(replace(lease.task, video_url=url), lease.number), account)
    await saver.tidy(lease.task)
    await store.close()
    return Path(artifact.path)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
