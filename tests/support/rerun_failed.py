"""What failed in the last run, alone: `python tests/support/rerun_failed.py`.

Hundreds of processes share two cores while the suite runs; a test that counts on a moment can lose a race there. Up to
FEW tests that failed are run again by themselves, each TIMES times. One that fails again is wrong, and so is a run with
more of them; one that passes each time is named in artifacts/flaky.txt and in the gate's last lines, to be mended.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FEW, TIMES = 3, 4


def main() -> str:
    """Why the run was no good, or nothing."""
    record = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed"
    failed: list[str] = list(json.loads(record.read_text(encoding="utf-8"))) if record.exists() else []
    tests = [each for each in failed if "::" in each]
    if not tests or len(tests) < len(failed) or len(tests) > FEW:
        return f"{len(failed)} failed, and this is for one to {FEW} tests that were collected and failed"
    for _ in range(TIMES):
        # Without the record of failures: it is read once, and names every one of them.
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests]
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return "what failed beside the others fails alone"
    told = ROOT / "artifacts" / "flaky.txt"
    told.parent.mkdir(exist_ok=True)
    told.write_text("".join(f"{each}\n" for each in tests), encoding="utf-8")
    return ""


if __name__ == "__main__":
    sys.exit(main() or None)
