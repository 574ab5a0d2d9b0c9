"""Notes of a task that are worth knowing whatever happens next."""

from __future__ import annotations

from collections.abc import Sequence

from mcp_server.domain.task import Task

_NAMED = 8
_LASTING = ("The vendor made", "The vendor took", "The vendor says that it cost")


def more(others: Sequence[str]) -> str:
    """What else the vendor made, as far as anybody wants to read it."""
    if not others:
        return ""
    return f"The vendor made {len(others)} more: {', '.join(others[:_NAMED])}{', …' if others[_NAMED:] else ''}"


def lasting(task: Task) -> str:
    """The note, where it stays; else nothing."""
    return task.note if task.note.startswith(_LASTING) else ""
