"""What the drills of many machines order, and how the books are compared once nothing is under way any more."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from drill.books import jobs
from drill.lives import FACTS, model, silence
from support.machines import Machines
from support.mcp_wire import LEGACY, Web
from support.s3 import S3

SETTLED_S = 400.0
"""Longer than a machine with twenty others on it needs; what is still open then is lost."""
ALONE = """SELECT count(*) AS one FROM tasks WHERE finished_at IS NULL AND state <> 'uncertain' AND NOT EXISTS
(SELECT FROM procrastinate_jobs AS job WHERE job.id = follow_job)"""
"""Open tasks that nobody follows and nobody will."""
IN_FLIGHT = "SELECT count(*) AS one FROM tasks WHERE state = 'submitting' AND sent_at IS NOT NULL"
"""Paid calls that left and are not answered yet."""


@dataclass
class Clips:
    """Where a fleet keeps what it made: a folder all reach, or a bucket."""

    s3: S3 | None = None
    bucket: str = field(init=False, default="")

    def __post_init__(self) -> None:
        if self.s3 is not None:
            self.bucket = self.s3.bucket()

    @property
    def variables(self) -> dict[str, str]:
        return {} if self.s3 is None else {**self.s3.variables, "KLING_STORE_URL": f"s3://{self.bucket}/drill"}

    def names(self, folder: Path) -> list[str]:
        if self.s3 is not None:
            return self.s3.names(self.bucket)
        return [path.name for path in folder.glob("[!.]*.mp4")]


def order(vendor: str, number: int) -> dict[str, Any]:
    """The arguments of one clip; its words and its key are nobody else's."""
    return {
        **{"provider": vendor, "model": model(vendor), "duration": 5, **silence(vendor)},
        **{"prompt": f"a paper boat in the rain {number}", "idempotency_key": f"boat {number}"},
    }


def refused(answer: dict[str, Any]) -> str:
    """Why there is no task now; empty where there is one."""
    if not answer.get("isError") or answer.get("structuredContent", {}).get("task_id"):
        return ""
    return str(answer["content"][0]["text"])


async def ordered(address: str, vendor: str, numbers: Iterable[int]) -> None:
    """Once all of these are ordered, at once and by one server."""
    async with httpx.AsyncClient(timeout=240.0) as http:
        client = Web(http, f"{address}/mcp", LEGACY)
        asked = (client.call("generate_video", order(vendor, number)) for number in numbers)
        answers = await asyncio.gather(*asked)
    assert not any(map(refused, answers)), next(filter(None, map(refused, answers)))


def one(fleet: Machines, query: str) -> Any:
    """The only value that is answered."""
    return next(iter(fleet.rows(query)[0].values()))


def until(what: str, condition: Any, limit_s: float = SETTLED_S) -> float:
    """Return once it is so, and how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit_s, f"not within {limit_s} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def settled(fleet: Machines, limit_s: float = SETTLED_S) -> list[str]:
    """Once nothing is under way any more; what still is, when it takes too long."""
    end = time.monotonic() + limit_s
    query = "SELECT id, state, became ->> 'note' AS note FROM tasks WHERE finished_at IS NULL AND state <> 'uncertain'"
    while open_now := fleet.rows(query):
        if time.monotonic() > end:
            return [f"still open: {row}" for row in open_now]
        time.sleep(0.2)
    return []


def states(fleet: Machines) -> dict[str, int]:
    return dict(Counter(row["state"] for row in fleet.rows("SELECT state FROM tasks")))


def books(fleet: Machines, vendor: str, clips: int, orders: int, doubts: int) -> list[str]:
    """Everything that is wrong; `doubts` is how many tasks at most may end in doubt."""
    found = states(fleet)
    made, doubtful = found.get("succeeded", 0), found.get("uncertain", 0)
    if not found:
        return ["nothing was ordered: choose a vendor whose price is known in dollars"]
    wrong: list[str] = []
    bought = {prompt: len(each) for prompt, each in jobs(fleet.shops.store).items()}
    if twice := {prompt: count for prompt, count in bought.items() if count > 1}:
        wrong.append(f"bought more than once: {twice}")
    if sum(found.values()) != orders or set(found) - {"succeeded", "uncertain"}:
        wrong.append(f"states {found}, and {orders} were ordered")
    if doubtful > doubts:
        wrong.append(f"{doubtful} in doubt, at most {doubts} could be")
    if missing := [
        row["prompt"] for row in fleet.rows("SELECT prompt, state FROM tasks")
        if row["state"] == "succeeded" and row["prompt"] not in bought
    ]:  # fmt: skip
        wrong.append(f"made without being bought: {missing}")
    if clips != made:
        wrong.append(f"{clips} clips of {made} made")
    if left := fleet.rows("SELECT id, status FROM procrastinate_jobs"):
        wrong.append(f"jobs are left: {len(left)}")
    held = one(fleet, "SELECT sum(used_usd) FROM budgets WHERE payer = 'house' AND day <> 'films'")
    sums = one(fleet, "SELECT sum(reserved_usd) FROM tasks")
    if held != sums:
        wrong.append(f"the budget holds {held}, the orders {sums}")
    for each in fleet.running:
        if "a defect" in each.said() or "Traceback" in each.said():
            wrong.append(f"{each.name}: {each.said()[-1500:]}")
    return wrong


def concurrency(vendor: str) -> int:
    """Calls at once that an account of this vendor's is good for, whoever makes them."""
    return FACTS.providers[vendor].concurrency
