"""Prints a command of README.md, so that the gate runs what a newcomer reads: `readme_command.py first|test`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def commands() -> list[str]:
    """The first two shell blocks: the one that makes a clip, the one that runs the tests."""
    return [block.strip() for block in re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)]


if __name__ == "__main__":
    print(commands()[{"first": 0, "test": 1}[sys.argv[1]]])
