"""The hostile drill: `python -m tests.drill.hostile [--seed N] [--part 0.1] [--minutes 8] [LEG …]`; a line for each leg, 1 where anything is wrong.

Servers and commands are ended and stopped at seeded moments with orders under way, and what the vendors took on is held
against what is on record and on disk: nothing bought twice, nothing lost, every hash right. Before everything hostile at
once a server answers every ping within 250 ms; one that took longer is wrong where the server's own threads were at work
for more than 250 ms meanwhile, and told where it was the machine that had no time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import httpx  # noqa: E402
from drill.besieged import besieged  # noqa: E402
from drill.books import Reckoning, Turns  # noqa: E402
from drill.ended_commands import ended  # noqa: E402
from drill.killed_films import films_killed  # noqa: E402
from drill.killed_servers import killed  # noqa: E402
from drill.lives import IDEMPOTENT, PROVIDERS, Vendors, vendors  # noqa: E402
from drill.stopped import STOPS, stopped  # noqa: E402

SLOW = "*=slow:always@0.15"
"""How long a vendor takes to answer an order, so that calls are often out when their process ends."""
UNKEYED = [name for name in PROVIDERS if name not in IDEMPOTENT]
KEYED = sorted(IDEMPOTENT)

Leg = Callable[[Path, Vendors, int, Turns], Awaitable[Reckoning]]
LEGS: dict[str, tuple[str, int, Leg]] = {
    "unkeyed": (
        f"kill -9 of servers that order from vendors without keys ({', '.join(UNKEYED)})",
        200,
        lambda folder, shops, seed, turns: killed(folder, shops, UNKEYED, seed, turns),
    ),
    "keyed": (
        f"kill -9 of servers that order from vendors with keys ({', '.join(KEYED)})",
        100,
        lambda folder, shops, seed, turns: killed(folder, shops, KEYED, seed, turns),
    ),
    "commands": (
        "KILL, TERM, HUP and INT of the command line",
        120,
        lambda folder, shops, seed, turns: ended(folder, shops, PROVIDERS, seed, turns),
    ),
    "films": ("kill -9 of whoever plans, films and joins, alone or with the process that joins", 24, films_killed),
    "besieged": ("everything hostile at once, before one server", 1, besieged),
    "stopped": ("SIGSTOP and SIGCONT at a failpoint, for a moment or while another process takes over", STOPS, stopped),
}


ALONE = ("besieged",)
"""Legs that are measured: nothing else runs beside them."""


async def one(name: str, seed: int, part: float, minutes: float) -> bool:
    """Whether this leg found nothing wrong; what it found is printed."""
    what, full, leg = LEGS[name]
    turns = Turns(max(2, round(full * part)) if full > 1 else 1, time.monotonic() + minutes * 60)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, vendors(Path(folder)) as shops:
        httpx.post(f"{shops.control}/control/faults", json={"faults": SLOW}, headers=shops.key).raise_for_status()
        try:
            made = await leg(Path(folder), shops, seed, turns)
        except Exception:
            made = Reckoning(wrong=[traceback.format_exc()])
    if name not in ALONE and made.counts["taken on"] < turns.taken / 2:
        made.wrong.append(f"only {made.counts['taken on']} orders were taken on: too few to say anything")
    if turns.taken < turns.count / 4:
        made.wrong.append(f"in {minutes:g} minutes {turns.taken} of {turns.count} were done: this machine is too busy")
    counts = {"double": 0, "lost": 0} | made.counts
    told = ", ".join(filter(None, (*(f"{number} {word}" for word, number in sorted(counts.items())), made.told)))
    verdict = f"{len(made.wrong)} WRONG" if made.wrong else "nothing wrong"
    print(f"{name}: {turns} × {what}: {told}: {verdict}; seed {seed}, {time.monotonic() - began:.0f} s", flush=True)
    for wrong in made.wrong[:50]:
        print(f"  wrong: {wrong}", flush=True)
    return not made.wrong


async def all_of(names: Sequence[str], seed: int, part: float, minutes: float) -> bool:
    """Most of their time they wait, for leases to end and vendors to be asked: what can run beside others does."""
    good = await asyncio.gather(*(one(name, seed, part, minutes) for name in names if name not in ALONE))
    return all([*good, *[await one(name, seed, part, minutes) for name in names if name in ALONE]])


def main(argv: list[str]) -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("legs", nargs="*", metavar="LEG", help=f"of {', '.join(LEGS)}; all of them unless named")
    asked.add_argument("--seed", type=int, default=14)
    asked.add_argument("--part", type=float, default=1.0, help="which part of the counts, such as 0.1")
    asked.add_argument("--minutes", type=float, default=60.0, help="after so many, nothing new is begun")
    given = asked.parse_args(argv)
    if unknown := set(given.legs) - set(LEGS):
        asked.error(f"no such leg: {', '.join(sorted(unknown))}")
    return 0 if asyncio.run(all_of(given.legs or [*LEGS], given.seed, given.part, given.minutes)) else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
