"""A download's other end, in memory."""

from __future__ import annotations

from collections.abc import Mapping


class DownloadTarget:
    """Keeps what comes, and in which order it is told what."""

    def __init__(self, *, wanted: bool = True) -> None:
        self.wanted = wanted
        self.status = 0
        self.pieces: list[bytes] = []
        self.told: list[str] = []

    @property
    def size(self) -> int:
        return sum(map(len, self.pieces))

    def head(self, status: int, headers: Mapping[str, str]) -> bool:
        self.status = status
        return self.wanted

    def take(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def close(self) -> None:
        self.told.append("closed")

    def whole(self) -> None:
        self.told.append("whole")
