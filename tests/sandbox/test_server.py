"""The sandbox as a server: inside this process, in others, over one store, and after a process was killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.sandboxes import BY_VENDOR, PROTOCOLS, SIGNED_IN, Clock, bench, bought, exported, link, look, order, served

from mcp_server import catalog
from mcp_server.catalog import REGISTRY
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import SandboxServer
from mcp_server.sandbox.store import Store
from mcp_server.settings import Settings

HERE = Path(__file__).resolve().parents[2]
SERVE = """
import sys, time
from mcp_server.sandbox.sandbox import Sandbox
from mcp_server.sandbox.server import serve
serve(Sandbox(sys.argv[1], now=time.time, seconds=float(sys.argv[2]), rendering=False),
      announce=lambda line: print(line, flush=True))
"""


@contextmanager
def process(store: Path, seconds: float = 60) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """A real process serving the store; its variables, as a shell would read them."""
    command = [sys.executable, "-c", SERVE, str(store), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as running:
        try:
            assert running.stdout is not None
            yield running, exported(running.stdout)
        finally:
            running.kill()


def wait_for(address: str) -> None:
    for _ in range(3_000):
        try:
            assert httpx.get(address, timeout=60).json()["ok"] is True
        except httpx.ConnectError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError("the sandbox did not come up")


async def test_it_starts_once_answers_and_stops_without_a_trace() -> None:
    sandbox = Sandbox(":memory:", now=Clock())
    embedded = SandboxServer(sandbox)
    before = signal.getsignal(signal.SIGINT)

    urls = await embedded.start()
    again = await embedded.start()

    assert urls == again and tuple(urls) == REGISTRY
    assert all(url.startswith("http://127.0.0.1:") for url in urls.values())
    assert signal.getsignal(signal.SIGINT) is before
    async with httpx.AsyncClient(timeout=60) as client:
        health = await client.get(urls["runapi"].replace("/runapi", "/health"))
        assert health.json()["simulated"] is True and "server" not in health.headers
        await embedded.stop()
        await embedded.stop()
        with pytest.raises(httpx.ConnectError):
            await client.get(urls["runapi"])
    assert await embedded.start() != {}
    await embedded.stop()
    sandbox.close()


async def test_two_starts_at_once_are_one() -> None:
    sandbox = Sandbox(":memory:", now=Clock())
    embedded = SandboxServer(sandbox)

    one, other = await asyncio.gather(embedded.start(), embedded.start())

    assert one == other
    await embedded.stop()
    sandbox.close()


async def test_jobs_outlive_the_box_that_took_them(tmp_path: Path) -> None:
    clock = Clock()
    jobs = {}
    async with bench(tmp_path / "sandbox.db", clock=clock) as b:
        for protocol in PROTOCOLS:
            jobs[protocol.vendor] = await bought(b, protocol)
        await b.fault("runapi=429:2")
    clock.now += 20
    async with bench(tmp_path / "sandbox.db", clock=clock) as b:
        for protocol in PROTOCOLS:
            status = (await look(b, protocol, jobs[protocol.vendor])).json()
            assert protocol.at(status, protocol.word) == protocol.words[1]
        assert (await order(b, BY_VENDOR["runapi"])).status_code == 429
    clock.now += 1_000
    async with bench(tmp_path / "sandbox.db", clock=clock, rendering=False) as b:
        for protocol in PROTOCOLS:
            address = await link(b, protocol, jobs[protocol.vendor])
            assert (await b.stranger.get(address)).status_code == 200


def test_a_job_goes_on_after_its_process_was_killed(tmp_path: Path) -> None:
    store = tmp_path / "sandbox.db"
    body = {"type": "pro-text-to-video", "prompt": "x"}
    with process(store, seconds=1) as (running, variables):
        base = variables["KLING3API_BASE_URL"]
        assert variables["KLING3API_API_KEY"] == "sandbox"
        wait_for(base.replace("/kling3api", "/health"))
        job = httpx.post(f"{base}/api/generate", json=body, headers=SIGNED_IN).json()["data"]["task_id"]
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    with process(store) as (_, variables):
        base = variables["KLING3API_BASE_URL"]
        wait_for(base.replace("/kling3api", "/health"))
        for _ in range(3_000):
            data = httpx.get(f"{base}/api/status", params={"task_id": job}, headers=SIGNED_IN).json()["data"]
            if data["status"] == "SUCCESS":
                break
            time.sleep(0.02)
        assert httpx.get(data["response"][0]).status_code == 200


def test_several_processes_serve_one_store(tmp_path: Path) -> None:
    store = tmp_path / "sandbox.db"
    body = {"model": "kling-3.0", "prompt": "x"}
    path = "/api/v1/kling/text_to_video"
    with process(store) as (_, one), process(store) as (_, other), process(store) as (_, third):
        bases = [variables["RUNAPI_BASE_URL"] for variables in (one, other, third)]
        for base in bases:
            wait_for(base.replace("/runapi", "/health"))
        headers = {**SIGNED_IN, "Idempotency-Key": "same"}
        jobs = [httpx.post(f"{base}{path}", json=body, headers=headers).json()["id"] for base in bases * 3]
        seen = [httpx.get(f"{base}{path}/{jobs[0]}", headers=SIGNED_IN).json()["status"] for base in bases]
        journal = httpx.get(
            bases[0].replace("/runapi", "/control/journal"), headers={"X-Sandbox-Key": one["KLING_SANDBOX_CONTROL"]}
        ).json()

    assert len(set(jobs)) == 1
    assert seen == ["pending"] * 3
    assert journal["received"]["runapi.submit"] == 9 and journal["accepted"] == {"runapi": 1}


OPEN = """
import sys
from decimal import Decimal
from mcp_server.sandbox.jobs import SandboxJob, ClipOrder
from mcp_server.sandbox.store import Store
print("ready", flush=True)
sys.stdin.readline()
store = Store(sys.argv[1], now=1.0)
order = ClipOrder(vendor="runapi", endpoint="x", vendor_model="x")
for number in range(50):
    store.add(SandboxJob(id=f"{sys.argv[2]}-{number}", order=order, account="a", accepted=1.0, starts=1.0, ends=1.0,
                  ending="done", words="", price=Decimal("0.1")))
