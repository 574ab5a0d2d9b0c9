"""The player in a real headless Chromium, through the protocol's own AppBridge: `python tests/player/run.py`.

Node, Chromium and the bridge come from npm at the versions in package.json, kept in ~/.cache/kling-video-ci. Screenshots
go to artifacts/player/. Where npm or a browser cannot be had, the run says so loudly and ends with 0; all else fails.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent))

from thirdparty.run import CACHE, Unavailable, node  # noqa: E402

NO_BROWSER = 77
SHOTS = ROOT / "artifacts" / "player"


def packages(here: Path = HERE) -> Path:
    """The folder with the packages pinned in that place's list, installed once per list of versions."""
    wanted = (here / "package.json").read_bytes()
    folder = CACHE / f"{here.name}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    if (folder / "ready").exists():
        return folder
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("there is no npm")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "package.json").write_bytes(wanted)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Unavailable(f"npm install: {done.stderr.strip()[-400:]}")
    (folder / "ready").touch()
    return folder


def certificate(folder: Path) -> None:
    """For the one clip that must come over https from another origin."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=folder,
        check=True,
        capture_output=True,
    )


def main() -> int:
    try:
        program, modules = node(), packages()
    except Unavailable as error:
        return unseen(str(error))
    SHOTS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        home = Path(scratch)
        certificate(home)
        # Modules are found from the file that asks for them, so the files go where the packages are.
        for file in HERE.glob("*.*"):
            if file.suffix in {".mjs", ".html"}:
                shutil.copy(file, modules / file.name)
        code = subprocess.run(
            [str(program), "see.mjs"],
            cwd=modules,
            env={**os.environ, "PYTHON": sys.executable, "ROOT": str(ROOT), "SCRATCH": scratch, "SHOTS": str(SHOTS)},
            check=False,
            timeout=600,
        ).returncode
    return unseen("Chromium does not start on this machine") if code == NO_BROWSER else code


def unseen(why: str) -> int:
    print(f"\n!!! THE PLAYER WAS NOT SEEN IN A BROWSER: {why}\n", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
