"""What the SDK answers to every client's first questions, written down for the time before it is imported.

A line for each method, with its result as it goes over the wire: in `legacy.txt` what every version with a handshake is
told, in a file for each version what only that one is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from importlib.metadata import version as installed
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

import anyio

from mcp_server.server.handshake import shapes
from mcp_server.server.handshake.front import ANSWERS
from mcp_server.server.handshake.opening import (
    CALL,
    CHANGES,
    FACTS,
    LEGACY,
    LISTEN,
    LISTS,
    MODERN,
    SHARED,
    SUBSCRIPTION,
    UNLISTEN,
)
from mcp_server.server.server import build_server
from mcp_server.server.stdio import connect

_CALLED = {"name": "list_models", "arguments": {}}
_WHO = {"name": "release", "version": "1"}


def pages() -> dict[Path, bytes]:
    """Every file and what should stand in it."""
    series = ".".join(installed("mcp").split(".")[:2])
    rows = {version: _rows(version) for version in (*LEGACY, *MODERN)}
    shared = [row for row in rows[LEGACY[0]] if all(row in rows[version] for version in LEGACY)]
    own = {version: [row for row in found if row not in shared] for version, found in rows.items()}
    return {
        ANSWERS / f"mcp-{series}" / f"{name}.txt": b"".join(found) for name, found in {SHARED: shared, **own}.items()
    }


def there() -> list[Path]:
    """What the folder holds: all of it is made here."""
    return [path for path in ANSWERS.rglob("*") if path.is_file()]


def said(lines: Iterable[bytes], make: Callable[[], Any] | None = None) -> list[bytes]:
    """What the real server answers to these lines, each sent when the one before was answered, and says at the end."""
    client = _Client(lines)
    files = cast("BinaryIO", client), cast("BinaryIO", client)
    anyio.run(connect, build_server(make or _nothing), *files)
    return client.heard + client.farewell()


def _rows(version: str) -> list[bytes]:
    if version in MODERN:
        params: dict[str, Any] = {
            "_meta": {shapes.PROTOCOL: version, shapes.CLIENT: _WHO, shapes.CAPABILITIES: {}},
        }
        asked = [(method, params) for method in ("server/discover", *LISTS)]
        asked.append((CALL, {**params, **_CALLED}))
        asked.append((LISTEN, {**params, "notifications": CHANGES}))
    else:
        greeting = {"protocolVersion": version, "capabilities": {}, "clientInfo": _WHO}
        asked = [("initialize", greeting), *((method, {}) for method in ("ping", *LISTS))]
        asked.append((CALL, _CALLED))
    requests = [
        json.dumps({"jsonrpc": "2.0", "id": _id(number, method), "method": method, "params": sent}).encode()
        for number, (method, sent) in enumerate(asked)
    ]
    answers = said(requests, _Facts)
    rows = [
        (method, answer.strip() if method == LISTEN else _result(answer, number))
        for number, ((method, _), answer) in enumerate(zip(asked, answers, strict=False))
    ]
    rows += [(UNLISTEN, answer.strip()) for answer in answers[len(asked) :]]
    return [method.encode() + b" " + answer + b"\n" for method, answer in rows]


def _id(number: int, method: str) -> int | str:
    return SUBSCRIPTION if method == LISTEN else number


def _result(answer: bytes, number: int) -> bytes:
    """The result exactly as it was written."""
    head = f'{{"jsonrpc":"2.0","id":{number},"result":'.encode()
    if not answer.startswith(head) or not answer.endswith(b"}\n"):
        raise ValueError(f"no result: {answer[:200]!r}")
    return answer[len(head) : -2]


def _nothing() -> Any:
    raise AssertionError("a list must not need the service")


class _Facts:
    """In the place of the service: says of every model what stands in a file where facts belong."""

    def load_catalog(self) -> None:
        """Nothing: nobody looks for a model."""

    def models(self, **_filters: object) -> _Facts:
        return self

    def facts(self) -> dict[str, Any]:
        return FACTS

    async def close(self) -> None:
        """Nothing was opened."""


class _Client:
    """Both ends of a client's pipe: it asks, waits for the answer, and leaves."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = iter(lines)
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        self._waits = False
        self.heard: list[bytes] = []

    def read(self, _size: int) -> bytes:
        if self._waits:
            self.heard.append(self._answers.get(timeout=30))
        line = next(self._lines, b"")
        self._waits = b'"id"' in line
        return line and line + b"\n"

    def farewell(self) -> list[bytes]:
        """What came when it had left."""
        return [self._answers.get() for _ in range(self._answers.qsize())]

    def write(self, data: bytes) -> int:
        self._answers.put(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing: each line was taken when it was written."""
