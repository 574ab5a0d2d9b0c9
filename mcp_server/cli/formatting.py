"""Times, ends and signs as a terminal shows them; money and advice come from `answers/wording.py`."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mcp_server.answers.wording import UNKNOWN, clip, cost, moment, paid, reckoning, settled, short, size, typed
from mcp_server.errors import ArgumentError, BudgetError, LocalError, NotSignedInError, RequestError

if TYPE_CHECKING:
    from mcp_server.answers.shapes import OrderedAnswer

__all__ = [
    "INTERRUPTED",
    "UNKNOWN",
    "ago",
    "clip",
    "clock",
    "cost",
    "exit_code",
    "harmless_log",
    "moment",
    "paid",
    "reckoning",
    "settled",
    "short",
    "shown",
    "size",
    "typed",
]

INTERRUPTED = 130
"""What shells say of a program that Ctrl-C ended."""
_EXIT = {"succeeded": 0, "failed": 69, "cancelled": 69, "uncertain": 75}
_BREAKS = frozenset("\n\r\t\x0b\x0c\x1c\x1d\x1e\x1f\x85\u2028\u2029")
"""White space that begins a new line or jumps; any other may show as a blank."""
_JOINERS = frozenset("\u200c\u200d")
"""Persian and families of emoji are written with them."""
_FAULT_EXIT = {"auth": 77, "rate_limited": 75}
_ENDED_BY = (ArgumentError, RequestError, NotSignedInError, BudgetError, LocalError)
_CODE_EXIT = {"unreachable": 75, **{kind.code: kind.exit_code for kind in _ENDED_BY}}
"""Errors of ours that can end a task before its vendor has a say."""


def shown(text: str) -> str:
    """Text as one line that a terminal only shows: signs that steer it, and turn its direction, are written out."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign.isprintable() or sign in _JOINERS else _written(sign) for sign in text)


def _written(sign: str) -> str:
    """A sign that shows nothing by itself, as Python writes it: a backslash and a letter or a number."""
    return " " if sign.isspace() and sign not in _BREAKS else sign.encode("unicode_escape").decode("ascii")


def harmless_log() -> None:
    """From now on this process's log has one line a message, whatever a vendor put into it; tracebacks keep theirs."""
    make = logging.LogRecord

    def record(*given: Any, **more: Any) -> logging.LogRecord:
        made = make(*given, **more)
        text = made.getMessage()
        if not text.isprintable():
            made.msg, made.args = shown(text), None
        return made

    logging.setLogRecordFactory(record)


def ago(stamp: str | None) -> str:
    """A moment, in local time."""
    if stamp is None:
        return ""
    return moment(stamp).astimezone().strftime("%Y-%m-%d %H:%M")


def clock(seconds: float) -> str:
    """`1:05`: minutes and seconds."""
    whole = max(0, int(seconds))
    return f"{whole // 60}:{whole % 60:02}"


def exit_code(task: OrderedAnswer) -> int:
    """How a program ends that waited for this task."""
    error = (task.error or {}) if task.state == "failed" else {}
    by_error = _FAULT_EXIT.get(str(error.get("fault"))) or _CODE_EXIT.get(str(error.get("code")))
    return by_error or _EXIT.get(task.state, 75)
