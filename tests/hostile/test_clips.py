"""Looking into a clip that was made to be looked into: memory and time have bounds, and no other file is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.drawn_clips import Drawn, draw

from mcp_server import places
from mcp_server.media import child

LOOK = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from mcp_server.media import child; "
    "{change}; code = child.main(['look', sys.argv[1]]); "
    "import resource; print(resource.getrlimit(resource.RLIMIT_CPU)[0], file=sys.stderr); sys.exit(code)"
)


def looked(path: Path, change: str = "pass") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", LOOK.format(change=change), str(places.PACKAGE.parent), str(path)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(sys.platform != "linux", reason="address space is bounded on Linux")
def test_a_clip_that_unpacks_into_more_memory_than_it_may_is_not_looked_into(tmp_path: Path) -> None:
    clip = draw(tmp_path / "clip.mp4", Drawn(seconds=0.2, width=3840, height=2160))

    within, beyond = looked(clip), looked(clip, "child.MEMORY = 140 * 1024**2")

    assert (within.returncode, '"width": 3840' in within.stdout) == (0, True)
    assert within.stderr.strip() == str(child.SECONDS)
    assert beyond.returncode != 0
    assert "unreadable" not in beyond.stdout


def test_a_list_of_other_files_is_no_clip(tmp_path: Path) -> None:
    secret = draw(tmp_path / "secret.mp4", Drawn(seconds=0.2, width=160, height=90))
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(f"ffconcat version 1.0\nfile '{secret.name}'\n")

    found = looked(playlist)

    assert '"frames": 0' in found.stdout
