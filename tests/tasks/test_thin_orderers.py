"""Processes that order in a shared record and hold no vendor's key: everything a vendor must hear a worker tells it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from support.databases import cluster, database  # noqa: F401 - fixtures
from support.mcp_wire import ROOT, pipe
from support.mcp_world import Vendors
from tasks.store.test_importing import filled

from mcp_server.composition import build
from mcp_server.domain.arguments import VideoArguments
from mcp_server.service import Service

ORDER = {
    "prompt": "a paper boat",
    "provider": "replicate",
    "model": "kling-3.0",
    "tier": "standard",
    "duration": 5,
    "audio": False,
}
KEYS = ("_KEY", "_TOKEN")


@asynccontextmanager
async def fleet(shops: Vendors, database: str) -> AsyncIterator[Any]:  # noqa: F811
    """A server without a key, and workers as they are asked for."""
    made: list[Service] = []

    def begin(*, worker: bool, keys: bool) -> Service:
        environment = {name: text for name, text in shops.environment.items() if keys or not name.endswith(KEYS)}
        shops_without = Vendors(shops.box, environment)
        settings = shops_without.settings(
            KLING_DATABASE_URL=database,
            KLING_WORKER_PROVIDERS="replicate",
            KLING_HOME=f"{environment['KLING_HOME']}{len(made)}",
        )
        made.append(build(settings, worker=worker))
        return made[-1]

    try:
        yield begin
    finally:
        for each in reversed(made):
            await each.close()


async def running(service: Service, task_id: str) -> None:
    async with asyncio.timeout(30):
        while (await service.get([task_id], wait_s=1))[0].state not in ("queued", "running"):
            pass


async def test_a_server_without_the_key_has_a_worker_stop_it(shops: Vendors, database: str) -> None:  # noqa: F811
    shops.box.seconds = 900
    async with fleet(shops, database) as begin:
        server, worker = begin(worker=False, keys=False), begin(worker=True, keys=True)
        await server.start(), await worker.start()
        ordered = await server.generate(VideoArguments.model_validate(ORDER), wait_s=20)
        await running(server, ordered.task_id)
        answer = await server.cancel(ordered.task_id)

    assert len(shops.box.store.journal(action="cancel")) == 1
    assert answer.state in ("cancelled", "queued", "running")
    assert "asked to stop" in (answer.note or "") or answer.state == "cancelled", answer.note


async def test_a_wish_waits_for_a_worker_and_one_without_the_key_says_so(
    shops: Vendors,
    database: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("mcp_server.tasks.control.WISH_S", 0.2)
    shops.box.seconds = 900
    async with fleet(shops, database) as begin:
        server, worker = begin(worker=False, keys=False), begin(worker=True, keys=True)
        await server.start(), await worker.start()
        ordered = await server.generate(VideoArguments.model_validate(ORDER), wait_s=20)
        await running(server, ordered.task_id)
        await worker.close()
        answer = await server.cancel(ordered.task_id)
        assert "has not answered" in answer.note and "billed" in answer.note
        assert shops.box.store.journal(action="cancel") == []
        monkeypatch.setattr("mcp_server.tasks.control.WISH_S", 20.0)
        keyless = begin(worker=True, keys=False)
        await keyless.start()
        async with asyncio.timeout(30):
            while (said := await server.runner.store.wish_answer(ordered.task_id)) is None:
                await asyncio.sleep(0.02)
        assert said[0] is False and "no key" in said[1]
        await keyless.close()
        heir = begin(worker=True, keys=True)
        await heir.start()
        answer = await server.cancel(ordered.task_id)
        assert len(shops.box.store.journal(action="cancel")) == 1, answer.note


async def test_stdio_orders_in_the_shared_record_and_follows_nothing(shops: Vendors, database: str) -> None:  # noqa: F811
    environment = {name: text for name, text in shops.environment.items() if not name.endswith(KEYS)}
    more = {"KLING_DATABASE_URL": database, "KLING_WORKER_PROVIDERS": "replicate"}
    async with pipe({**environment, **more}) as client:
        ordering = asyncio.create_task(client.call("generate_video", ORDER))
        with psycopg.connect(database, autocommit=True) as connection:
            async with asyncio.timeout(30):
                while not (found := connection.execute("SELECT state, holder FROM tasks").fetchall()):
                    await asyncio.sleep(0.02)
            assert found == [("submitting", None)] and shops.submits() == []
            async with fleet(shops, database) as begin:
                await begin(worker=True, keys=True).start()
                task = (await ordering)["structuredContent"]
                async with asyncio.timeout(40):
                    while (done := (await client.call("get_task", {"task_id": task["task_id"], "wait_s": 20})))[
                        "structuredContent"
                    ]["state"] not in ("succeeded", "failed"):
                        pass

    assert done["structuredContent"]["state"] == "succeeded" and len(shops.submits()) == 1


def run(database: str, home: Path, *words: str) -> subprocess.Popen[str]:  # noqa: F811
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "KLING_HOME": str(home), "PYTHONPATH": str(ROOT)}
    if database:
        env["KLING_DATABASE_URL"] = database
    return subprocess.Popen(
        [sys.executable, "-m", "mcp_server", *words],
        cwd=ROOT,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_db_import_is_killed_in_the_middle_and_goes_on(tmp_path: Path, database: str) -> None:  # noqa: F811
    async def home() -> None:
        store, _ = await filled(tmp_path / "tasks.db")
        await store.release()
        await store.close()

    asyncio.run(home())
    with psycopg.connect(database) as lock, psycopg.connect(database, autocommit=True) as watch:
        # Tasks are there, and the films have to wait: it dies between the two.
        lock.execute("LOCK TABLE films IN ACCESS EXCLUSIVE MODE")
        importing = run(database, tmp_path, "db", "import", "--json")
        end = time.monotonic() + 60
        while watch.execute("SELECT count(*) FROM tasks").fetchone() != (3,):
            assert time.monotonic() < end and importing.poll() is None, importing.communicate()
            time.sleep(0.02)
        importing.send_signal(signal.SIGKILL)
        importing.communicate()
    refused = run("", tmp_path, "tasks", "--json")
    said = "".join(refused.communicate())
    assert refused.returncode != 0 and "moved into a shared record" in said, (
        "no process of the file orders in it any more"
    )
    again = run(database, tmp_path, "db", "import", "--json")
    out, wrong = again.communicate()
    assert again.returncode == 0, wrong
    moved = json.loads(out)
    assert (moved["tasks"], moved["films"], moved["unreadable"]) == (0, 1, [])
    with psycopg.connect(database) as watch:
        assert watch.execute(
            "SELECT count(*) FROM tasks JOIN procrastinate_jobs j ON j.id = follow_job"
        ).fetchone() == (2,)
        assert watch.execute("SELECT used_usd::text FROM budgets WHERE payer = 'owner:ann'").fetchall() == [("1.12",)]
        assert watch.execute("SELECT count(*) FROM films").fetchone() == (1,)
    with sqlite3.connect(tmp_path / "tasks.db") as file:
        assert file.execute("SELECT count(*) FROM tasks").fetchone() == (3,), "the file keeps what it had"
