"""The fact files as data: parsed beforehand where they are as they were when this was released, else parsed now.

`parsed_facts.txt` is generated (`python -m release`): a line for each file, the digest of its bytes and what is in it
as JSON, which is read in a twentieth of the time of TOML. A file that was changed has another digest, and no line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

from mcp_server.places import PACKAGE

PARSED: Final = PACKAGE / "catalog" / "parsed_facts.txt"
_KINDS: Final = {"$date": date.fromisoformat, "$decimal": Decimal}
"""What JSON has no word for, under the name it has there."""


def read(path: Path) -> dict[str, Any]:
    """What the file says; OSError or ValueError where it cannot be read."""
    raw = path.read_bytes()
    if (line := _parsed().get(_digest(raw))) is not None:
        return cast("dict[str, Any]", json.loads(line, object_hook=_plain))
    return _toml(raw)


def parsed(paths: Iterable[Path]) -> str:
    """The generated file for these."""
    raws = {path: path.read_bytes() for path in paths}
    rows = ((_digest(raw), json.dumps(_toml(raw), default=_named, ensure_ascii=False)) for raw in raws.values())
    return "".join(f"{digest} {row}\n" for digest, row in rows)


def _toml(raw: bytes) -> dict[str, Any]:
    # Imported here: where nothing was changed, nothing is parsed.
    import tomllib

    return tomllib.loads(raw.decode("utf-8"), parse_float=Decimal)


@cache
def _parsed() -> Mapping[str, str]:
    try:
        text = PARSED.read_text(encoding="utf-8")
    except OSError:
        return {}
    return dict(line.split(" ", 1) for line in text.split("\n") if line)


def _digest(raw: bytes) -> str:
    return sha256(raw).hexdigest()


def _named(value: Any) -> dict[str, str]:
    match value:
        case date():
            return {"$date": value.isoformat()}
        case Decimal():
            return {"$decimal": str(value)}
        case _:
            raise TypeError(f"{value!r} is no fact")


def _plain(row: dict[str, Any]) -> Any:
    if len(row) == 1:
        name, value = next(iter(row.items()))
        if name in _KINDS:
            return _KINDS[name](value)
    return row
