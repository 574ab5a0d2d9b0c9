"""One line of a client's as the SDK can take it, or the error its sender gets instead.

The SDK drops a line it cannot read without a word (seen with 2.3.0), and whoever sent it waits for ever.
"""

from __future__ import annotations

import json
import re
from collections import deque
from typing import Any, Final

from mcp_types import INVALID_REQUEST, PARSE_ERROR, JSONRPCMessage, JSONRPCNotification, jsonrpc_message_adapter

from mcp_server.domain.damaged_text import may_hold_halves, mended

LONGEST: Final = 32 * 1024 * 1024
"""A line may carry pictures as data: addresses, as an HTTP request may."""
_END: Final = 1024
"""So much of a line that is not kept whole is kept of its end: some clients write the id there."""
_ID: Final = r'"id"\s*:\s*(\d{1,18}(?![\d.eE])|"[^"\\]{1,100}")'
_FIRST: Final = re.compile(rf'\A\s*\{{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?{_ID}')
_LAST: Final = re.compile(rf"{_ID}\s*\}}\s*\Z")


class UnreadableLineError(Exception):
    """A line that is no message, with what its sender is told."""

    def __init__(self, code: int, why: str, line: str) -> None:
        super().__init__(why)
        self.answer = json.dumps(
            {"jsonrpc": "2.0", "id": _id_of(line), "error": {"code": code, "message": f"The line was not read: {why}"}}
        )


class LineBuffer:
    """Lines out of pieces as they come. Of one that is too long, only its beginning and its end are kept."""

    def __init__(self) -> None:
        self.ended = False
        """Nothing more comes."""
        self._whole: deque[bytes | UnreadableLineError] = deque()
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> None:
        """The next piece; empty at the end."""
        first, *others = data.split(b"\n")
        self._take(first)
        for piece in others:
            self._finish()
            self._take(piece)
        if not data:
            self.ended = True
            if self._size:
                self._finish()

    def next(self) -> bytes | None:
        """The next whole line; None while there is none; UnreadableLineError in the place of one that is too long."""
        if not self._whole:
            return None
        line = self._whole.popleft()
        if isinstance(line, UnreadableLineError):
            raise line
        return line

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        self._parts.append(piece)
        if self._size >= LONGEST:
            seen = b"".join(self._parts)
            self._parts = [seen[:_END], seen[max(_END, len(seen) - _END) :]]

    def _finish(self) -> None:
        line, size = b"".join(self._parts), self._size
        self._parts, self._size = [], 0
        self._whole.append(line if size < LONGEST else _too_long(line))


def _too_long(seen: bytes) -> UnreadableLineError:
    why = f"it is longer than {LONGEST} bytes; give files by path"
    return UnreadableLineError(INVALID_REQUEST, why, seen.decode("utf-8", "replace"))


def message_of(line: str) -> JSONRPCMessage:
    """The message in it, with U+FFFD for halves of characters; UnreadableLineError when it is none all the same."""
    line = _whole(line)
    try:
        message = jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError:
        raise _unreadable(line) from None
    # With an id of another kind it would pass for a notification, which nobody answers.
    if isinstance(message, JSONRPCNotification) and '"id"' in line and "id" in json.loads(line):
        raise UnreadableLineError(INVALID_REQUEST, "its id is neither a text nor a whole number", line)
    return message


def _whole(line: str) -> str:
    if not may_hold_halves(line):
        return line
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return line
    whole = mended(found)
    return line if whole == found else json.dumps(whole)


def _unreadable(line: str) -> UnreadableLineError:
    try:
        found: Any = json.loads(line)
    except RecursionError:
        return UnreadableLineError(PARSE_ERROR, "it is nested too deep", line)
    except ValueError as error:
        digits = "Exceeds the limit" in str(error)
        return UnreadableLineError(PARSE_ERROR, "a number in it is too long" if digits else "it is not JSON", line)
    if isinstance(found, dict) and "method" in found:
        return UnreadableLineError(INVALID_REQUEST, "it is no JSON-RPC 2.0 message, or nested too deep", line)
    return UnreadableLineError(INVALID_REQUEST, "it is no JSON-RPC 2.0 message", line)


def _id_of(line: str) -> Any:
    """The id its sender waits for, where it stands at the beginning or the end of the line."""
    found = _FIRST.match(line) or _LAST.search(line[-_END:])
    return json.loads(found[1]) if found else None
