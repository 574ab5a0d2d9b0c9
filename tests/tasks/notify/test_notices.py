"""Told when ready: once for each end, on every channel, through crashes and restarts."""

from __future__ import annotations

import asyncio
import base64
import json
import sqlite3
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from support.services import hurried, service, settings

from mcp_server.domain.arguments import VideoArguments
from mcp_server.errors import ArgumentError
from mcp_server.tasks.notify import notifier, ways

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes, ok").decode()
WRITER = """
import os, sys
with open(sys.argv[1], "a") as file:
    file.write(repr({k: v for k, v in os.environ.items() if k.startswith(("KLING", "RUN"))} | {"argv": sys.argv[2:]}) + "\\n")
"""


@contextmanager
def receiver(*answers: int):
    """An address that keeps what is posted to it, and answers with these, the last one for ever."""
    got: list[tuple[dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(answers[min(len(got), len(answers)) - 1])
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/ended", got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def program(folder) -> tuple[str, object]:
    """A program that writes down how it was called, and where."""
    (folder / "tell.py").write_text(WRITER)
    log = folder / "told.txt"
    return f'"{sys.executable}" "{folder / "tell.py"}" "{log}" "; touch {folder}/shell"', log


def told(log) -> list[dict]:
    return [eval(line) for line in log.read_text().splitlines()] if log.exists() else []


async def bought(buyer, **more) -> str:
    order = await buyer.generate(VideoArguments(prompt="a heron; $(touch x)\n`id`", duration=3, **more))
    (task,) = await buyer.get([order.task_id], wait_s=100_000)
    assert task.finished_at, task
    return task.task_id


async def until(condition) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.01)


async def test_a_program_is_run_once_for_an_end_with_its_facts_and_without_a_shell(tmp_path) -> None:
    command, log = program(tmp_path)
    buyer = service(tmp_path, KLING_NOTIFY_COMMAND=command, RUNWAY_API_KEY="secret")
    task = await bought(buyer)
    await buyer.close()
    (only,) = told(log)
    assert (only["KLING_TASK_ID"], only["KLING_TASK_STATE"], only["KLING_TASK_COST_USD"]) == (task, "succeeded", "0")
    assert only["KLING_TASK_PATH"].endswith(f"{task[-6:]}.mp4") and only["KLING_TASK_PROMPT"].startswith("a heron; $(")
    assert only["argv"] == [f"; touch {tmp_path}/shell"] and not (tmp_path / "shell").exists()
    assert "RUNWAY_API_KEY" not in only
    # Whoever comes after tells nobody again.
    heir = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    await heir.start()
    await heir.close()
    assert len(told(log)) == 1


async def test_a_post_is_signed_as_standard_webhooks_are(tmp_path) -> None:
    with receiver(204) as (url, got):
        buyer = service(tmp_path, clock=None, KLING_NOTIFY_URL=url, KLING_NOTIFY_SECRET=SECRET)
        task = await bought(buyer, idempotency_key="once")
        await buyer.close()
    ((headers, body),) = got
    said = {name.lower(): value for name, value in headers.items()}
    found = json.loads(body)
    assert found["type"] == "task.succeeded" and found["data"]["task_id"] == task
    assert found["data"]["video_path"] and found["data"]["simulated"] is True
    # The clock here runs fast: the library looks at the time by itself.
    fresh = ways.signature(base64.b64decode(SECRET[6:]), said["webhook-id"], said["webhook-timestamp"], body)
    assert fresh == said["webhook-signature"] and said["webhook-id"].startswith(f"msg_{task}_")


def test_the_signature_is_the_one_that_the_vendors_library_checks() -> None:
    import time

    now = str(int(time.time()))
    body = b'{"type":"task.failed"}'
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": now,
        "webhook-signature": ways.signature(base64.b64decode(SECRET[6:]), "msg_1", now, body),
    }
    assert Webhook(SECRET).verify(body, headers) == {"type": "task.failed"}
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


async def test_a_post_that_is_not_taken_is_tried_again_under_the_same_id_and_then_never(tmp_path) -> None:
    with receiver(500, 503, 200) as (url, got):
        buyer = service(tmp_path, clock=hurried(2000), KLING_NOTIFY_URL=url, KLING_NOTIFY_SECRET=SECRET)
        await bought(buyer)
        await until(lambda: len(got) == 3)
        await buyer.close()
        heir = service(tmp_path, clock=hurried(2000), KLING_NOTIFY_URL=url, KLING_NOTIFY_SECRET=SECRET)
        await heir.start()
        await heir.close()
    assert len({headers["webhook-id"] for headers, _ in got}) == 1
    assert len({body for _, body in got}) == 1 and len(got) == 3


