"""The fact files, parsed beforehand: what `catalog/fact_files.py` reads in the place of files that are as they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mcp_server import places
from mcp_server.catalog import fact_files


def pages() -> Mapping[Path, bytes]:
    """One file, a line for each of the facts' files."""
    facts = sorted((places.PACKAGE / "providers").glob("*/*.toml"))
    target = places.PACKAGE / "catalog" / fact_files.PARSED.name
    return {target: fact_files.parsed([places.PACKAGE / "catalog" / "models.toml", *facts]).encode()}
