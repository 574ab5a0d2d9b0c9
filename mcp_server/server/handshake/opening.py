"""The first messages of a connection and the SDK's own answers to them, taken from generated files.

Whatever is not certain gets no answer here: an unknown version, method or field, an odd id, a second handshake.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from mcp_server.server.handshake import shapes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

LINE_MAX: Final = 64 * 1024
"""No client introduces itself at greater length."""
_BRACKETS_MAX: Final = 200
"""Far from where the SDK's parser gives up on what is nested."""
LEGACY: Final = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
MODERN: Final = ("2026-07-28",)
SHARED: Final = "legacy"
"""The file of what all of the former are told."""
LISTS: Final = ("tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""They depend on nothing but the version of this server."""
LISTEN: Final = "subscriptions/listen"
UNLISTEN: Final = "(end)"
CHANGES: Final = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": True}
"""What every client of 2026-07-28 asks to be told. No list ever changes: listening needs nobody who would tell."""
CALL: Final = "tools/call"
CATALOG_TOOLS: Final = ("estimate_cost", "list_models")
"""Tools that spend nothing and keep nothing: what they say is ours, and the rest of the answer is always the same."""
FACTS: Final = {"facts": "facts"}
"""Stand in a file where a tool's facts belong, as text and as structure."""
SUBSCRIPTION: Final = "subscription"
"""Stands in a file where the id of the request belongs."""
_WITH_GAPS: Final = frozenset({LISTEN, UNLISTEN, CALL})
_INITIALIZED: Final = {"jsonrpc": "2.0", "method": "notifications/initialized"}


class Call(NamedTuple):
    """A tool to call whose answer is known but for its facts."""

    tool: str
    arguments: dict[str, Any]
    head: bytes
    result: bytes

    def answer(self, facts: dict[str, Any]) -> bytes | None:
        """The SDK's answer around these facts; None where it may write one of them otherwise."""
        if not _plain(facts):
            return None
        before, _, rest = self.result.partition(compact(compact(FACTS)).encode())
        between, _, after = rest.partition(compact(FACTS).encode())
        text = compact(facts)
        return b"".join(
            [self.head, b'"result":', before, compact(text).encode(), between, text.encode(), after, b"}\n"]
        )


class Opening:
    """One connection, as far as it can be answered from files."""

    def __init__(self, answers: Path) -> None:
        self._answers = answers
        self._results: dict[str, bytes] = {}
        self.version = ""
        """Of the protocol, once the first answer has settled it."""
        self.handshake: list[bytes] = []
        """What the SDK has to hear as well, to be where the client is."""
        self.answered: list[bytes] = []
        """How each of the SDK's answers to it begins, which the client has had."""
        self._listening = b""
        """The id of the subscription, as it was written."""

    def answer(self, line: bytes) -> bytes | None:
        """The SDK's answer, nothing for a line that gets none, None for what the SDK has to read itself."""
        message = _message(line)
        if message is None:
            return None
        if not self.version:
            return self._first(message, line)
        if message in (_INITIALIZED, {**_INITIALIZED, "params": {}}):
            return self._initialized(line)
        if message["method"] == LISTEN:
            return self._listen(message, line)
        return self._reply(message) if self._is_known(message) else None

    def _first(self, message: dict[str, Any], line: bytes) -> bytes | None:
        """The answer to the request that decides which version this connection speaks."""
        version = _greeted(message)
        if not version:
            return None
        self._results = self._read(version)
        self.version = version
        reply = self._reply(message)
        if reply is None:
            self.version = ""
            return None
        self.handshake.append(line)
        self.answered.append(_head(message))
        return reply

    def _read(self, version: str) -> dict[str, bytes]:
        """Method → result; nothing where another series of the SDK is installed than gave the answers."""
        names = (version, SHARED) if version in LEGACY else (version,)
        try:
            rows = b"".join((self._answers / f"{name}.txt").read_bytes() for name in names).splitlines()
        except OSError:
            return {}
        return {method.decode(): result for method, _, result in (row.partition(b" ") for row in rows)}

    def _initialized(self, line: bytes) -> bytes | None:
        if self.version in MODERN:
            return None
        self.handshake.append(line)
        return b""

    def call(self, line: bytes) -> Call | None:
        """The call of a tool that says the same whoever asks; None for what the SDK has to read itself."""
        message = _message(line)
        result = self._results.get(CALL)
        if message is None or result is None or message["method"] != CALL or not shapes.is_id(message.get("id")):
            return None
        params = message.get("params")
        if not shapes.fields(params, _CALLED, needed=("name",)):
            return None
        given = cast("dict[str, Any]", params)
        meta = shapes.without_notes(given.get("_meta", {}))
        known = shapes.modern_meta(meta, self.version) if self.version in MODERN else shapes.legacy_meta(meta)
        return Call(given["name"], given.get("arguments", {}), _head(message), result) if known else None

    def farewell(self) -> bytes:
        """What the SDK says when the client leaves."""
        return self._of_subscription(UNLISTEN) if self._listening else b""

    def _listen(self, message: dict[str, Any], line: bytes) -> bytes | None:
        """The acknowledgement of the one subscription nearly every client has; while it lasts, nothing follows."""
        known = LISTEN in self._results and shapes.is_id(message.get("id"))
        if self._listening or not known or not _is_modern(message, notifications=CHANGES):
            return None
        self._listening = json.dumps(message["id"]).encode()
        reply = self._of_subscription(LISTEN)
        self.handshake.append(line)
        self.answered.append(reply)
        return reply

    def _of_subscription(self, what: str) -> bytes:
        return self._results[what].replace(json.dumps(SUBSCRIPTION).encode(), self._listening) + b"\n"

    def _is_known(self, message: dict[str, Any]) -> bool:
        if self.version in MODERN:
            return _is_modern(message)
        params = message.get("params", {})
        return message.get("method") != "initialize" and shapes.fields(params, {"_meta": shapes.legacy_meta})

    def _reply(self, message: dict[str, Any]) -> bytes | None:
        result = self._results.get(message["method"])
        if result is None or message["method"] in _WITH_GAPS or not shapes.is_id(message.get("id")):
            return None
        return _head(message) + b'"result":' + result + b"}\n"


def _head(message: dict[str, Any]) -> bytes:
    return f'{{"jsonrpc":"2.0","id":{json.dumps(message["id"])},'.encode()


def _greeted(message: dict[str, Any]) -> str:
    """The version a first request opens a connection of; empty where the SDK would have more to say."""
    if message.get("method") != "initialize":
        return MODERN[0] if _is_modern(message) else ""
    allowed: dict[str, shapes.Check] = {
        "protocolVersion": lambda value: value in LEGACY,
        "capabilities": shapes.capabilities,
        "clientInfo": shapes.client_info,
    }
    params = message.get("params")
    return params["protocolVersion"] if shapes.fields(params, allowed, needed=tuple(allowed)) else ""  # type: ignore[index] - checked to be an object


def _is_modern(message: dict[str, Any], **more: object) -> bool:
    """Whether its params are the envelope, and beside it just these."""
    params = message.get("params")
    if not isinstance(params, dict):
        return False
    rest: dict[str, Any] = {**params}
    return shapes.modern_meta(rest.pop("_meta", None), MODERN[0]) and _same(rest, more)


def _same(found: Any, wanted: dict[str, object]) -> bool:
    # In Python, 1 is True as well.
    return json.dumps(found, sort_keys=True) == json.dumps(wanted, sort_keys=True)


def _message(line: bytes) -> dict[str, Any] | None:
    """The JSON-RPC message in it; None unless every parser reads the same."""
    if len(line) > LINE_MAX or line.count(b"{") + line.count(b"[") > _BRACKETS_MAX or b"\\u" in line:
        return None
    try:
        found: Any = json.loads(line.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if shapes.fields(found, _MESSAGE, needed=("jsonrpc", "method")) else None


def _any(_found: object) -> bool:
    return True


_CALLED: Final[Mapping[str, shapes.Check]] = {
    "name": lambda value: value in CATALOG_TOOLS,
    "arguments": lambda value: isinstance(value, dict),
    "_meta": lambda value: isinstance(value, dict),
}

_MESSAGE: Final[Mapping[str, shapes.Check]] = {
    "jsonrpc": lambda value: value == "2.0",
    "method": shapes.text,
    "id": _any,
    "params": _any,
}


def compact(value: object) -> str:
    """JSON as the SDK writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _plain(found: object) -> bool:
    """Whether every program writes it alike: there is more than one way to write a number with a fraction."""
    if isinstance(found, dict):
        return all(map(_plain, cast("dict[str, object]", found).values()))
    if isinstance(found, list):
        return all(map(_plain, cast("list[object]", found)))
    return isinstance(found, (str, int, bool))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a name twice")
    return made


def _refuse(text: str) -> Any:
    raise ValueError(f"no JSON: {text}")
