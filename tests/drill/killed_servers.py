"""Servers that are killed with orders under way, several on one home: kill -9, and another one starts."""

from __future__ import annotations

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drill.books import Ordered, Reckoning, Turns, jobs, reckoned, recorded, taken_on
from drill.lives import IDEMPOTENT, Vendors, environment, files, finished, hidden, model, silence
from support.mcp_wire import Pipe, pipe

HOMES = 3
LINES = 2
"""Servers on one home at a time."""
MOMENTS = {"on the way": 20, "recorded": 40, "told": 25, "long after": 15}
"""When a server is killed, and how often: before it did anything, around the paid call, following and saving, and late
enough to have taken over what another left."""
PATIENCE_S = 240.0
"""What comes later than this does not come, however busy the machine is."""


@dataclass
class House:
    """One home, whoever orders there, and what they were told."""

    folder: Path
    shops: Vendors
    ordered: list[Ordered] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    surely: set[str] = field(default_factory=set)
    """Prompts whose process was asked to end and not killed: their answers were waited for."""
    wrong: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return environment(self.folder, self.shops)

    @property
    def record(self) -> Path:
        return self.folder / "state" / "tasks.db"

    def asked_again(self) -> list[Ordered]:
        """Orders under a key that nobody answered."""
        return [order for order in self.ordered if order.key and order.prompt not in self.told]

    async def reckoned(self) -> Reckoning:
        """The books, once a last process has brought everything to its end."""
        rows = await asyncio.to_thread(finished, self.folder, self.shops)
        out = self.folder / "out"
        made = reckoned(
            self.ordered,
            told=self.told,
            bought=jobs(self.shops.store),
            rows=rows,
            files=files(out),
            keyed=IDEMPOTENT,
            surely=self.surely,
            left_over=hidden(out),
        )
        made.wrong += self.wrong
        return made


@dataclass
class Pace:
    """How long an order takes here and now, from the call to the answer: seeded moments are shares of it."""

    seconds: float = 1.5

    def measured(self, seconds: float) -> None:
        self.seconds += (min(seconds, PATIENCE_S) - self.seconds) / 3


def call(order: Ordered) -> dict[str, Any]:
    wanted = {"prompt": order.prompt, "provider": order.provider, "model": model(order.provider), "duration": 5}
    key = {"idempotency_key": order.key} if order.key else {}
    return {**wanted, **silence(order.provider), **key, "accept_unknown_price": True}


async def life(house: House, orders: list[Ordered], moment: str, share: float, pace: Pace) -> None:
    """A server that is handed these orders at once, and killed at this moment."""
    async with pipe(house.environment) as server:
        began = time.monotonic()
        sent = {
            await server.send("tools/call", {"name": "generate_video", "arguments": call(order)}): order
            for order in orders
        }
        reading = asyncio.create_task(read(server, sent, house))
        new = [order.prompt for order in orders if order in house.ordered[-len(orders) :]]
        match moment:
            case "on the way":
                await asyncio.wait([reading], timeout=(0.4 + 0.7 * share) * pace.seconds)
            case "recorded":
                await until(lambda: recorded(house.record, new) or taken_on(house.shops.store, new), reading)
                pace.measured(time.monotonic() - began)
                await asyncio.wait([reading], timeout=0.4 * share)
            case _:
                await asyncio.wait([reading], timeout=PATIENCE_S)
                pace.measured(time.monotonic() - began)
                await asyncio.sleep(share * (2.5 if moment == "told" else 8.0))
        server.process.kill()
        # What was written before it died was told.
        await reading
        await server.process.wait()


async def until(met: Any, reading: asyncio.Task[None]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not met() and not reading.done() and time.monotonic() < end:
        await asyncio.sleep(0.01)


async def read(server: Pipe, sent: dict[int, Ordered], house: House) -> None:
    """Take the answers down until there are none to come, or nobody to give them."""
    left = dict(sent)
    while left:
        line = await server.process.stdout.readline()
        if not line.endswith(b"\n"):
            return
        message = json.loads(line)
        order = left.pop(message.get("id"), None) if "method" not in message else None
        if order is None:
            continue
        task = message.get("result", {}).get("structuredContent") or {}
        if "task_id" not in task:
            house.wrong.append(f"{order.prompt} at {order.provider} was answered with {line.decode()[:600]}")
        elif house.told.setdefault(order.prompt, task["task_id"]) != task["task_id"]:
            house.wrong.append(f"{order.prompt} was told as {house.told[order.prompt]} and as {task['task_id']}")


async def line(house: House, number: int, dice: random.Random, providers: list[str], kills: Turns) -> None:
    """One server after another, each killed, until as many have died as shall."""
    pace = Pace()
    for kill in kills:
        mine = [
            Ordered(
                f"boat {house.folder.name} {number} {kill} {index}",
                dice.choice(providers),
                f"key-{number}-{kill}-{index}" if dice.random() < 0.5 else "",
            )
            for index in range(dice.choice((1, 1, 2)))
        ]
        moment = dice.choices([*MOMENTS], [*MOMENTS.values()])[0]
        share = dice.random()
        again = house.asked_again()
        house.ordered += mine
        await life(house, again[:3] + mine, moment, share, pace)


def houses_in(folder: Path, shops: Vendors) -> list[House]:
    houses = [House(folder / f"home-{number}", shops) for number in range(HOMES)]
    for house in houses:
        house.folder.mkdir(parents=True)
    return houses


async def killed(folder: Path, shops: Vendors, providers: list[str], seed: int, kills: Turns) -> Reckoning:
    """So many servers killed with orders at these vendors under way, and the books afterwards."""
    houses = houses_in(folder, shops)
    async with asyncio.TaskGroup() as group:
        for number in range(HOMES * LINES):
            dice = random.Random(f"{seed} {providers} {number}")
            group.create_task(line(houses[number % HOMES], number, dice, providers, kills))
    return await all_reckoned(houses)


async def all_reckoned(houses: list[House]) -> Reckoning:
    """The books of all homes, after whoever got no answer has asked once more under the same key, and is answered."""
    made = Reckoning()

    async def one(house: House) -> Reckoning:
        while again := house.asked_again():
            await life(house, again[:3], "told", 0.0, Pace())
        return await house.reckoned()

    for each in await asyncio.gather(*(one(house) for house in houses)):
        made.add(each)
    return made
