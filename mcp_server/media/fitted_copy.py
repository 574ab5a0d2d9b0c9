"""What a smaller copy of a clip is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedCopy:
    """A copy beside the clip, or the clip itself where it is small enough."""

    path: str
    bytes: int
    width: int
    height: int
    fps: float
    given_up: tuple[str, ...]
    """What the copy has less of, a sentence each; empty when the path is the clip's own."""

    @classmethod
    def read(cls, facts: Mapping[str, Any]) -> FittedCopy:
        """From JSON."""
        given: dict[str, Any] = dict(facts)
        given["given_up"] = tuple(given["given_up"])
        return cls(**given)
