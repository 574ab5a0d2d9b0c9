"""Real processes, really killed: bought once, never lost, never a half file; `tests/drill/full.py` does all of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from drill.lives import PROVIDERS, Vendors, combinations, crash, vendors, verdict

from mcp_server.tasks.failpoints import POINTS, Failpoints

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")

MONEY = {"submit.before_send", "submit.answered"}
HANDING = {"submit.handing_over", "submit.handed_over", "submit.before_sent"}
# Every point once, the vendors in turn; where money is in doubt, one with and one without an idempotency key;
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


def test_a_point_is_passed_only_by_its_name_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, _: killed.append(pid))
    failpoint = Failpoints("save.fetched:2")
    for point in ("save.synced", "save.fetched"):
        failpoint(point)
    assert killed == []
    failpoint("save.fetched")
    assert len(killed) == 1
    with pytest.raises(ValueError, match="no point"):
        Failpoints("save.nothing")
