"""The studio in a real headless Chromium: `python tests/studio/browser/run.py`.

A rehearsal is made, watched, found, repeated, priced and refused above a limit; then a studio that was lived in for a
month is looked at, at the width of a desk and of a phone, in light and dark, and axe-core reads every page. Screenshots go
to artifacts/studio/. Where npm or a browser cannot be had, the run says so loudly and ends with 0; all else fails.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from player.run import NO_BROWSER, packages  # noqa: E402
from thirdparty.run import Unavailable, node  # noqa: E402

SHOTS = ROOT / "artifacts" / "studio"


def main() -> int:
    try:
        program, modules = node(), packages(HERE)
    except Unavailable as error:
        return unseen(str(error))
    SHOTS.mkdir(parents=True, exist_ok=True)
    # Modules are found from the file that asks for them, so the files go where the packages are.
    for file in (HERE / "see.mjs", ROOT / "tests" / "player" / "watch.mjs"):
        shutil.copy(file, modules / file.name)
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "PYTHON": sys.executable,
            "ROOT": str(ROOT),
            "SCRATCH": scratch,
            "SHOTS": str(SHOTS),
        }
        code = subprocess.run(
            [str(program), "see.mjs"], cwd=modules, env=environment, check=False, timeout=1200
        ).returncode
    return unseen("Chromium does not start on this machine") if code == NO_BROWSER else code


def unseen(why: str) -> int:
    print(f"\n!!! THE STUDIO WAS NOT SEEN IN A BROWSER: {why}\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
