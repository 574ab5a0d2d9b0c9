"""Several real processes on one store: every job polled by one, every clip fetched once, nobody locked out."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from drill.quick_vendor import QuickVendor, serving

ROOT = Path(__file__).parents[2]
TASKS = 500


def begin(vendor: QuickVendor, home: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, ROOT / "tests/drill/crowd.py", vendor.url, home, name, str(count)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"},
    )  # fmt: skip


@pytest.mark.parametrize("crowd", [2, 5])
def test_one_home_many_processes(tmp_path: Path, crowd: int) -> None:
    with serving(QuickVendor(takes=lambda number: 0.5 + number % 7 * 0.2)) as vendor:
        running = [begin(vendor, tmp_path, f"process-{index}", TASKS // crowd) for index in range(crowd)]
        said = [process.communicate(timeout=180) for process in running]

    assert [error for _, error in said if error] == []
    results = [json.loads(out) for out, _ in said]
    assert Counter(state for result in results for state in result["states"]) == {"succeeded": TASKS}
    assert not [note for result in results for note in result["notes"]]
    assert sorted(vendor.submits.values()) == [1] * TASKS
    assert sorted(vendor.downloads.values()) == [1] * TASKS
    assert [names for names in vendor.looks.values() if len(names) > 1] == [], "a job was looked at by two processes"
    assert len(list((tmp_path / "out").glob("[!.]*.mp4"))) == TASKS
    assert list((tmp_path / "out").glob(".*")) == []


def test_what_a_killed_process_held_is_done_by_the_others(tmp_path: Path) -> None:
    with serving(QuickVendor(takes=lambda number: 4.0)) as vendor:
        victim = begin(vendor, tmp_path, "victim", 40)
        while sum(vendor.submits.values()) < 40:
            assert victim.poll() is None
            time.sleep(0.02)
        heir = begin(vendor, tmp_path, "heir", 5)
        while sum(vendor.submits.values()) < 45:
            assert victim.poll() is None
            time.sleep(0.02)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        began = time.monotonic()
        out, error = heir.communicate(timeout=120)

    assert error == ""
    assert json.loads(out)["states"] == ["succeeded"] * 5
    db = sqlite3.connect(tmp_path / "tasks.db")
    states = Counter(state for (state,) in db.execute("SELECT state FROM tasks"))
    db.close()
    # Answers the victim had not recorded when it died are uncertain, not bought again.
    assert set(states) <= {"succeeded", "uncertain"}
    assert states["succeeded"] >= 40
    assert max(vendor.submits.values()) == 1
    assert time.monotonic() - began < 20
