"""Real processes, really killed: bought once, never lost, never a half file; `tests/drill/full.py` does all of it."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from drill.lives import IDEMPOTENT, PROVIDERS, Vendors, combinations, crash, life, model, vendors, verdict

from mcp_server.tasks.failpoints import POINTS, Failpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

MONEY = {"submit.before_send", "submit.answered"}
HANDING = {"submit.handing_over", "submit.handed_over", "submit.before_sent"}
# Every point once, the vendors in turn; where money is in doubt, one with and one without an idempotency key, those whose
# orders can be looked up, and one whose orders cannot;
# where files are handed over, whoever keeps them and whoever gets them inside the order.
CHOSEN = [
    (provider, point)
    for index, point in enumerate(POINTS)
    for provider in (
        ("runapi", "kling3api")
        if point in MONEY
        else ("runapi", "runcomfy")
        if point in HANDING
        else (PROVIDERS[index % len(PROVIDERS)],)
    )
    if (provider, point) in combinations()
] + [("runcomfy", "cancel.before_ask"), ("runcomfy", "cancel.answered")]
CHOSEN += [(provider, "submit.answered") for provider in ("klingai", "replicate", "fal", "comfy")]


VARIED = ("buy.recorded", "submit.before_sent:3", "submit.before_send:2", "submit.answered:2", "submit.recorded:2")
"""Between the purchases of one order: the number says at whose."""
ONCE = list(dict.fromkeys(CHOSEN))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    with vendors(tmp_path_factory.mktemp("vendors")) as playing:
        yield playing


@pytest.fixture(scope="module")
def queued(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    """Vendors at whom a job waits for a second before it runs: only one that waits can be cancelled."""
    with vendors(tmp_path_factory.mktemp("queued"), seconds=4.0) as playing:
        yield playing


@pytest.mark.parametrize(("provider", "point"), ONCE, ids=["/".join(pair) for pair in ONCE])
def test_killed_at_a_point_and_started_again(
    house: Vendors, queued: Vendors, tmp_path: Path, provider: str, point: str
) -> None:
    outcome = crash(tmp_path / "life", queued if point.startswith("cancel.") else house, provider, point)

    assert verdict(outcome, (point,)) == []


@pytest.mark.parametrize("provider", ["runapi", "kling3api"])
@pytest.mark.parametrize("point", VARIED)
def test_variations_are_never_bought_twice_and_never_lost(
    house: Vendors, tmp_path: Path, provider: str, point: str
) -> None:
    """The same call under the same key, after a death between any two of its three purchases."""
    house.clear()
    order = {
        "prompt": "a paper boat", "provider": provider, "model": model(provider), "duration": 5, "audio": False,
        "count": 3, "idempotency_key": "boats",
    }  # fmt: skip

    first = life(tmp_path, house, {"buy": order}, point)
    second = life(tmp_path, house, {"buy": order})

    assert first.returncode == -signal.SIGKILL, first.stderr[-3000:]
    assert second.returncode == 0, second.stderr[-3000:]
    tasks = json.loads(second.stdout)
    states = [task["state"] for task in tasks]
    accepted = int(house.journal(provider, "")["all"]["accepted"].get(provider, 0))
    assert len(tasks) == 3
    assert len({task["idempotency_key"] for task in tasks}) == 3
    name, _, _ = point.partition(":")
    # The three leave side by side: when the second is recorded, the third may still be on its way.
    if provider in IDEMPOTENT or name not in {*MONEY, "submit.recorded"}:
        assert (states, accepted) == (["succeeded"] * 3, 3)
    else:
        # Whose call had left when the process died may have been bought, and is not sent again.
        assert set(states) <= {"succeeded", "uncertain"}
        assert states.count("succeeded") <= accepted <= 3
        assert "uncertain" in states or name not in MONEY


def test_a_point_is_passed_only_by_its_name_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    whom: list[int] = []
    monkeypatch.setattr("os.kill", lambda who, number: (whom.append(who), killed.append(number)))
    failpoint = Failpoints("save.fetched:2")
    for point in ("save.synced", "save.fetched"):
        failpoint(point)
    assert killed == []
    failpoint("save.fetched")
    assert killed == [signal.SIGKILL]
    Failpoints("stop=save.fetched")("save.fetched")
    assert killed == [signal.SIGKILL, signal.SIGSTOP]
    assert set(whom) == {os.getpid()}
    Failpoints("all=film.checking")("film.checking")
    assert (killed[-1], whom[-1]) == (signal.SIGKILL, 0), "the whole process group"
    with pytest.raises(ValueError, match="no point"):
        Failpoints("save.nothing")
    with pytest.raises(ValueError, match="nobody can"):
        Failpoints("sleep=save.fetched")
