"""Web addresses and files that words name: opaque to every rule, with the kind of medium their ending says."""

from __future__ import annotations

import re
from typing import Final

_KINDS: Final = {
    "image": "png jpg jpeg webp gif heic bmp",
    "video": "mp4 mov webm m4v mkv",
    "audio_file": "mp3 wav m4a aac ogg flac",
}
_KIND_OF: Final = {ending: kind for kind, endings in _KINDS.items() for ending in endings.split()}
_WEB: Final = re.compile(r"(?:https?://|www\.)[!#-&*+\-./0-9:=?-_a-z{|}~]+", re.IGNORECASE)
"""Up to a space, a quote, a bracket, or a sign that no address has."""
_FILE: Final = re.compile(rf"\.({'|'.join(_KIND_OF)})(?![\w/])", re.IGNORECASE)
_NAME_SIGNS: Final = frozenset("_~./\\:@%+-")
UNSPACED: Final = "\u2e80"
"""From here on scripts part no words by spaces: no file's name can be told from the words before it, and what is
counted stands right after its number."""


def addresses(text: str) -> dict[int, int]:
    """Where each address or file begins, and where it ends; linear in the text."""
    found = {at.start(): at.start() + len(at.group().rstrip(".,;:!?")) for at in _WEB.finditer(text)}
    ends = sorted(found.items())
    done, passed = 0, 0
    for ending in _FILE.finditer(text):
        while passed < len(ends) and ends[passed][0] <= ending.start():
            done, passed = max(done, ends[passed][1]), passed + 1
        begun = ending.start()
        while begun > done and ((sign := text[begun - 1]) in _NAME_SIGNS or (sign.isalnum() and sign < UNSPACED)):
            begun -= 1
        if begun < ending.start() and ending.end() > done:
            found[begun] = done = ending.end()
    return found


def medium_of(address: str) -> str:
    """The argument a file with this ending is for; empty where the ending says nothing."""
    path = address.split("?", 1)[0].split("#", 1)[0]
    return _KIND_OF.get(path.rpartition(".")[2].casefold(), "")
