"""The bundle for Claude Desktop. A .mcpb file is a zip with a manifest.

Packed here and not by the vendor's tool, so that it takes Python alone, and the same commit gives the same bytes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "release" / "mcpb" / "manifest.json"
FOLDERS = ("mcp_server", "schemas", "skill")
FILES = ("pyproject.toml", "SKILL.md", "README.md", "LICENSE")
_EPOCH = (2026, 1, 1, 0, 0, 0)


def pack(target: Path = ROOT / "dist" / "kling-video.mcpb") -> str:
    """Write the bundle; where, and how large it is."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bundle:
        for name, source in contents():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            bundle.writestr(entry, source.read_bytes())
    return f"{target} ({target.stat().st_size / 1000:.0f} kB)"


def contents() -> Iterable[tuple[str, Path]]:
    """Every file of the bundle: its name inside, and where it comes from."""
    yield "manifest.json", MANIFEST
    for name in FILES:
        yield name, ROOT / name
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
                yield path.relative_to(ROOT).as_posix(), path
