"""A cut list, and what joining it made: plain facts that go to the process that joins, and come back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Begin = Literal["cut", "dissolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One shot's file, and how the film goes over to it."""

    shot: str
    """What sentences call it."""
    path: str
    begin: Begin = "cut"
    """How it begins; the first one begins with the film, whatever stands here."""
    dissolve_s: float = 0.5
    """How long it and the shot before are both seen, where it begins with a dissolve."""
    sha256: str = ""
    """Of the file as it was saved; a file that is another by now is refused."""
    parts: tuple[tuple[str, float], ...] = ()
    """The shots in it, with the seconds each was ordered with, where it is one clip with cuts."""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> Clip:
        """From JSON."""
        given: dict[str, Any] = dict(facts)
        given["parts"] = tuple((shot, seconds) for shot, seconds in given.get("parts", ()))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutList:
    """The clips of a film in their order, and where it goes."""

    clips: tuple[Clip, ...]
    target: str
    """The film's path; what stood there is replaced once the new film is whole."""
    sound: str = ""
    """A sound file laid under the whole film, softer wherever a shot is heard."""

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> CutList:
        """From the same JSON."""
        given: dict[str, Any] = dict(facts)
        given["clips"] = tuple(map(Clip.read, given["clips"]))
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Where a shot is in the film, in seconds; a dissolve belongs to both its shots."""

    shot: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinedFilm:
    """The film as it lies on the disk."""

    path: str
    sha256: str
    bytes: int
    duration: float
    frames: int
    width: int
    height: int
    fps: float
    audio: bool
    """Whether there is a sound track; there is none where no shot has one and no sound was given."""
    copied: bool
    """Whether the pictures are the shots' own, bit for bit; else they were encoded once."""
    shots: tuple[Placed, ...]
    failed_checks: tuple[str, ...]
    """What looking into the finished film found wrong, a sentence each; empty when everything is as it should be."""
    notes: tuple[str, ...]
    """What was done to make the shots fit each other: letterboxed, silence, louder."""
    sheet: str
    """The contact sheet beside it, a row for each shot from its first frame to its last; empty where there is none."""

    def facts(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> JoinedFilm:
        """From the same JSON."""
        given: dict[str, Any] = dict(facts)
        for name in ("failed_checks", "notes"):
            given[name] = tuple(given[name])
        given["shots"] = tuple(Placed(**shot) for shot in given["shots"])
        return cls(**given)
