"""Where the files that travel with the code are: in a checkout and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_CHECKOUT = PACKAGE.parent


def schemas() -> Path:
    """The folder of JSON Schemas."""
    return _either("schemas")


def skill() -> Path:
    """The skill's pages, and the two manifests that words are read by."""
    return _either("skill")


def skill_page() -> Path:
    """SKILL.md."""
    return _either("SKILL.md")


def _either(name: str) -> Path:
    # A wheel carries them inside the package (see force-include in pyproject.toml).
    inside = PACKAGE / "_shipped" / name
    return inside if inside.exists() else _CHECKOUT / name
