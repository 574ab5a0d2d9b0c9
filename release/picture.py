"""What README shows of its first command and of its film, made by running them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from mcp_server.media.frames import contact_sheet

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "pictures" / "simulated-clip.jpg"
SESSION = ROOT / "pictures" / "session.txt"
SHEET = ROOT / "pictures" / "film-sheet.jpg"


def take() -> None:
    """Run it in an empty home, keep the words and six frames."""
    with tempfile.TemporaryDirectory() as home:
        said, clip = run(Path(home))
        PICTURE.parent.mkdir(exist_ok=True)
        PICTURE.write_bytes(contact_sheet(clip))
        SESSION.write_text(said, encoding="utf-8")
        SHEET.write_bytes(film(Path(home)))


def command() -> list[str]:
    """The last part of README's first command: what makes the clip."""
    block = re.search(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if block is None:
        raise SystemExit("README.md has no command")
    return shlex.split(block[1].rsplit("&&", 1)[1])[1:]


def film(home: Path) -> bytes:
    """The contact sheet of README's board, filmed by the sandbox."""
    board = re.search(r"```toml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    if board is None:
        raise SystemExit("README.md has no board")
    path = home / "board.toml"
    path.write_text(board[1], encoding="utf-8")
    made = Path(_run(home, "film", str(path), "--yes").stdout.strip())
    return made.with_suffix(".sheet.jpg").read_bytes()


def run(home: Path) -> tuple[str, Path]:
    """What is said on the way, and the clip."""
    done = _run(home, *command())
    clip = Path(done.stdout.strip())
    return done.stderr + done.stdout.replace(str(home), "~"), clip


def _run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"HOME": str(home), "PATH": os.environ["PATH"], "KLING_SANDBOX_SECONDS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "mcp_server", *words],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(f"README's command {words[0]} failed: {done.stderr}")
    return done


def shape(said: str) -> str:
    """The words without what differs from run to run: ids, days, and how often there was something to say."""
    text = re.sub(r"kv-\d{6}-[0-9a-z]{12}", "TASK", said)
    text = re.sub(r"\d{4}-\d{2}-\d{2}(-[\w-]*?)-[0-9a-z]{6}\.mp4", r"DAY\1-ID.mp4", text)
    # How many of the states on the way are seen is a matter of moments.
    lines = [line for line in text.splitlines() if not re.match(r"TASK +(in the queue|rendering|saving|sending)", line)]
    return "\n".join(lines)
