"""The crash drill of films: killed at every point × every vendor that takes a last frame: `python tests/drill/films.py [WORKERS]`.

Each life after a crash asks for the same film again, as an agent does that got no answer; or asks for nothing and only
goes on with what the record says. Either way every shot was bought once, and the film is one whole file. While a film is
joined the process dies alone, or with the process that joins, as when the power goes.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path[:1] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

from drill.lives import FACTS, HERE, PICTURES, ROOT, Vendors, environment, files, hidden, silence, vendors  # noqa: E402

from mcp_server.tasks.failpoints import FILM_POINTS, POINTS  # noqa: E402

MAKERS = sorted(
    name
    for name in PICTURES
    if any(offer.provider == name and offer.mode == "image-to-video" and offer.durations for offer in FACTS.offers)
)
"""Vendors that take a last frame, and so a whole film."""
PLANNING_POINTS = ("film.before_record", "film.recorded")
"""A plan that is kept and not bought passes these; the life after it buys the film."""
BUYING_POINTS = tuple(point for point in FILM_POINTS if point != "film.recorded")
JOINING_POINTS = ("film.measuring", "film.joining", "film.checking", "film.joined")
"""From the joining process's first word to the row: written whole, without a name, at `checking`; named at `joined`."""
TASK_POINTS = ("buy.recorded", "submit.before_sent", "submit.recorded", "save.named")
"""Points of a shot's own purchase at which dying leaves no doubt at any vendor."""
PATIENCE_S = 300
"""A busy machine takes its time."""
assert set(TASK_POINTS) <= set(POINTS) and set(JOINING_POINTS) <= set(FILM_POINTS)


def board(provider: str) -> dict[str, Any]:
    """Two shots, the second from the last frame of the first: as short as this vendor sells them."""
    shots = [{"id": "one", "prompt": "a paper boat"}, {"id": "two", "prompt": "it sinks", "begin": "continue"}]
    return {"title": "Boat", "look": {"provider": provider, **silence(provider)}, "shots": shots}


@dataclass
class Made:
    """What the lives came to."""

    died: bool
    named_at_death: dict[str, str]
    films: list[dict[str, Any]]
    tasks: list[dict[str, Any]]
    accepted: int
    files: dict[str, str]
    left_over: list[str]


def life(home: Path, shops: Vendors, wanted: dict[str, Any], crash_at: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, HERE / "film_maker.py", json.dumps(wanted)],
        cwd=ROOT, env=environment(home, shops, crash_at), capture_output=True, text=True, timeout=600, check=False,
        start_new_session=True,
    )  # fmt: skip


def crash(
    home: Path, shops: Vendors, provider: str, point: str, *, asked_again: bool = True, planning: bool = False
) -> Made:
    """A life that dies at this point, then one that may live."""
    home.mkdir(parents=True)
    shops.clear()
    wanted = {"boards": [board(provider)], "until_s": PATIENCE_S}
    first = life(home, shops, wanted | {"plan": planning}, point)
    if first.returncode not in (-signal.SIGKILL, 0):
        raise AssertionError(f"{provider} {point}: {first.stderr[-3000:]}")
    named = files(home / "out")
    second = life(home, shops, wanted if asked_again else {"until_s": PATIENCE_S})
    assert second.returncode == 0, second.stderr[-3000:]
    found = json.loads(second.stdout)
    return Made(
        died=first.returncode == -signal.SIGKILL,
        named_at_death=named,
        films=found["films"],
        tasks=found["tasks"],
        accepted=int(shops.journal(provider, "")["all"]["accepted"].get(provider, 0)),
        files=files(home / "out"),
        left_over=hidden(home / "out"),
    )


def verdict(made: Made, point: str, *, asked_again: bool = True) -> list[str]:
    """Everything that is wrong."""
    wrong: list[str] = []
    nothing = point == "film.before_record" and not asked_again
    if not made.died:
        wrong.append("the point was never passed")
    if made.accepted != (0 if nothing else 2):
        wrong.append(f"{made.accepted} orders were taken on")
    if len(made.tasks) != made.accepted:
        wrong.append(f"there are {len(made.tasks)} tasks for {made.accepted} orders")
    if [film["state"] for film in made.films if film["state"] != "succeeded"] or bool(made.films) is nothing:
        wrong.append(f"the films are {[(film['state'], film.get('error')) for film in made.films]}")
    # A film that is made and asked for again is another one, of the same purchases.
    if len(made.films) > 1 + (point == "film.finished"):
        wrong.append(f"one board became {len(made.films)} films")
    if any(float(film["reserved_usd"]) for film in made.films):
        wrong.append("money is still held back")
    for film in made.films:
        if film["joined"] and made.files.get(Path(film["joined"]["path"]).name) != film["joined"]["sha256"]:
            wrong.append("the film's file is not what its row says")
    for name, digest in made.named_at_death.items():
        if made.files.get(name) != digest and not any(name == Path(film["joined"]["path"]).name for film in made.films):
            wrong.append(f"{name} was not whole when the process died")
    if made.left_over:
        wrong.append(f"left over: {made.left_over}")
    return wrong


def main(workers: int) -> int:
    began = time.time()
    runs = [
        (provider, point, {})
        for provider in MAKERS
        for point in (*BUYING_POINTS, *TASK_POINTS, *(f"all={point}" for point in JOINING_POINTS))
    ]
    runs += [(provider, point, {"planning": True}) for provider in MAKERS for point in PLANNING_POINTS]
    runs += [
        (MAKERS[number % len(MAKERS)], point, {"asked_again": False})
        for number, point in enumerate((*BUYING_POINTS, *TASK_POINTS))
    ]

    def one(run: tuple[str, str, dict[str, bool]]) -> dict[str, Any]:
        provider, point, how = run
        again = how.get("asked_again", True)
        with tempfile.TemporaryDirectory() as folder, vendors(Path(folder), rendering=True) as shops:
            made = crash(Path(folder) / "home", shops, provider, point, **how)
            wrong = verdict(made, point, asked_again=again)
        print(provider, point, *how, wrong or "nothing wrong", file=sys.stderr, flush=True)
        return {"run": run, "wrong": wrong, "orders": made.accepted}

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(one, runs))
    wrong = [result for result in results if result["wrong"]]
    summary = {
        "crashes": len(results), "points": len({point for _, point, _ in runs}), "vendors": MAKERS,
        "orders": sum(result["orders"] for result in results), "wrong": wrong,
        "seconds": round(time.time() - began),
    }  # fmt: skip
    print(json.dumps(summary, indent=1))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2))
