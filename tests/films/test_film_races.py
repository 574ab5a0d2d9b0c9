"""Films of several processes against one home and one day's budget: exact to the cent, also where a process is killed.

Real processes, one SQLite file. They plan, say that they are ready, and are let go together: who comes too late is
refused as a whole, and nothing of its film is bought.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from drill.lives import HERE, ROOT, Vendors, environment, vendors

PRICE = Decimal("0.504")
"""Two shots of three seconds at $0.084 a second."""
LOOK = {"provider": "runcomfy", "tier": "standard", "audio": False}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    with vendors(tmp_path_factory.mktemp("vendors"), rendering=True) as house:
        yield house


def board(title: str) -> dict[str, Any]:
    shots = [{"id": name, "prompt": f"{title}, {name}", "duration": 3} for name in ("one", "two")]
    return {"title": title, "look": LOOK, "shots": shots}


def maker(home: Path, shops: Vendors, budget: Decimal, crash_at: str = "", **wanted: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, HERE / "film_maker.py", json.dumps(wanted)],
        cwd=ROOT,
        env={**environment(home, shops, crash_at), "KLING_DAILY_BUDGET_USD": str(budget)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def raced(makers: list[subprocess.Popen[str]]) -> list[dict[str, Any] | None]:
    """What each tells, once all were let go at the same moment; None of one that was killed."""
    for each in makers:
        assert each.stdout is not None and each.stdout.readline() == "ready\n"
    for each in makers:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    found: list[dict[str, Any] | None] = []
    for each in makers:
        out, told = each.communicate(timeout=120)
        assert each.returncode in (0, -signal.SIGKILL), told[-3000:]
        found.append(None if each.returncode else json.loads(out))
    return found


@pytest.mark.parametrize("crash_at", ["", "film.shot_recorded"])
def test_of_two_films_one_day_pays_for_one_and_the_other_is_refused_whole(
    tmp_path: Path, shops: Vendors, crash_at: str
) -> None:
    shops.clear()
    home, titles = tmp_path / "home", ["Boat", "Kite"]
    until_s = 60 if crash_at else 0
    answers = raced(
        [maker(home, shops, PRICE, crash_at, boards=[board(title)], race=True, until_s=until_s) for title in titles]
    )
    lost = [number for number, told in enumerate(answers) if told is not None and told["refused"]]

    assert len(lost) == 1
    assert answers.count(None) == bool(crash_at)
    # Asked once more, while the money of the other film is held or spent: the same answer, and that film goes on.
    loser = titles[lost[0]]
    heir = maker(home, shops, PRICE, boards=[board(loser)])
    out, told = heir.communicate(timeout=120)
    assert heir.returncode == 0, told[-3000:]
    found = json.loads(out)

    for refused in (answers[lost[0]], found):
        assert [why["code"] for why in (refused or {})["refused"]] == ["over_budget"]
        assert (refused or {})["refused"][0]["money"] == "not_spent"
    (film,) = found["films"]
    assert (film["state"], film["board"]["title"]) == ("succeeded", titles[1 - lost[0]])
    assert Decimal(film["reserved_usd"]) == 0
    assert sum(Decimal(task["reserved_usd"]) for task in found["tasks"]) == PRICE
    assert {task["prompt"].partition(",")[0] for task in found["tasks"]} == {film["board"]["title"]}
    assert shops.journal("runcomfy", "")["all"]["accepted"]["runcomfy"] == 2


def test_of_three_films_two_fit_to_the_cent(tmp_path: Path, shops: Vendors) -> None:
    home = tmp_path / "home"
    boards = [board(f"Film {number}") for number in range(3)]
    answers = raced([maker(home, shops, 2 * PRICE, boards=[each], race=True, until_s=0) for each in boards])

    refused = [told for told in answers if told and told["refused"]]
    assert len(refused) == 1
    last = maker(home, shops, 2 * PRICE, until_s=0)
    found = json.loads(last.communicate(timeout=120)[0])
    held = sum(Decimal(film["reserved_usd"]) for film in found["films"])
    assert held + sum(Decimal(task["reserved_usd"]) for task in found["tasks"]) == 2 * PRICE
    assert len(found["films"]) == 2
