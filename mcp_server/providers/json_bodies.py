"""JSON on the wire: exact numbers, whole characters."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, Final

from mcp_server.domain.damaged_text import may_hold_halves, mended

_LONGEST: Final = 30
_PARTS_MAX: Final = 20_000
"""Brackets and commas of one answer. A whole price list has a third; a megabyte of them alone takes Python a quarter
of a second to make and to look through, in which nobody else is served."""


def encode(body: Any) -> bytes:
    """JSON as it goes out; a Decimal becomes a plain number."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=_number).encode()


def decode(text: str) -> Any:
    """JSON with exact numbers; None when it is not JSON or has too many parts, and in the place of `NaN` and
    `Infinity`, which are not JSON.
    """
    if sum(map(text.count, "[{,")) > _PARTS_MAX:
        return None
    try:
        found = json.loads(text, parse_float=Decimal, parse_int=_whole, parse_constant=lambda _: None)
        # Neither the record nor an answer can hold half a character.
        return mended(found) if may_hold_halves(text) else found
    except (ValueError, RecursionError):
        return None


def _whole(digits: str) -> int | Decimal:
    # Python refuses to make an int of thousands of digits; one mad number must not take the whole answer with it.
    return int(digits) if len(digits) <= _LONGEST else Decimal(digits)


def _number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError(f"{type(value).__name__} does not go on the wire")
