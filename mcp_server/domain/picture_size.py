"""How wide and high a picture is, by the head of its file: PNG, JPEG, WebP and BMP."""

from __future__ import annotations

from mcp_server.domain.file_format import BMP, JPEG, PNG, WEBP, Format

_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame (ITU T.81, table B.1): its head says the size; the three left out are tables."""
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xDA)})
"""Markers that nothing belongs to."""


def picture_size(format_: Format, content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels; None where the file does not say."""
    if format_ is PNG:
        found = _big(content, 16, 4), _big(content, 20, 4)
    elif format_ is BMP:
        # Stored from the top down, its height is negative.
        height = _little(content, 22, 4)
        found = _little(content, 18, 4), min(height, (1 << 32) - height)
    elif format_ is WEBP:
        found = _webp(content)
    elif format_ is JPEG:
        found = _jpeg(content)
    else:
        return None
    return found if all(found) else None


def _jpeg(content: bytes) -> tuple[int, int]:
    at = 2
    while at + 9 < len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_FRAMES:
            return _big(content, at + 7, 2), _big(content, at + 5, 2)
        elif marker in _JPEG_BARE:
            at += 2
        else:
            at += 2 + max(2, _big(content, at + 2, 2))
    return 0, 0


def _webp(content: bytes) -> tuple[int, int]:
    """The three kinds of a WebP's first part (RFC 9649, 2.5 to 2.7)."""
    match content[12:16]:
        case b"VP8 ":
            return _little(content, 26, 2) & 0x3FFF, _little(content, 28, 2) & 0x3FFF
        case b"VP8L":
            bits = _little(content, 21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return _little(content, 24, 3) + 1, _little(content, 27, 3) + 1
        case _:
            return 0, 0


def _big(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(content[at : at + length], "big")


def _little(content: bytes, at: int, length: int) -> int:
    return int.from_bytes(content[at : at + length], "little")
