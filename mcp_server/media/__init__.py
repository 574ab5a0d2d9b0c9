"""Looking into a delivered file: what it is, how it differs from its order, and pictures of it.

PyAV (the extra `media`) does the looking and is imported only when there is a file to look into.
Everything here is blocking and pure of the record: call it from a worker thread.
"""

from __future__ import annotations

from importlib.util import find_spec

WITHOUT = "Files are saved but not looked into: that needs the extra `media` (`pip install 'kling-video[media]'`)."
"""What is said, once, where the extra is missing."""


def available() -> bool:
    """Whether files can be looked into on this machine."""
    return find_spec("av") is not None
