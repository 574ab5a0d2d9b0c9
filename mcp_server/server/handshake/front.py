"""Serves a client until it says something that only the SDK can answer; most conversations never do.

Importing the SDK takes twenty times as long as the first answer, and twice as long as a first price. So it is imported
when it is needed, or as soon as the client is quiet where it will be: where there is a record and perhaps a purchase to
look after, or after a first price. Then nobody waits for it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from mcp_server.server.handshake.opening import LINE_MAX, Opening
from mcp_server.server.wire import Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Facts = Callable[[str, Mapping[str, Any]], dict[str, Any] | None]

ANSWERS = Path(__file__).with_name("answers")
"""A folder for the series of the SDK that gave them, in it a file for each version of the protocol."""
_CHUNK = 64 * 1024
QUIET_S = 0.3
"""A client that is still introducing itself is faster than this."""
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK") if hasattr(signal, name))
"""What ends this process with grace; SIGBREAK is Ctrl-Break and a closed console on Windows."""


class Handover(NamedTuple):
    """A connection as the SDK takes it over."""

    wire: Wire
    heard: bytes = b""
    """What the SDK has to hear first: the handshake, then what is not answered yet."""
    answered: tuple[bytes, ...] = ()
    """How each of its answers to the handshake begins, which the client has had."""


def open_connection(wire: Wire, look_after: Callable[[], bool], facts: Facts) -> Handover | None:
    """Answer until the SDK is needed, or `look_after` says that it will be; None when the client has gone before.

    `facts` are what a tool says that needs no SDK to say it; None where it does.
    """
    for ending in ENDING:
        signal.signal(ending, _leave)
    series = installed_sdk(sys.path)
    if not series:
        return Handover(wire)
    opening = Opening(ANSWERS / f"mcp-{series}")
    try:
        rest = _answer(opening, wire, look_after, facts)
    except OSError:
        # Nobody reads any more; Windows has other names for a broken pipe.
        return None
    if rest is None:
        return None
    heard = b"".join(line + b"\n" for line in opening.handshake)
    return Handover(wire, heard + rest, tuple(opening.answered))


def installed_sdk(folders: Iterable[str]) -> str:
    """The series of the SDK that an import would find, `2.3`; another one may say other things."""
    for folder in folders:
        try:
            names = os.listdir(folder or ".")  # noqa: PTH208 - asking the packages' metadata takes longer than the answer
        except OSError:
            continue
        for name in names:
            if name.startswith("mcp-") and name.endswith(".dist-info"):
                return ".".join(name[4:].split(".")[:2])
    return ""


def _answer(opening: Opening, wire: Wire, look_after: Callable[[], bool], facts: Facts) -> bytes | None:
    """What was read and not answered; None when the client has gone."""
    buffer, looked, called = b"", False, False
    while True:
        line, end, rest = buffer.partition(b"\n")
        if not end:
            if len(buffer) > LINE_MAX:
                return buffer
            if opening.version and not looked and not _speaks(wire):
                looked = True
                # Who has asked for a price is likely to order: the SDK is there by then.
                if called or look_after():
                    return buffer
            more = os.read(wire.source, _CHUNK)
            if more:
                buffer += more
                continue
            if not buffer.strip():
                wire.write(opening.farewell())
                return None
        if line.strip():
            reply = opening.answer(line)
            if reply is None and (call := opening.call(line)) is not None:
                said = facts(call.tool, call.arguments)
                reply = None if said is None else call.answer(said)
                looked, called = False, True
            if reply is None:
                return buffer
            wire.write(reply)
        buffer = rest


def _speaks(wire: Wire) -> bool:
    try:
        return bool(select.select([wire.source], [], [], QUIET_S)[0])
    except OSError:
        # Where pipes cannot be waited for (Windows) nothing is known of the client; being quiet is likelier.
        return False


def _leave(*_signal: object) -> NoReturn:
    """Nothing was opened yet; an ordinary exit would run what a half-imported module has registered."""
    os._exit(0)
