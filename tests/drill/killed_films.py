"""Films whose makers are killed while they plan, film and join, alone or with the process that joins; then the books.

Whoever got no answer asks again; at the end one process brings to an end what is left. Every shot was bought once, every
film is the one whole file its row tells of, and nothing half lies about.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drill.books import Ordered, Reckoning, Turns, jobs, reckoned, taken_on
from drill.films import MAKERS
from drill.killed_servers import PATIENCE_S
from drill.lives import (
    FOUND_OR_NOT_S,
    HERE,
    IDEMPOTENT,
    LOOKED_UP,
    ROOT,
    Vendors,
    environment,
    files,
    hidden,
    silence,
    vendors,
)

HOMES = 2
SELLERS = [name for name in MAKERS if name in IDEMPOTENT or name not in LOOKED_UP]
"""Where an order in doubt is looked up, that takes minutes: `films.py` has all vendors."""
MOMENTS = {"on the way": 15, "recorded": 15, "filming": 30, "joining": 40}
"""When a maker is killed, and how often: wherever it is by then, once the film has a row, once a shot is bought, once it is joined."""


@dataclass
class FilmHome:
    """One home, and the boards somebody there wanted filmed."""

    folder: Path
    shops: Vendors
    boards: list[dict[str, Any]] = field(default_factory=list)
    asked_again: list[dict[str, Any]] = field(default_factory=list)
    kills: int = 0

    async def started(self, boards: list[dict[str, Any]], until_s: float) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, HERE / "film_maker.py", json.dumps({"boards": boards, "until_s": until_s}), cwd=ROOT,
            env=environment(self.folder, self.shops), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip

    def state(self, title: str) -> str:
        """Where this film is, read from outside."""
        with (
            suppress(sqlite3.OperationalError),
            closing(sqlite3.connect(f"file:{self.folder / 'state' / 'tasks.db'}?mode=ro", uri=True)) as db,
        ):
            row = db.execute("SELECT state FROM films WHERE title = ?", [title]).fetchone()
            return row[0] if row else ""
        return ""


def board(home: FilmHome, number: int, provider: str) -> dict[str, Any]:
    """Two shots, the second from the last frame of the first; their words are nobody else's."""
    name = f"{home.folder.name} {number}"
    shots = [
        {"id": "one", "prompt": f"a paper boat, {name}."},
        {"id": "two", "prompt": f"it sinks, {name}.", "begin": "continue"},
    ]
    return {"title": f"Boat {name}", "look": {"provider": provider, **silence(provider)}, "shots": shots}


async def killed(home: FilmHome, wanted: dict[str, Any], moment: str, share: float, *, alone: bool) -> None:
    """A maker of this film and of those nobody answered for, killed at this moment."""
    maker = await home.started([*home.asked_again, wanted], PATIENCE_S)
    ended = asyncio.ensure_future(maker.communicate())
    prompts = [shot["prompt"] for shot in wanted["shots"]]
    seen: dict[str, Callable[[], object]] = {
        "recorded": lambda: home.state(wanted["title"]),
        "filming": lambda: taken_on(home.shops.store, prompts),
        "joining": lambda: home.state(wanted["title"]) in ("joining", "succeeded", "uncertain"),
    }
    end = time.monotonic() + PATIENCE_S
    while moment in seen and not seen[moment]() and not ended.done() and time.monotonic() < end:
        await asyncio.sleep(0.01)
    await asyncio.wait([ended], timeout=share * (8.0 if moment == "on the way" else 2.0))
    with suppress(ProcessLookupError):
        if ended.done():
            pass
        elif alone:
            maker.kill()
        else:
            os.killpg(maker.pid, signal.SIGKILL)
        home.kills += not ended.done()
    await ended


async def line(home: FilmHome, dice: random.Random, kills: Turns) -> None:
    """One maker after another, each killed."""
    for kill in kills:
        wanted = board(home, kill, dice.choice(SELLERS))
        moment = dice.choices([*MOMENTS], [*MOMENTS.values()])[0]
        home.boards.append(wanted)
        await killed(home, wanted, moment, dice.random(), alone=dice.random() < 0.5)
        home.asked_again = [wanted] if dice.random() < 0.5 else []


async def books(home: FilmHome) -> Reckoning:
    """What the vendors took on, held against the films' rows and files, once a last process has ended what was left."""
    maker = await home.started(home.boards, FOUND_OR_NOT_S)
    out, told = await maker.communicate()
    assert maker.returncode == 0, told.decode()[-3000:]
    found = json.loads(out)
    lying, films = files(home.folder / "out"), found["films"]
    joined = {Path(film["joined"]["path"]).name: film["joined"]["sha256"] for film in films if film["joined"]}
    made = reckoned(
        [Ordered(shot["prompt"], wanted["look"]["provider"]) for wanted in home.boards for shot in wanted["shots"]],
        told={},
        bought=jobs(home.shops.store),
        rows=found["tasks"],
        files={name: digest for name, digest in lying.items() if name not in joined},
        keyed=IDEMPOTENT,
        left_over=hidden(home.folder / "out"),
    )
    made.wrong += [f"{name} is not the film its row tells of" for name in joined if lying.get(name) != joined[name]]
    doubtful = {task["id"] for task in found["tasks"] if task["state"] == "uncertain"}
    for wanted in home.boards:
        mine = [film for film in films if film["board"]["title"] == wanted["title"]]
        made.wrong += [f"{wanted['title']}: {wrong}" for wrong in misfits(mine, doubtful)]
    made.counts.update({"films": len(home.boards), "joined": len(joined), "kills": home.kills})
    return made


def misfits(films: list[dict[str, Any]], doubtful: set[str]) -> Iterator[str]:
    """What is wrong with the films one board became: asked for again when it is made, another one of the same purchases."""
    if not films:
        yield "it became no film"
    for film in films:
        if float(film["reserved_usd"]):
            yield f"{film['id']} holds {film['reserved_usd']} USD back"
        in_doubt = bool({shot["task_id"] for shot in film["shots"]} & doubtful)
        if film["state"] != ("uncertain" if in_doubt else "succeeded"):
            yield f"{film['id']} is {film['state']}: {film['error']}"
        yield from (f"{film['id']} was joined, {check}" for check in (film["joined"] or {}).get("failed_checks", ()))


async def films_killed(folder: Path, _shops: Vendors, seed: int, kills: Turns) -> Reckoning:
    """So many makers killed, and the books of all homes."""
    made = Reckoning()
    place = folder / "drawing"
    place.mkdir()
    with vendors(place, rendering=True) as shops:
        homes = [FilmHome(folder / f"studio-{number}", shops) for number in range(HOMES)]
        async with asyncio.TaskGroup() as group:
            for number, home in enumerate(homes):
                home.folder.mkdir()
                group.create_task(line(home, random.Random(f"{seed} films {number}"), kills))
        for each in await asyncio.gather(*map(books, homes)):
            made.add(each)
    return made
