"""Processes that stand still at a failpoint (SIGSTOP), as a closed laptop does, and go on (SIGCONT): at once, or when another has their work.

Whoever goes on finds that it slept: nothing is bought twice, nothing half has a final name, and no doubt is left, for the
answer that was lost while it slept is here after all.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drill import films
from drill.books import Ordered, Reckoning, Turns, jobs, reckoned
from drill.lives import (
    HERE,
    IDEMPOTENT,
    LOOKED_UP,
    PROVIDERS,
    ROOT,
    Vendors,
    environment,
    files,
    hidden,
    life,
    ordering,
    passes,
    vendors,
)

from mcp_server.tasks.failpoints import POINTS

WORKERS = 6
HEIR_S = 11
"""How long another process works meanwhile: it believes the first one dead after six seconds."""
SHORT_S = 0.5
PATIENCE_S = 900.0
"""What has not come by then does not come, however busy the machine is."""


@dataclass(frozen=True)
class Stop:
    """Where, at whose order, and whether another process takes over meanwhile."""

    point: str
    provider: str
    inherited: bool

    @property
    def shown(self) -> str:
        return f"{self.point} at {self.provider}{' with an heir' if self.inherited else ''}"


def stops() -> list[Stop]:
    """Every point: with an heir at a vendor without keys and at one with, the vendors in turn; without one at either."""
    found: list[Stop] = []
    unkeyed = [name for name in PROVIDERS if name not in IDEMPOTENT]
    for number, point in enumerate(POINTS):
        groups: list[list[str]] = [
            [name for name in names if passes(name, point)] for names in (unkeyed, [*IDEMPOTENT])
        ]
        if point in ("submit.before_send", "submit.answered"):
            groups.append([*LOOKED_UP])
        turns = [sorted(names)[number % len(names)] for names in groups if names]
        found += [Stop(point, name, inherited=True) for name in turns]
        found.append(Stop(point, turns[number % len(turns)], inherited=False))
    return found


STOPS = len(stops()) + len(films.BUYING_POINTS)


def stood_still(process: subprocess.Popen[str]) -> bool:
    """Whether it stopped, rather than end."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        state = os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        if state is not None:
            return True
        time.sleep(0.02)
    return False


def started(home: Path, shops: Vendors, program: str, wanted: dict[str, Any], point: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, HERE / program, json.dumps(wanted)], cwd=ROOT, env=environment(home, shops, f"stop={point}"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def let_go(process: subprocess.Popen[str]) -> Any:
    """What it tells once it has gone on to its end."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGCONT)
    out, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told[-3000:]
    return json.loads(out)


def bought(folder: Path, shops: Vendors, stop: Stop) -> Reckoning:
    """One order whose process stands still on the way."""
    home = folder / f"{stop.point}-{stop.provider}-{stop.inherited}"
    home.mkdir()
    order = Ordered(f"a boat: {home.name}", stop.provider)
    wanted = ordering(home, stop.provider, prompt=order.prompt, cancel=stop.point.startswith("cancel."))
    first = started(home, shops, "buyer.py", {**wanted, "until_s": PATIENCE_S / 2}, stop.point)
    made = Reckoning()
    try:
        if not stood_still(first):
            made.wrong.append(f"{stop.shown} was never passed")
        named = files(home / "out")
        if stop.inherited:
            heir = life(home, shops, {"buy": None, "until_s": HEIR_S})
            assert heir.returncode == 0, heir.stderr[-3000:]
        else:
            time.sleep(SHORT_S)
        rows = let_go(first)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        first.kill()
        made.wrong.append(f"{stop.shown}: {error}")
        return made
    out = home / "out"
    may_fail = stop.inherited and stop.point == "submit.before_send" and stop.provider not in IDEMPOTENT
    # An heir that is still looking for the order at the vendor is not told that it never left.
    may_stay_open = may_fail and stop.provider in LOOKED_UP
    books = reckoned(
        [order], told={}, bought=jobs(shops.store), rows=rows, files=files(out), keyed=IDEMPOTENT,
        surely=set() if may_stay_open else {order.prompt}, left_over=hidden(out),
    )  # fmt: skip
    made.counts += books.counts
    made.wrong += [f"{stop.shown}: {wrong}" for wrong in books.wrong]
    may_end = (
        {"succeeded"}
        | ({"uncertain"} if may_stay_open else set())
        | ({"failed"} if may_fail else set())
        | ({"cancelled"} if wanted["cancel"] else set())
    )
    if {row["state"] for row in rows} - may_end or not rows:
        made.wrong.append(f"{stop.shown} ended as {[(row['state'], row['error'], row['history']) for row in rows]}")
    if named.items() - files(out).items():
        made.wrong.append(f"{stop.shown}: what was named when it stopped is not there: {named}")
    return made


def filmed(point: str, provider: str) -> Reckoning:
    """A film whose process stands still on the way, while another one goes on with it."""
    wanted = {"boards": [films.board(provider)]}
    made = Reckoning()
    with tempfile.TemporaryDirectory() as folder, vendors(Path(folder), rendering=True) as shops:
        home = Path(folder) / "home"
        home.mkdir()
        first = started(home, shops, "film_maker.py", {**wanted, "until_s": PATIENCE_S / 2}, point)
        try:
            still = stood_still(first)
            named = files(home / "out")
            heir = films.life(home, shops, {"until_s": HEIR_S})
            assert heir.returncode == 0, heir.stderr[-3000:]
            found = let_go(first)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            first.kill()
            made.wrong.append(f"{point} at {provider}: {error}")
            return made
        accepted = sum(map(len, jobs(shops.store).values()))
        seen = films.Made(
            died=still,
            named_at_death=named,
            films=found["films"],
            tasks=found["tasks"],
            accepted=accepted,
            files=files(home / "out"),
            left_over=hidden(home / "out"),
        )
        made.wrong += [f"{point} at {provider}: {wrong}" for wrong in films.verdict(seen, point, asked_again=True)]
    made.counts.update({"films": 1, "taken on": accepted, "double": max(0, accepted - 2)})
    return made


async def stopped(folder: Path, shops: Vendors, seed: int, turns: Turns) -> Reckoning:
    """The first so many of all stops; the films last."""
    loop = asyncio.get_running_loop()
    runs = [(bought, (folder, shops, stop)) for stop in stops()]
    runs += [
        (filmed, (point, films.MAKERS[(seed + at) % len(films.MAKERS)])) for at, point in enumerate(films.BUYING_POINTS)
    ]
    made = Reckoning()

    async def line(pool: ThreadPoolExecutor) -> None:
        for number in turns:
            run, given = runs[number]
            made.add(await loop.run_in_executor(pool, run, *given))

    with ThreadPoolExecutor(WORKERS) as pool:
        await asyncio.gather(*(line(pool) for _ in range(WORKERS)))
    return made
