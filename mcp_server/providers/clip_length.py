"""How long a clip on this machine lasts, by the head of its container: for the price of what is made from it."""

from __future__ import annotations

import stat
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final

from mcp_server.errors import RequestError
from mcp_server.providers.media_inputs import located

_PARTS_AT_MOST: Final = 10_000


def seconds(text: str) -> Decimal | None:
    """The length an MP4 or QuickTime file says it has; None where it says none or cannot be read."""
    try:
        path = located(text)
        if path is None or not stat.S_ISREG(path.stat().st_mode):
            return None
        return _length(path)
    except (OSError, ValueError, RequestError):
        return None


def _length(path: Path) -> Decimal | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        movie = _part(file, b"moov", 0, size)
        header = _part(file, b"mvhd", *movie) if movie else None
        if header is None:
            return None
        file.seek(header[0])
        body = file.read(32)
    # ISO/IEC 14496-12, 8.2.2: version 1 has times and length in 64 bits.
    wide = body[:1] == b"\1"
    scale = int.from_bytes(body[20:24] if wide else body[12:16], "big")
    length = int.from_bytes(body[24:32] if wide else body[16:20], "big")
    unknown = length == (1 << (64 if wide else 32)) - 1
    return Decimal(length) / scale if scale and length and not unknown else None


def _part(file: BinaryIO, kind: bytes, at: int, end: int) -> tuple[int, int] | None:
    """Where this part's content begins and ends, between two places of the file."""
    for _ in range(_PARTS_AT_MOST):
        if at + 8 > end:
            return None
        file.seek(at)
        head = file.read(16)
        length, begins = int.from_bytes(head[:4], "big"), at + 8
        if length == 1:
            length, begins = int.from_bytes(head[8:16], "big"), at + 16
        elif length == 0:
            length = end - at
        if length < begins - at:
            return None
        if head[4:8] == kind:
            return begins, min(at + length, end)
        at += length
    return None
