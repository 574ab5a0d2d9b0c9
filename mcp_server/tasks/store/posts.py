"""Vendors' posts that were heard: the same one is good once."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

KEPT_S: Final = 3_600.0
"""How long a post is remembered; a signed one is refused for its age long before."""
MOST: Final = 100_000


@dataclass
class Posts:
    """Those that one process heard lately."""

    _seen: OrderedDict[str, float] = field(default_factory=OrderedDict[str, float], init=False)

    def new(self, post_id: str, at: float) -> bool:
        """Whether it was not heard before; from now on it was."""
        while self._seen and (len(self._seen) > MOST or next(iter(self._seen.values())) < at - KEPT_S):
            self._seen.popitem(last=False)
        if post_id in self._seen:
            return False
        self._seen[post_id] = at
        return True
