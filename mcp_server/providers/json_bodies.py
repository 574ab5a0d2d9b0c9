"""JSON on the wire: exact numbers, whole characters."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from mcp_server.domain.damaged_text import may_hold_halves, mended


def encode(body: Any) -> bytes:
    """JSON as it goes out; a Decimal becomes a plain number."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_number).encode()


def decode(text: str) -> Any:
    """JSON with exact numbers; None when it is not JSON."""
    try:
        found = json.loads(text, parse_float=Decimal)
        # Neither the record nor an answer can hold half a character.
        return mended(found) if may_hold_halves(text) else found
    except (ValueError, RecursionError):
        return None


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} does not go on the wire")
