"""Commands that are ended with an order under way: KILL, TERM, HUP and INT at a seeded moment."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from drill.books import Ordered, Reckoning, Turns, recorded, taken_on
from drill.killed_servers import PATIENCE_S, House, Pace, all_reckoned, houses_in
from drill.lives import ROOT, Vendors, model, silence

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
SHELLS = 2
"""Commands on one home at a time."""
MOMENTS = {"on the way": 20, "recorded": 50, "taken on": 30}
GRACE_S = 240.0
"""A command that was asked to end waits at most ten seconds for its vendor, on a machine that has time."""


def words(order: Ordered) -> list[str]:
    """The command that orders it."""
    quiet = ["--no-audio"] if silence(order.provider) else []
    key = ["--idempotency-key", order.key] if order.key else []
    said = ["--prompt", order.prompt, "--provider", order.provider, "--model", model(order.provider), "--duration", "5"]
    return ["generate", *said, *quiet, *key, "--yes", "--accept-unknown-price", "--json"]


async def command(house: House, order: Ordered, stop: signal.Signals, moment: str, share: float, pace: Pace) -> str:
    """A command that orders a clip and is ended at this moment; how it ended, or what is wrong with that."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcp_server", *words(order), cwd=ROOT, env=house.environment,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    ending = asyncio.create_task(process.communicate())
    prompt = [order.prompt]
    if moment == "on the way":
        await asyncio.wait([ending], timeout=(0.4 + 0.7 * share) * pace.seconds)
    else:
        end = began + PATIENCE_S
        shown = (recorded, house.record) if moment == "recorded" else (taken_on, house.shops.store)
        while not shown[0](shown[1], prompt) and not ending.done() and time.monotonic() < end:
            await asyncio.sleep(0.01)
        pace.measured(time.monotonic() - began)
        await asyncio.wait([ending], timeout=share * (0.4 if moment == "recorded" else 2.5))
    with suppress(ProcessLookupError):
        process.send_signal(stop)
    done, _ = await asyncio.wait([ending], timeout=GRACE_S)
    if not done:
        process.kill()
        await ending
        return f"{order.prompt} did not end within {GRACE_S:.0f} s of {stop.name}"
    return _judged(house, order, stop, process.returncode, *ending.result())


def _judged(house: House, order: Ordered, stop: signal.Signals, code: int | None, out: bytes, told: bytes) -> str:
    if code not in (0, 130 if stop is signal.SIGINT else 128 + stop, -stop):
        return f"{order.prompt} ended with {code} after {stop.name}: {told.decode()[-600:]}"
    if code == 0 and stop is not signal.SIGINT:
        house.told[order.prompt] = json.loads(out)["task_id"]
    return ""


async def shell(house: House, number: int, dice: random.Random, providers: list[str], ends: Turns) -> None:
    """One command after another, each ended."""
    pace = Pace()
    for end in ends:
        order = Ordered(f"shell {house.folder.name} {number} {end}", dice.choice(providers))
        stop = SIGNALS[end % len(SIGNALS)]
        moment = dice.choices([*MOMENTS], [*MOMENTS.values()])[0]
        share = dice.random()
        house.ordered.append(order)
        if stop is not signal.SIGKILL:
            house.surely.add(order.prompt)
        if wrong := await command(house, order, stop, moment, share, pace):
            house.wrong.append(wrong)


async def ended(folder: Path, shops: Vendors, providers: list[str], seed: int, ends: Turns) -> Reckoning:
    """So many commands ended, and the books afterwards: whoever was asked to end lost no answer."""
    houses = houses_in(folder, shops)
    async with asyncio.TaskGroup() as group:
        for number in range(len(houses) * SHELLS):
            dice = random.Random(f"{seed} shell {number}")
            group.create_task(shell(houses[number % len(houses)], number, dice, providers, ends))
    return await all_reckoned(houses)
