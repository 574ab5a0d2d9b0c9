"""Servers and workers as processes on one database: ordered here, made there, taken over where a machine dies."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from support.databases import cluster, database  # noqa: F401 - fixtures
from support.machines import ROOT, Machines, machines
from support.mcp_wire import LEGACY, Web
from support.orders import PIXEL
from support.s3 import S3, s3  # noqa: F401 - a fixture

from mcp_server.cli.setup import checks
from mcp_server.settings import Settings
from mcp_server.tasks.store.postgres import connections

ORDER = {
    "prompt": "a paper boat in the rain",
    "provider": "runapi",
    "model": "kling-3.0",
    "duration": 5,
    "audio": False,
}
STATES = "SELECT string_agg(state, ',' ORDER BY state) AS one FROM (SELECT DISTINCT state FROM tasks) AS s"
OPEN = "SELECT count(*) AS one FROM tasks WHERE finished_at IS NULL"


async def order(address: str, count: int) -> list[str]:
    """So many clips, each from a call of its own."""
    async with httpx.AsyncClient(timeout=60) as http:
        client = Web(http, f"{address}/mcp", LEGACY)
        answers = [
            (await client.call("generate_video", {**ORDER, "idempotency_key": f"clip {number}"}))["structuredContent"]
            for number in range(count)
        ]
    return [answer["task_id"] for answer in answers]


async def arrived(address: str, ids: list[str]) -> list[dict[str, Any]]:
    async with httpx.AsyncClient(timeout=60) as http:
        client = Web(http, f"{address}/mcp", LEGACY)
        end = time.monotonic() + 60
        while True:
            answer = (await client.call("get_task", {"task_ids": ids, "wait_s": 20}))["structuredContent"]
            if "tasks" not in answer:
                # A connection that is being cut just now: the caller is told so, and asks again.
                assert time.monotonic() < end and answer["error"]["code"] == "local_error", answer
                continue
            found = answer["tasks"]
            if all(task["state"] in ("succeeded", "failed", "uncertain") for task in found) or time.monotonic() > end:
                return found


def bought_once(fleet: Machines, count: int) -> None:
    assert fleet.orders() == count
    assert len(list(fleet.clips.glob("[!.]*.mp4"))) == count
    assert fleet.rows("SELECT count(*) AS one FROM procrastinate_jobs") == [{"one": 0}], "jobs end with their tasks"
    held = fleet.rows("SELECT used_usd FROM budgets WHERE payer = 'house'")
    spent = fleet.rows("SELECT sum(reserved_usd) AS one FROM tasks")
    assert [row["used_usd"] for row in held] == [spent[0]["one"]]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_orders_two_workers_make_and_one_that_ends_is_taken_over(
    tmp_path: Path,
    database: str,  # noqa: F811
    how: signal.Signals,
) -> None:
    with machines(tmp_path, database, seconds=4.0) as fleet:
        _, address = fleet.server(keys=False, KLING_WORKER_PROVIDERS="runapi")
        victim, heir = fleet.worker("victim"), fleet.worker("heir")
        ids = asyncio.run(order(address, 8))
        fleet.until("all with the vendor", "SELECT count(*) AS one FROM tasks WHERE became ->> 'job_id' <> ''", 8)
        ended = victim.end(how)
        workers = fleet.rows("SELECT count(*) AS one FROM procrastinate_workers")[0]["one"]
        tasks = asyncio.run(arrived(address, ids))

        assert ended == (0 if how == signal.SIGTERM else -signal.SIGKILL)
        assert workers == (1 if how == signal.SIGTERM else 2), "who is told to go takes its place away with it"
        assert [task["state"] for task in tasks] == ["succeeded"] * 8, heir.said()
        bought_once(fleet, 8)
        assert heir.end() == 0 and "defect" not in heir.said()


def test_a_worker_goes_on_when_the_database_cuts_it_off_and_a_server_may_be_one(tmp_path: Path, database: str) -> None:  # noqa: F811
    with machines(tmp_path, database, seconds=3.0) as fleet:
        both, address = fleet.server("both", "--worker")
        ids = asyncio.run(order(address, 4))
        fleet.until("all with the vendor", "SELECT count(*) AS one FROM tasks WHERE became ->> 'job_id' <> ''", 4)
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        tasks = asyncio.run(arrived(address, ids))

        assert [task["state"] for task in tasks] == ["succeeded"] * 4, both.said()
        bought_once(fleet, 4)


def command(fleet: Machines, *words: str) -> dict[str, Any]:
    made = fleet.begin("shell", *words)
    assert made.process.wait(60) == 0, made.said()
    return json.loads(made.said()[made.said().index("{") :])


def test_the_command_line_orders_in_the_shared_record_and_follows_nothing(tmp_path: Path, database: str) -> None:  # noqa: F811
    with machines(tmp_path, database) as fleet:
        said = command(fleet, "generate", "--yes", "--no-wait", "--json", "--provider", "runapi", "--prompt", "a boat")
        assert said["state"] == "submitting" and fleet.orders() == 0
        fleet.worker("worker")
        fleet.until("made", STATES, "succeeded")
        bought_once(fleet, 1)


def test_a_worker_without_a_database_says_what_it_lacks(tmp_path: Path) -> None:
    for variables, words in (({}, "KLING_DATABASE_URL is not set"), ({"KLING_DATABASE_URL": "mysql://x"}, "Postgres")):
        done = subprocess.run(
            [sys.executable, "-m", "mcp_server", "worker"],
            check=False, cwd=ROOT, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **variables}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 64 and words in done.stderr


def test_doctor_looks_at_the_shared_record(tmp_path: Path, database: str) -> None:  # noqa: F811
    with machines(tmp_path, database) as fleet:
        command(fleet, "generate", "--yes", "--no-wait", "--json", "--provider", "runapi", "--prompt", "a boat")
        fleet.rows("DELETE FROM procrastinate_jobs RETURNING id")
        made = fleet.begin("doctor", "doctor", "--offline", "--json")
        assert made.process.wait(60) == 73
        found = {
            each["name"]: each
            for each in json.loads(made.said()[made.said().index("{") :])["findings"]
            if each["about"] == "record"
        }
        assert "1 tasks, 1 open" in found["database"]["what"] and found["database"]["level"] == "good"
        assert found["followed"]["level"] == found["workers"]["level"] == "bad"
        fleet.worker("worker")
        fleet.until("mended and made", STATES, "succeeded")
        assert "a defect" in fleet.running[-1].said()


async def test_doctor_says_where_the_database_allows_too_few_connections(
    database: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings.read({"KLING_DATABASE_URL": database})
    assert "connections" not in {each.name async for each in checks.shared(settings, time.time)}

    monkeypatch.setattr(connections, "MOST", 301)
    (told,) = [each async for each in checks.shared(settings, time.time) if each.name == "connections"]
    assert told.level == "note" and "allows 300" in told.what and "max_connections" in told.next_step


def test_clips_and_pictures_go_through_the_object_store_and_a_worker_killed_before_its_row_changes_nothing(
    tmp_path: Path,
    database: str,  # noqa: F811
    s3: S3,  # noqa: F811
) -> None:
    name = s3.bucket()
    store = {**s3.variables, "KLING_STORE_URL": f"s3://{name}/videos"}
    with machines(tmp_path, database, seconds=0.5) as fleet:
        _, address = fleet.server(keys=False, KLING_WORKER_PROVIDERS="runapi", **store)
        picture = f"data:image/png;base64,{b64encode(PIXEL).decode()}"

        async def ordered() -> str:
            async with httpx.AsyncClient(timeout=60) as http:
                answer = await Web(http, f"{address}/mcp", LEGACY).call("generate_video", {**ORDER, "image": picture})
                return answer["structuredContent"]["task_id"]

        first = asyncio.run(ordered())
        media = f"videos/media/{hashlib.sha256(PIXEL).hexdigest()}/{hashlib.sha256(PIXEL).hexdigest()}.png"
        assert s3.objects(name) == {media: PIXEL}, "there before the order is written down, whoever will hand it over"
        victim = fleet.worker("victim", KLING_CRASH_AT="save.named", **store)
        assert victim.process.wait(60) == -signal.SIGKILL
        fleet.worker("heir", **store)
        (task,) = asyncio.run(arrived(address, [first]))

        assert task["state"] == "succeeded" and "video_path" not in task, task
        clips = {key: data for key, data in s3.objects(name).items() if key != media}
        assert len(clips) == fleet.orders() == 1, "the clip is there once"
        (key,) = clips
        assert f"/{key}?" in task["video_url"]
        assert httpx.get(task["video_url"]).content == clips[key]
        assert task["sha256"] == hashlib.sha256(clips[key]).hexdigest() == key.split("/")[2]


def test_without_a_store_what_came_with_an_order_lies_beside_the_clips_for_whoever_makes_it(
    tmp_path: Path,
    database: str,  # noqa: F811
) -> None:
    picture = tmp_path / "cat.png"
    picture.write_bytes(PIXEL)
    with machines(tmp_path, database) as fleet:
        order = ("generate", "--yes", "--no-wait", "--json", "--provider", "runapi", "--prompt", "a boat")
        command(fleet, *order, "--image", str(picture))
        picture.unlink()
        fleet.worker("worker")
        fleet.until("made", STATES, "succeeded")
        assert [each.read_bytes() for each in (fleet.clips / ".media").iterdir()] == [PIXEL]
