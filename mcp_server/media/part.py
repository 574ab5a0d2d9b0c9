"""A file that appears whole or not at all."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from mcp_server.errors import LocalError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""What a disk says that takes no more; nobody hears it who only reads."""
_drafts: set[Path] = set()
"""What this process is writing."""


@contextmanager
def whole(target: Path) -> Generator[Path]:
    """A hidden file beside `target` that gets its name, synced, when the block ends well, and is gone when it does not.

    What a killed process left of the same target goes first; one that is still written stays.
    """
    sweep(target)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=_prefix(target), suffix=".part")
    draft = Path(name)
    _drafts.add(draft)
    try:
        _locked(handle)
        yield draft
        os.fsync(handle)
        draft.chmod(0o644)
        os.close(handle)
        handle = -1
        draft.replace(target)
        _sync_folder(target.parent)
    finally:
        if handle != -1:
            os.close(handle)
        draft.unlink(missing_ok=True)
        _drafts.discard(draft)


def abandon() -> None:
    """Take away what this process is writing; for whoever ends it without ending its blocks."""
    for draft in tuple(_drafts):
        draft.unlink(missing_ok=True)


@contextmanager
def room_for(target: Path, what: str) -> Generator[None]:
    """The folder, made where it is missing; a disk that says no is a LocalError in our words."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        full = error.errno in FULL
        raise LocalError(
            f"{what} cannot be written to {target.parent}",
            why="there is no room left" if full else error.strerror or str(error),
            next_step="Make room there" if full else "Name another folder",
            details={"disk_full" if full else "unwritable": True},
        ) from error


def _prefix(target: Path) -> str:
    return f".{target.name[:80]}-"


def sweep(target: Path) -> None:
    """Take away what killed processes left of this target; what is still written stays."""
    if fcntl is None:
        return
    for left in target.parent.glob(f"{_prefix(target).translate({ord(sign): '?' for sign in '[]*?'})}*.part"):
        with suppress(OSError):
            handle = os.open(left, os.O_RDWR | os.O_NOFOLLOW)
            try:
                if _locked(handle):
                    left.unlink(missing_ok=True)
            finally:
                os.close(handle)


def _locked(handle: int) -> bool:
    """Whether the lock is ours now; it ends with the process, however that ends."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    # Windows opens no folders, and some network file systems sync none.
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
