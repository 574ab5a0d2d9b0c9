"""Everything that is generated, from the facts and the shapes: `python -m release [--check]`.

Without arguments it writes what is stale; `--check` writes nothing, names it, and ends with 1. What needs PyAV or makes
a file for others is asked for by name: `python -m release picture | prebuilt_clip | mcpb [FILE]`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from release import cli_schemas, fact_pages, handshake, manifests, parsed_facts, readme, tool_schemas


class Generator(NamedTuple):
    """Files made from facts."""

    pages: Callable[[], Mapping[Path, bytes]]
    """Every file and what should stand in it."""
    there: Callable[[], Iterable[Path]] = tuple
    """The files that are in folders which hold nothing but what this generator makes."""


GENERATORS = (
    Generator(parsed_facts.pages),
    Generator(fact_pages.pages),
    Generator(tool_schemas.pages, tool_schemas.there),
    Generator(cli_schemas.pages, cli_schemas.there),
    Generator(readme.pages),
    Generator(manifests.pages, manifests.there),
)
"""In this order: the plugin's copy of the skill repeats the pages of facts."""
ANNOUNCED = Generator(handshake.pages, handshake.there)
"""What the server answers from all of these: it is asked once they are right, and could not start before."""


def main(argv: list[str]) -> int:
    match argv:
        case []:
            for generator in (*GENERATORS, ANNOUNCED):
                write(generator)
        case ["--check"]:
            old = [path for generator in GENERATORS for path in stale(generator)] or stale(ANNOUNCED)
            for path in old:
                print(f"stale: {path}; run python -m release", file=sys.stderr)
            return 1 if old else 0
        case ["picture"]:
            from release import picture

            picture.take()
        case ["prebuilt_clip"]:
            from release import prebuilt_clip

            prebuilt_clip.draw()
        case ["mcpb", *target] if len(target) < 2:
            from release import mcpb

            print(mcpb.pack(*map(Path, target)))
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


def stale(generator: Generator) -> list[Path]:
    """The files that are not as they should be, and those that should not be there."""
    wanted = generator.pages()
    wrong = [path for path, data in wanted.items() if not path.is_file() or path.read_bytes() != data]
    return [*wrong, *sorted(set(generator.there()) - set(wanted))]


def write(generator: Generator) -> None:
    wanted = generator.pages()
    for path in stale(generator):
        if path in wanted:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(wanted[path])
        else:
            path.unlink()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