async def test_what_a_dead_process_left_is_told_by_the_next(tmp_path, monkeypatch) -> None:
    command, log = program(tmp_path)
    monkeypatch.setattr(notifier.Notifier, "start", lambda self: None)
    buyer = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    task = await bought(buyer)
    await buyer.close()
    assert told(log) == []
    monkeypatch.undo()
    monkeypatch.setenv("HOME", str(tmp_path))
    heirs = [service(tmp_path, KLING_NOTIFY_COMMAND=command) for _ in range(3)]
    await asyncio.gather(*(heir.start() for heir in heirs))
    await until(lambda: len(told(log)) >= 1)
    await asyncio.gather(*(heir.close() for heir in heirs))
    assert [one["KLING_TASK_ID"] for one in told(log)] == [task]


async def test_a_process_that_dies_while_the_program_runs_makes_no_second_notice(tmp_path) -> None:
    command, log = program(tmp_path)
    buyer = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    await bought(buyer)
    await buyer.close()
    record = sqlite3.connect(tmp_path / "home" / "tasks.db")
    # As it stands on the disk while the program runs.
    record.execute("UPDATE notices SET outcome = 'begun'")
    record.commit()
    assert record.execute("SELECT done_at IS NOT NULL FROM notices").fetchall() == [(1,)]
    record.close()
    heir = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    await heir.start()
    await heir.close()
    assert len(told(log)) == 1


async def test_who_sets_the_variable_later_is_not_told_of_the_past(tmp_path) -> None:
    quiet = service(tmp_path)
    await bought(quiet)
    await quiet.close()
    command, log = program(tmp_path)
    loud = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    task = await bought(loud)
    await loud.close()
    assert [one["KLING_TASK_ID"] for one in told(log)] == [task]


async def test_a_failed_task_and_a_cancelled_one_are_told_too(tmp_path) -> None:
    command, log = program(tmp_path)
    buyer = service(tmp_path, KLING_NOTIFY_COMMAND=command, KLING_SANDBOX_FAULTS="*=failed")
    failed = await bought(buyer)
    order = await buyer.generate(VideoArguments(prompt="x", provider="sandbox", model="kling-3.0", duration=3))
    await buyer.cancel(order.task_id)
    await buyer.get([order.task_id], wait_s=600)
    await buyer.close()
    states = {one["KLING_TASK_ID"]: one["KLING_TASK_STATE"] for one in told(log)}
    assert states[failed] == "failed" and len(told(log)) == len(states) == 2


@pytest.mark.parametrize("command", ["/nowhere/at-all", "/", f'"{sys.executable}" -c "raise SystemExit(3)"'])
async def test_a_program_that_cannot_run_or_fails_stops_nothing(tmp_path, command) -> None:
    buyer = service(tmp_path, KLING_NOTIFY_COMMAND=command)
    task = await bought(buyer)
    await buyer.close()
    record = sqlite3.connect(tmp_path / "home" / "tasks.db")
    ((told_of, outcome),) = record.execute("SELECT task_id, outcome FROM notices WHERE done_at IS NOT NULL").fetchall()
    record.close()
    assert told_of == task and outcome.startswith(("it could not be started", "exit code 3"))


@pytest.mark.parametrize(
    ("variables", "what"),
    [
        ({"KLING_NOTIFY_URL": "http://example.com/x", "KLING_NOTIFY_SECRET": SECRET}, "readable over the network"),
        ({"KLING_NOTIFY_URL": "http://127.0.0.1.example.com/x", "KLING_NOTIFY_SECRET": SECRET}, "readable over"),
        ({"KLING_NOTIFY_URL": "ftp://example.com"}, "no web address"),
        ({"KLING_NOTIFY_URL": "https://example.com/x"}, "KLING_NOTIFY_SECRET is no signing secret"),
        ({"KLING_NOTIFY_URL": "https://example.com/x", "KLING_NOTIFY_SECRET": "whsec_c2hvcnQ="}, "no signing secret"),
        ({"KLING_NOTIFY_COMMAND": 'say "ready'}, "cannot be read"),
    ],
)
def test_what_cannot_be_told_or_proved_is_refused_at_the_start(tmp_path, variables, what) -> None:
    with pytest.raises(ArgumentError, match=what):
        settings(tmp_path, **variables).check()
