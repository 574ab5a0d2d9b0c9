"""`kling-video skill export DIR`: the agent skill as a folder that any client can take."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mcp_server import places
from mcp_server.cli import parser
from mcp_server.cli.screen import Screen
from mcp_server.errors import LocalError, RequestError

NAME = "kling-video"
"""The folder must be called as SKILL.md calls the skill."""


def flags() -> parser.Parser:
    made = parser.command(
        "skill",
        f"Text only, as DIR/{NAME}; or as DIR itself, if it has that name.",
        epilog="Example: kling-video skill export ~/.claude/skills",
    )
    made.add_argument("what", choices=("export",))
    made.add_argument("folder", metavar="DIR", type=Path)
    made.add_argument("--force", action="store_true", help="replace an earlier copy of this skill")
    return made


def run(argv: list[str]) -> int:
    """Write the folder and say where it is."""
    given = flags().parse_args(argv)
    target = export(given.folder.expanduser(), force=given.force)
    if given.json:
        Screen(as_json=True).facts({"folder": str(target), "files": sorted(files())})
    else:
        print(target)
    return 0


def files() -> dict[str, Path]:
    """Name inside the folder → where it comes from."""
    pages = sorted(path for path in places.skill().iterdir() if path.is_file() and not path.name.startswith("."))
    return {"SKILL.md": places.skill_page(), **{f"skill/{path.name}": path for path in pages}}


def export(folder: Path, *, force: bool = False) -> Path:
    """The skill's folder, complete or as it was before."""
    target = (folder if folder.name == NAME else folder / NAME).absolute()
    _may_replace(target, force=force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{NAME}.") as draft:
            made = Path(draft) / "new"
            for name, source in files().items():
                place = made / name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(source.read_bytes())
            if target.exists():
                target.rename(Path(draft) / "old")
            made.rename(target)
    except OSError as error:
        raise LocalError(f"{target} could not be written ({error.strerror})") from error
    return target


def _may_replace(target: Path, *, force: bool) -> None:
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    page = target / "SKILL.md"
    ours = page.is_file() and f"\nname: {NAME}\n" in page.read_text(encoding="utf-8", errors="replace")
    if not ours:
        raise RequestError(
            f"{target} is there already and is not this skill; it was left as it is", next_step="Name another folder"
        )
    if not force:
        raise RequestError(f"{target} has this skill already", next_step="Use --force to replace it")
