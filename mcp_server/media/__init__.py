"""Looking into clips, and making films and smaller copies of them.

`media.isolated` is what other rooms call: `examined`, `sheet`, `last_frame`, `defects`, `join`, `fit`, each a coroutine
whose work is done in a process of its own. PyAV (the extra `media`) does it and is imported only there; all else here
is blocking and knows nothing of the record.
"""

from __future__ import annotations

from importlib.util import find_spec

WITHOUT = "Files are saved but not looked into: that needs the extra `media` (`pip install 'kling-video[media]'`)."
"""What is said, once, where the extra is missing."""


def available() -> bool:
    """Whether files can be looked into on this machine."""
    return find_spec("av") is not None
