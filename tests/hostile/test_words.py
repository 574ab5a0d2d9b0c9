"""A vendor's words, numbers and names in rows, answers and on terminals: bounded, visible, and believed where they can be."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.hostile_vendor import hostile, ordered, plain, reply

from mcp_server.answers.shapes import TaskAnswer
from mcp_server.errors import KlingError

NASTY = {
    "escape": "\x1b[2J\x1b]0;owned\x07",
    "line": "no\nReady: /tmp/free.mp4\r\nDone",
    "eight bits": "\x9b31m",
    "turned": "\u202egpj.\u2066",
    "separators": "a\u2028b\u2029c",
    "hidden": "\U000e0041\u200b\ufeff",
    "long": "x" * 300_000,
    "long escapes": "\x1b" * 50_000,
}


def texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for name, part in value.items():
                yield from (name, *texts(part))
        case list():
            for part in value:
                yield from texts(part)


def tame(task: TaskAnswer, folder: Path) -> None:
    """Nothing in the answer, the row or the history is obeyed by a terminal, or longer than anybody reads."""
    told = list(texts(task.model_dump(mode="json")))
    with sqlite3.connect(folder / "home" / "tasks.db") as db:
        rows = [
            str(column)
            for table in ("tasks", "events")
            for row in db.execute(f"SELECT * FROM {table}")
            for column in row
        ]
    db.close()
    for column in rows:
        told += texts(json.loads(column)) if column.startswith(("{", "[")) else [column]
    assert [said for said in told if plain(said) != said or "\n" in said] == []
    assert len(task.model_dump_json()) < 20_000
    assert sum(map(len, rows)) < 40_000


WORDED = ("refusal", "field", "page", "id", "status", "failure", "link", "request id", "links")


def worded(where: str, said: str, job: str = "job-1") -> dict[str, bytes]:
    """Answers by step, with these words in this place."""
    queued, long = {"request_id": job, "status": "in_queue"}, len(said) > 1_000
    answers: dict[str, dict[str, bytes]] = {
        "refusal": {"submit": reply(422, {"error_message": said})},
        "field": {"submit": reply(422, {"detail": [{"loc": [said], "msg": said}] * (1 if long else 1_000)})},
        "page": {"submit": reply(403, f"<html>{said}")},
        "id": {"submit": reply(200, queued | {"request_id": said})},
        "status": {"submit": reply(200, queued | {"status": said}), "status": reply(200, {"status": said})},
        "failure": {"result": reply(200, {"status": "failed", "error": said, "error_code": said})},
        "link": {"result": reply(200, {"status": "completed", "output": {"video": f"https://a.test/{said}"}})},
        "request id": {"submit": reply(422, "{}", {"X-Request-Id": "a\x9bb" if long else plain(said).strip() + "\x9b"})},
        "links": {"result": reply(200, {"status": "completed", "output": {"videos": [f"https://a.test/{n}" for n in range(9_000)]}})},
    }  # fmt: skip
    return answers[where]


@pytest.mark.parametrize("nasty", NASTY)
@pytest.mark.parametrize("where", WORDED)
async def test_what_a_vendor_says_is_shown_as_what_it_is_and_not_without_an_end(
    where: str, nasty: str, tmp_path: Path
) -> None:
    said = NASTY[nasty]
    async with hostile(tmp_path, **worded(where, said)) as (vendor, buyer):
        ends = ("failed", "uncertain", "succeeded")
        goes_on = where in ("status", "link", "links")
        task = await ordered(buyer, until=("queued", "running", "saving") if goes_on else ends)
        if goes_on:
            seen = vendor.count("status")
            while vendor.count("status") < seen + 3:
                (task,) = await buyer.get([task.task_id], wait_s=1)

    assert vendor.count("submit") == 1
    tame(task, tmp_path)


# Money ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cost", [0, "0", "0.00", -5, "-5", 1e15, "Infinity", "NaN", "1e9", 99, None, [], {"usd": 0}])
async def test_a_cost_that_cannot_be_is_not_believed(cost: Any, tmp_path: Path) -> None:
    done = {"status": "completed", "output": {"video": "URL"}, "cost": cost}
    async with hostile(tmp_path) as (vendor, buyer):
        done["output"] = {"video": f"{vendor.url}/clip.mp4"}
        vendor.answers["result"] = [reply(200, done)]
        task = await ordered(buyer)
        row = await buyer.runner.store.get(task.task_id)

    assert task.state == "succeeded"
    assert row.settlement is not None and row.settlement.basis == "computed"
    assert row.reserved_usd == row.quote_usd
    said = isinstance(cost, (int, float, str)) and cost not in ("Infinity", "NaN") and not str(cost).startswith("-")
    assert ("which is not believed: the quote counts" in task.note) is said


async def test_a_cost_that_can_be_is_believed(tmp_path: Path) -> None:
    async with hostile(tmp_path) as (vendor, buyer):
        done = {"status": "completed", "output": {"video": f"{vendor.url}/clip.mp4"}, "cost": "2.50"}
        vendor.answers["result"] = [reply(200, done)]
        task = await ordered(buyer)
        row = await buyer.runner.store.get(task.task_id)

    assert row.settlement is not None
    assert (row.settlement.basis, row.reserved_usd, row.note) == ("reported", Decimal("2.50"), "")


@pytest.mark.parametrize("answer", [reply(500), reply(503, "<html>"), reply(200, "[]"), reply(200, {"error_code": 1})])
async def test_a_question_that_costs_nothing_never_says_that_it_may_have(answer: bytes, tmp_path: Path) -> None:
    async with hostile(tmp_path, balance=answer) as (vendor, buyer):
        account = await buyer.account("runcomfy", False)
        adapter = buyer.runner.runtime.wire(account.facts)
        call = adapter.balance()
        assert call is not None
        with pytest.raises(KlingError) as told:
            adapter.read_balance(await buyer.runner.runtime.transport.ask(account, call))

    assert vendor.count("balance")
    assert told.value.money == "not_spent"
    assert "not known" not in str(told.value)