"""


def test_a_new_store_may_be_opened_by_several_processes_at_once(tmp_path: Path) -> None:
    store = str(tmp_path / "sandbox.db")
    pipes: dict[str, Any] = {
        "stdin": subprocess.PIPE,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }
    several = [subprocess.Popen([sys.executable, "-c", OPEN, store, str(n)], cwd=HERE, **pipes) for n in range(4)]
    for one in several:
        assert one.stdout.readline() == "ready\n"
    for one in several:
        one.stdin.write("go\n")
        one.stdin.flush()
    assert [one.communicate()[1] for one in several] == [""] * 4

    after = Store(store, now=1.0)
    assert after.reserved("runapi", "a") == Decimal("20.0")
    after.close()


def test_what_serve_prints_is_understood_by_our_own_settings(tmp_path: Path) -> None:
    from mcp_server.providers.accounts import account

    with process(tmp_path / "sandbox.db") as (_, variables):
        settings = Settings.read({"HOME": str(tmp_path), **variables})
        for facts in catalog.load().providers.values():
            mine = account(facts, settings)
            assert mine.secret is not None and mine.secret.value == "sandbox"
            assert bool(mine.pair) is bool(facts.key_pair)
            assert mine.base_urls["api"].endswith(f"/{facts.id}")


async def test_the_event_loop_goes_on_while_a_4k_clip_is_drawn() -> None:
    protocol = BY_VENDOR["runapi"]
    async with served() as b:
        job = await bought(b, protocol, output_resolution="4k", duration_seconds=5)
        b.finish()
        address = await link(b, protocol, job)
        drawing = asyncio.create_task(b.stranger.get(address, timeout=120))
        waits = []
        while not drawing.done():
            began = time.perf_counter()
            await look(b, protocol, job)
            waits.append(time.perf_counter() - began)
        reply = await drawing

    assert reply.status_code == 200 and len(waits) > 10
    assert sorted(waits)[len(waits) // 2] < 0.25


def everything_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


async def test_no_key_is_written_down_anywhere(tmp_path: Path) -> None:
    marked = "sandbox-MARKED-a7f3"
    async with bench(tmp_path / "sandbox.db", rendering=False) as b:
        b.client.headers["Authorization"] = f"Bearer {marked}"
        said = []
        for protocol in PROTOCOLS:
            job = await bought(b, protocol)
            b.finish()
            said.append((await look(b, protocol, job)).text)
            await b.stranger.get(await link(b, protocol, job))
        said.append(str(await b.journal()))

    held = everything_under(tmp_path)
    assert b"MARKED" not in held and b"paper boat" in held
    assert not any("MARKED" in text for text in said)


async def test_the_journal_counts_what_came_and_what_was_taken() -> None:
    protocol = BY_VENDOR["octopusx"]
    async with bench() as b:
        job = await bought(b, protocol)
        await look(b, protocol, job)
        await order(b, protocol, prompt="")

        whole = await b.journal()
        assert whole["received"] == {"octopusx.submit": 2, "octopusx.status": 1}
        assert whole["accepted"] == {"octopusx": 1}
        mine = (await b.journal(job=job))["entries"]
        assert [(line["action"], line["status"]) for line in mine] == [("submit", 200), ("status", 200)]
        assert mine[0]["facts"]["body"]["prompt"] == "a paper boat"
        assert (await b.client.delete(f"{b.host}/control/journal")).json()["entries"] == []
        seen = (await b.client.get(f"{b.host}/control/jobs/octopusx/{job}")).json()
        assert 30 <= seen["in_life_s"] <= 120 and seen["takes_s"] > 0


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, mcp_server.sandbox; print([m for m in ('av','starlette','uvicorn','sqlite3') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, check=True)

    assert done.stdout.strip() == "[]"


def test_serving_does_not_load_the_renderer() -> None:
    code = "import sys, mcp_server.sandbox.server; print('av' in sys.modules, 'httpx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE, check=True)

    assert done.stdout.strip() == "False False"
