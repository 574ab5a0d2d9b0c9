"""A copy of the repository for a test to follow a recipe in: what CONTRIBUTING says is what is done, and no more."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copied(to: Path) -> Path:
    """The repository as it stands, committed, so that every change shows."""
    listed = run(ROOT, "git", "ls-files", "--cached", "--others", "--exclude-standard", "-z")
    for name in filter(None, listed.split("\0")):
        if (source := ROOT / name).is_file():
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    run(to, "git", "init", "-q")
    commit(to)
    return to


def generate(root: Path, *more: str) -> None:
    """What CONTRIBUTING says to run after a change of facts: everything that repeats them is written again."""
    python(root, "-m", "release", *more)


def changed(root: Path) -> set[str]:
    """What is not as it was committed; new folders as folders."""
    return {line[3:] for line in run(root, "git", "status", "--porcelain").splitlines()}


def commit(root: Path) -> None:
    run(root, "git", "add", "--all")
    run(root, "git", "-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-q", "-m", "as it stands")


def python(root: Path, *arguments: str, **variables: str) -> str:
    """This Python over the copy's own modules."""
    return run(root, sys.executable, *arguments, PYTHONPATH=str(root), **variables)


def run(folder: Path, *command: str, fails: int = 0, **variables: str) -> str:
    """What it printed; with `fails` it must end with that code, and what it complained of counts too."""
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert done.returncode == fails, f"{' '.join(command)}\n{done.stdout[-6000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr if fails else done.stdout
