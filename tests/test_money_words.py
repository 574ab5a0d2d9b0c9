"""What is said of money is true, at the doors where somebody reads it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.mcp_world import Vendors, client, ended, ordered

from mcp_server.__main__ import main

Command = Callable[..., Any]


@pytest.fixture
def command(shops: Vendors, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line on the same record: its exit code, and everything it said."""
    for name, value in shops.environment.items():
        monkeypatch.setenv(name, value)

    async def run(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, list(words))
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


async def lost(shops: Vendors, **more: Any) -> str:
    """An order that RunComfy took and charged, whose answer was lost."""
    shops.fault("runcomfy", "drop_after_accept")
    async with client(shops.server(), "legacy") as connected:
        answer = await connected.call_tool("generate_video", {"prompt": "a boat", "provider": "runcomfy", **more})
    assert answer.structured_content["state"] == "uncertain"
    return answer.structured_content["task_id"]


def true_job(shops: Vendors) -> str:
    return shops.submits()[-1]["job"]


def reserved(shops: Vendors, task_id: str) -> Decimal:
    with closing(sqlite3.connect(Path(shops.environment["KLING_HOME"]) / "tasks.db")) as db:
        return Decimal(db.execute("SELECT reserved_usd FROM tasks WHERE id = ?", [task_id]).fetchone()[0])


@pytest.mark.parametrize(
    ("job", "says"),
    [
        ("", "is no job id"),
        ("   ", "is no job id"),
        ("kv-261121-000000000000", "is no job id"),
        ("what the dashboard shows", "is no job id"),
        ("x" * 200, "is no job id"),
        ("nonsense", "does not know the job 'nonsense'"),
        ("0b5c2f1e-7a53-4a86-9a54-3a5b8f5f2b11", "does not know the job"),
    ],
)
async def test_a_job_that_cannot_be_one_or_that_the_vendor_does_not_know_is_not_taken(
    shops: Vendors, command: Command, job: str, says: str
) -> None:
    task_id = await lost(shops)

    code, said = await command("settle", task_id, "--job", job)

    assert code == 65
    assert says in said
    assert json.loads((await command("task", task_id, "--json"))[1])["state"] == "uncertain"


async def test_a_vendor_that_cannot_be_asked_keeps_nobody_from_settling(shops: Vendors, command: Command) -> None:
    task_id = await lost(shops)
    shops.fault("runcomfy", "status_500", "", None)

    code, said = await command("settle", task_id, "--job", true_job(shops), "--json")

    assert code == 0
    assert json.loads(said)["state"] == "queued"
    assert "could not be asked whether it knows this job" in json.loads(said)["note"]


async def test_what_was_settled_wrongly_can_be_settled_again_until_an_end_was_seen(
    shops: Vendors, command: Command
) -> None:
    task_id = await lost(shops)
    for words, state, money in (
        (["--not-bought"], "failed", "not_spent"),
        (["--bought"], "failed", "charged"),
        (["--not-bought"], "failed", "not_spent"),
    ):
        code, said = await command("settle", task_id, *words, "--json")
        told = json.loads(said)
        assert (code, told["state"], told["error"]["money"]) == (0, state, money)
        assert reserved(shops, task_id) == (0 if money == "not_spent" else Decimal("0.42"))

    code, said = await command("settle", task_id, "--job", true_job(shops), "--json")
    assert (code, json.loads(said)["state"] in ("queued", "running", "saving", "succeeded")) == (0, True)
    assert reserved(shops, task_id) == Decimal("0.42"), "what was said not to be bought counts again"
    _, said = await command("task", task_id, "--wait", "25", "--json")
    assert json.loads(said)["state"] == "succeeded"
    assert (await command("settle", task_id, "--not-bought"))[0] == 65, "it was followed to its end"


async def test_a_wrong_job_that_goes_on_can_be_taken_back(shops: Vendors, command: Command) -> None:
    shops.box.seconds = 6_000
    other = await lost(shops, prompt="another boat")
    wrong = true_job(shops)
    task_id = await lost(shops)
    right = true_job(shops)
    assert (await command("settle", task_id, "--job", wrong))[0] == 0
    code, said = await command("settle", other, "--job", wrong)
    assert (code, task_id in said) == (65, True), "it is another task by now"

    assert (await command("settle", task_id, "--job", right))[0] == 0
    assert (await command("settle", other, "--job", wrong))[0] == 0


async def test_an_order_its_vendor_took_is_not_settled_by_hand(shops: Vendors, command: Command) -> None:
    shops.box.seconds = 6_000
    async with client(shops.server(), "legacy") as connected:
        task_id = (await ordered(connected))["task_id"]

    code, said = await command("settle", task_id, "--not-bought")

    assert code == 65
    assert "only an uncertain one" in said


async def test_what_was_refused_or_withdrawn_is_not_added_up_as_quoted(shops: Vendors, command: Command) -> None:
    async with client(shops.server(), "legacy") as connected:
        await ordered(connected)
        shops.fault("runcomfy", "content_refused")
        await connected.call_tool("generate_video", {"prompt": "refused", "provider": "runcomfy", "tier": "pro"})
    not_bought = await lost(shops, prompt="not bought")
    assert (await command("settle", not_bought, "--not-bought"))[0] == 0
    await lost(shops, prompt="in doubt")

    found = json.loads((await command("spend", "--json"))[1])

    assert found["quoted_usd"] == "0.84", "the one that was bought, and the one nobody knows of"
    assert sum(line["tasks"] for line in found["lines"]) == 2
    assert found["unknown"] == 1


async def test_stopping_an_order_in_doubt_says_one_thing_about_its_money(shops: Vendors, command: Command) -> None:
    task_id = await lost(shops)

    _, said = await command("cancel", task_id)

    assert "Nobody knows whether it was bought" in said
    assert "may have been charged" in said
    assert "billed as ordered" not in said


async def test_stopping_what_was_refused_says_that_nothing_was_charged(shops: Vendors, command: Command) -> None:
    shops.fault("runcomfy", "content_refused")
    async with client(shops.server(), "legacy") as connected:
        answer = await connected.call_tool("generate_video", {"prompt": "refused", "provider": "runcomfy"})

    _, said = await command("cancel", answer.structured_content["task_id"])

    assert "Nothing was charged." in said
    assert "billed" not in said


async def test_a_simulation_carries_no_charge(shops: Vendors, command: Command) -> None:
    async with client(shops.server(), "legacy") as connected:
        answer = await ordered(connected, provider="sandbox", tier="4k")
        done = await ended(connected, {"task_id": answer["task_id"], "wait_s": 25})

    facts = done.structured_content
    assert facts["state"] == "succeeded"
    assert facts["cost"]["estimated"]["usd"] == "2.10"
    assert "settled" not in facts["cost"]
    assert "nothing was charged" in facts["next_step"]
    assert "nothing: a simulation" in (await command("task", answer["task_id"]))[1]
