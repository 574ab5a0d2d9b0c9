"""What a file is, by its first bytes; its name and what it says of itself do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Sort = Literal["image", "video", "audio"]


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file that can be told by its first bytes."""

    name: str
    sort: Sort
    media_type: str
    suffix: str
    fit: bool = True
    """Whether vendors take it as an input; the others are known by name, to refuse them by name."""


JPEG: Final = Format("JPEG", "image", "image/jpeg", ".jpg")
PNG: Final = Format("PNG", "image", "image/png", ".png")
WEBP: Final = Format("WebP", "image", "image/webp", ".webp")
BMP: Final = Format("BMP", "image", "image/bmp", ".bmp")
MP4: Final = Format("MP4", "video", "video/mp4", ".mp4")
MOV: Final = Format("QuickTime", "video", "video/quicktime", ".mov")
MP3: Final = Format("MP3", "audio", "audio/mpeg", ".mp3")
WAV: Final = Format("WAV", "audio", "audio/wav", ".wav")
M4A: Final = Format("M4A", "audio", "audio/mp4", ".m4a")
AAC: Final = Format("AAC", "audio", "audio/aac", ".aac")

GIF: Final = Format("GIF", "image", "image/gif", ".gif", fit=False)
TIFF: Final = Format("TIFF", "image", "image/tiff", ".tif", fit=False)
HEIC: Final = Format("HEIC", "image", "image/heic", ".heic", fit=False)
AVIF: Final = Format("AVIF", "image", "image/avif", ".avif", fit=False)
MATROSKA: Final = Format("WebM or Matroska", "video", "video/webm", ".webm", fit=False)
AVI: Final = Format("AVI", "video", "video/x-msvideo", ".avi", fit=False)
OGG: Final = Format("Ogg", "audio", "audio/ogg", ".ogg", fit=False)
FLAC: Final = Format("FLAC", "audio", "audio/flac", ".flac", fit=False)

CLIPS: Final = frozenset({MP4, MOV, MATROSKA})
"""What a delivered clip may be: a vendor's link to a picture or to sound alone led to something else."""
ENOUGH: Final = 32
"""Bytes that decide."""

_STARTS: Final[tuple[tuple[bytes, Format], ...]] = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF8", GIF),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
    (b"\x1aE\xdf\xa3", MATROSKA),
    (b"OggS", OGG),
    (b"fLaC", FLAC),
    (b"ID3", MP3),
)
_RIFF: Final = {b"WEBP": WEBP, b"WAVE": WAV, b"AVI ": AVI}
# ISO base media: the major brand after `ftyp`. Whatever is not named here is a clip.
_BRANDS: Final = {
    b"qt  ": MOV,
    b"M4A ": M4A,
    b"M4B ": M4A,
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    b"avif": AVIF,
    b"avis": AVIF,
}
_BMP_HEADERS: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
"""Lengths of the second header, which tell a BMP from a text that begins with BM."""


def sniff(head: bytes) -> Format | None:
    """The file's format, or None when the bytes say nothing known."""
    for start, found in _STARTS:
        if head.startswith(start):
            return found
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], MP4)
    # Early QuickTime files have no `ftyp`.
    if head[4:8] in (b"moov", b"mdat", b"wide", b"free"):
        return MOV
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS:
        return BMP
    return _mpeg_audio(head)


def _mpeg_audio(head: bytes) -> Format | None:
    """MP3 frames or AAC in ADTS: eleven set bits, then a layer that exists."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return AAC
    layer_three = head[1] & 0x06 == 0x02 and head[1] & 0x18 != 0x08
    real_rate = head[2] & 0xF0 != 0xF0 and head[2] & 0x0C != 0x0C
    return MP3 if layer_three and real_rate else None
