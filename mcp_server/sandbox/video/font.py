"""A five by seven pixel alphabet, so that words can be burnt into clips without a font library."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

COLUMNS: Final = 6
"""Width of a letter with the gap that follows it."""
ROWS: Final = 7

# Seven rows per letter, top first, two hexadecimal digits each: bit 4 is the left column.
_DRAWN: Final = """
A 0e11111f111111  B 1e11111e11111e  C 0e11101010110e  D 1e11111111111e  E 1f10101e10101f  F 1f10101e101010
G 0e11101713110f  H 1111111f111111  I 0e04040404040e  J 0702020202120c  K 11121418141211  L 1010101010101f
M 111b1515111111  N 11191513111111  O 0e11111111110e  P 1e11111e101010  Q 0e11111115120d  R 1e11111e141211
S 0f10100e01011e  T 1f040404040404  U 1111111111110e  V 11111111110a04  W 1111111515150a  X 11110a040a1111
Y 11110a04040404  Z 1f01020408101f
0 0e11131519110e  1 040c040404040e  2 0e11010204081f  3 1f02040201110e  4 02060a121f0202  5 1f101e0101110e
6 0608101e11110e  7 1f010204080808  8 0e11110e11110e  9 0e11110f01020c
. 00000000000c0c  , 0000000c0c0408  : 000c0c000c0c00  ; 000c0c000c0408  ! 04040404040004  ? 0e110102040004
- 0000001f000000  _ 0000000000001f  + 0004041f040400  * 0004150e150400  / 00010204081000  \\ 00100804020100
( 02040808080402  ) 08040202020408  [ 0e08080808080e  ] 0e02020202020e  < 02040810080402  > 08040201020408
= 00001f001f0000  # 0a0a1f0a1f0a0a  % 18190204081303  & 0c12140815120d  ' 0c040800000000  " 0a0a0a00000000
@ 0e11171517100e  $ 040f140e051e04  | 04040404040404  ~ 00000815020000  ^ 040a1100000000  ` 08040200000000
{ 02040408040402  } 08040402040408
"""
_UNKNOWN: Final = "1f11111111111f"


def _glyphs() -> Iterator[tuple[str, tuple[int, ...]]]:
    words = _DRAWN.split()
    for letter, rows in zip(words[::2], words[1::2], strict=True):
        yield letter, tuple(bytes.fromhex(rows))
    yield " ", (0,) * ROWS


_GLYPHS: Final[Mapping[str, tuple[int, ...]]] = dict(_glyphs())
_BOX: Final = tuple(bytes.fromhex(_UNKNOWN))


def drawable(text: str) -> str:
    """The text in the letters there are: capitals, without accents; what cannot be drawn becomes a box."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()))
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).upper()


def line(text: str, *, scale: int, ink: int, paper: int) -> list[bytes]:
    """One line of text as rows of gray pixels; every row stands for `scale` rows of the picture."""
    cells = _cells(scale, ink, paper)
    letters = [_GLYPHS.get(letter, _BOX) for letter in drawable(text)]
    return [b"".join(cells[letter[row]] for letter in letters) for row in range(ROWS)]


@cache
def _cells(scale: int, ink: int, paper: int) -> list[bytes]:
    """Every row a letter can have, by its bits."""
    on, off = bytes([ink]) * scale, bytes([paper]) * scale
    return [b"".join(on if bits >> place & 1 else off for place in (4, 3, 2, 1, 0)) + off for bits in range(32)]


def wrap(text: str, *, letters: int, lines: int) -> list[str]:
    """The text in at most so many lines of so many letters; what does not fit ends in dots."""
    made: list[str] = [""]
    for word in drawable(text).split(" "):
        for start in range(0, max(len(word), 1), letters):
            part = word[start : start + letters]
            joined = f"{made[-1]} {part}".strip()
            if len(joined) <= letters:
                made[-1] = joined
            else:
                made.append(part)
    if len(made) <= lines:
        return made
    last = made[lines - 1][: max(letters - 3, 0)]
    return [*made[: lines - 1], f"{last}..."]
