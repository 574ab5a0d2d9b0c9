"""Whether a clip's container parses to its end: every part of it that is begun is all there.

Only the outermost layer is walked, by the lengths it names (ISO/IEC 14496-12, 4.2; RFC 8794, 6): that shows a file
that was cut, and costs a few reads. What the parts hold is for `media` to look into.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Final

from mcp_server.domain.file_format import CLIPS, ENOUGH, MATROSKA, sniff

_PARTS_AT_MOST: Final = 100_000
"""A film in fragments has hundreds; a file of nothing but beginnings would be walked for minutes."""
_NEEDED: Final = (b"moov", b"mdat")
_SEGMENT: Final = 0x18538067


def unfinished(path: Path) -> str:
    """What shows that this clip is not whole; empty when nothing does, or when it is no clip."""
    size = path.stat().st_size
    with path.open("rb") as file:
        kind = sniff(file.read(ENOUGH))
        if kind not in CLIPS:
            return ""
        return _elements(file, size) if kind is MATROSKA else _boxes(file, size)


def _boxes(file: BinaryIO, size: int) -> str:
    at, seen = 0, set[bytes]()
    for _ in range(_PARTS_AT_MOST):
        if at >= size:
            missing = [kind.decode() for kind in _NEEDED if kind not in seen]
            return f"there is no {' and no '.join(missing)} in it" if missing else ""
        file.seek(at)
        head = file.read(16)
        kind, length = head[4:8], int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big") if len(head) == 16 else 16
        elif length == 0:
            # To the end of the file; zeros there are padding.
            length = size - at
        if len(head) < 8 and not head.strip(b"\0"):
            length = len(head)
        elif length < 8 or at + length > size:
            return f"it ends within its {_named(kind)} part, {max(0, at + length - size):,} bytes early"
        seen.add(kind)
        at += length
    return f"it has more than {_PARTS_AT_MOST:,} parts"


def _elements(file: BinaryIO, size: int) -> str:
    at, segment = 0, False
    for _ in range(_PARTS_AT_MOST):
        if at >= size:
            return "" if segment else "there is no segment in it"
        file.seek(at)
        head = file.read(12)
        name, after = _number(head, 0, marked=True)
        length, after = _number(head, after, marked=False)
        if not after:
            return "it ends within the name of a part"
        segment = segment or name == _SEGMENT
        at += after
        if length == (1 << 7 * (after - _width(head[0]))) - 1:
            # A length that was not known when it was begun: what is in it stands there as parts of its own.
            continue
        if at + length > size:
            return f"it ends {at + length - size:,} bytes before the end of its last part"
        at += length
    return f"it has more than {_PARTS_AT_MOST:,} parts"


def _number(head: bytes, at: int, *, marked: bool) -> tuple[int, int]:
    """A number of variable length, and where it ends; 0 when it is none or not whole."""
    width = _width(head[at]) if at < len(head) and (at or marked) else 0
    if not width or at + width > len(head):
        return 0, 0
    value = int.from_bytes(head[at : at + width], "big")
    return (value if marked else value & ((1 << 7 * width) - 1)), at + width


def _width(first: int) -> int:
    return 9 - first.bit_length() if first else 0


def _named(kind: bytes) -> str:
    return "".join(chr(byte) if 32 < byte < 127 else "?" for byte in kind) or "last"
