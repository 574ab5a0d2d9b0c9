"""Flags: one parser for every command, that refuses in our words and exits as documented."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mcp_server import places
from mcp_server.cli import COMMANDS
from mcp_server.domain.vocabulary import UNSOLD
from mcp_server.errors import ArgumentError, RequestError

if TYPE_CHECKING:
    from mcp_server.domain.arguments import VideoArguments

_SHOT = re.compile(r"^\s*(\d+)(?:\s*s)?\s*:\s*(.+)$", re.DOTALL)


class Parser(argparse.ArgumentParser):
    """As argparse, but a wrong flag is an error of ours, and names the nearest right one."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        known = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
        wrong = re.search(r"--([\w-]+)", message) if "unrecognized" in message else None
        why = UNSOLD.get(wrong[1], "") if wrong else ""
        near = get_close_matches(wrong[0], known, n=1) if wrong and not why else []
        next_step = f"Did you mean {near[0]}?" if near else f"`{self.prog} --help` lists what there is"
        raise ArgumentError(f"{self.prog}: {message}", why=why, next_step=next_step)


def command(name: str, more: str = "", *, epilog: str = "", as_json: bool = True) -> Parser:
    """The parser of one command: what the list of commands says of it, then what only its own help says."""
    what = COMMANDS[name].what
    parser = Parser(
        prog=f"kling-video {name}",
        description=f"{what[0].upper()}{what[1:]}.\n{more}".rstrip(),
        epilog=epilog or None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if as_json:
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    return parser


def add_video_flags(parser: Parser, *, without: str = "") -> None:
    """Words, and a flag for every argument of `generate_video`, as its published schema describes it."""
    add = parser.add_argument
    add("words", nargs="*", metavar="WORDS", help='the order in your words: "kling 4k, vertical, 10s: a neon city"')
    add("--input", metavar="FILE", help="the arguments as a JSON object; - reads standard input; flags go first")
    for name, schema in published_arguments().items():
        if name == without:
            continue
        spelled = _flag(name, schema)
        add(f"--{spelled.pop('flag', name).replace('_', '-')}", dest=name, default=None, **spelled)


def published_arguments() -> dict[str, Any]:
    """The arguments of generate_video but for its words, as their published schema has them."""
    path = places.schemas() / "tools" / "generate_video.input.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))["properties"]
    del found["request"]
    return found


def _flag(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """How argparse takes an argument of this type; a list is a flag in the singular that may be repeated."""
    said = str(schema.get("description", "")).strip().rstrip(".")
    made: dict[str, Any] = {"help": said[:1].lower() + said[1:] or None}
    match schema["type"]:
        case "array" | "object":
            made |= {"flag": name.removesuffix("s"), "action": "append"}
        case "boolean":
            made["action"] = argparse.BooleanOptionalAction
        case "number":
            made |= {"type": float, "metavar": "NUMBER"}
        case _ if "enum" in schema:
            made |= {"choices": tuple(schema["enum"]), "type": lower}
        case _:
            made["metavar"] = "TEXT"
    return made | _AT_A_TERMINAL.get(name, {})


def add_buying_flags(parser: Parser) -> None:
    """How to buy: what is asked and what is waited for."""
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask about the price")
    parser.add_argument("--no-wait", action="store_true", help="return as soon as the vendor has accepted")
    parser.add_argument("--notify", action="store_true", help="show a notice on the desktop when it has ended")


def said(given: argparse.Namespace) -> dict[str, Any]:
    """The flags that were given, as the arguments they stand for."""
    from mcp_server.domain.arguments import VideoArguments

    names = [name for name in VideoArguments.model_fields if name != "request"]
    found = {name: value for name in names if (value := getattr(given, name)) is not None}
    if "shots" in found:
        found["shots"] = [_shot(text) for text in found["shots"]]
    if "options" in found:
        found["options"] = _options(found["options"])
    return found


def video_arguments(given: argparse.Namespace) -> VideoArguments:
    """Words, flags and `--input` as checked arguments; flags go before the file."""
    from mcp_server.domain.arguments import VideoArguments
    from mcp_server.domain.parsing import read

    found = {**_file(given.input), **said(given)}
    if given.words:
        found["request"] = " ".join(given.words)
    if not found:
        raise ArgumentError(
            "There is nothing to make a clip of", next_step='Say it: kling-video generate "kling 5s: a neon city"'
        )
    return read(VideoArguments, found)


def _file(name: str | None) -> Mapping[str, Any]:
    if name is None:
        return {}
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        found: object = json.loads(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"it is no JSON: {error}"
        raise RequestError(f"--input {name} cannot be read", why=str(reason)) from error
    if not isinstance(found, dict):
        raise RequestError(f"--input {name} holds no JSON object", next_step='Give {"prompt": "…", …}')
    return found  # type: ignore[reportUnknownVariableType] - `read` checks every name and value


def _seconds(text: str) -> int:
    return int(text.strip().lower().removesuffix("s"))


_seconds.__name__ = "number of seconds"


def lower(text: str) -> str:
    """One of our own words, however its letters are written."""
    return text.strip().lower()


_MEDIUM: Final = {"metavar": "URL|FILE|TASK"}
_AT_A_TERMINAL: Final[Mapping[str, dict[str, Any]]] = {
    "prompt": {"help": "only the scene"},
    "provider": {"type": lower, "metavar": "TEXT"},
    "duration": {"type": _seconds, "metavar": "SECONDS"},
    "aspect_ratio": {"metavar": "W:H"},
    "image": _MEDIUM,
    "end_image": _MEDIUM,
    "video": _MEDIUM,
    "audio_file": {"metavar": "URL|FILE"},
    "references": {**_MEDIUM, "help": "whom or what to keep; repeatable"},
    "source_task": {"metavar": "TASK"},
    "again": {"metavar": "TASK"},
    "count": {"type": int, "metavar": "N"},
    "shots": {"metavar": "[SECONDS:]TEXT", "help": "one scene of several; repeatable"},
    "options": {"metavar": "NAME=VALUE", "help": "a vendor's own field (value as JSON)"},
    "max_cost_usd": {"metavar": "USD"},
    "accept_unknown_price": {"action": "store_true"},
    "output_dir": {"metavar": "FOLDER"},
}
"""What a person types otherwise than a program sends it; everything else follows from the schema."""


def counted(text: str) -> int:
    """How many of something: 1 at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def megabytes(text: str) -> float:
    """A size in MB above 0, with or without its unit."""
    size = float(text.strip().lower().removesuffix("mb"))
    if not 0 < size < float("inf"):
        raise ValueError
    return size


megabytes.__name__ = "size in MB"


def port(text: str) -> int:
    """A port; 0 is any that is free."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError
    return number


def _shot(text: str) -> dict[str, Any]:
    timed = _SHOT.match(text)
    return {"prompt": timed.group(2), "duration": int(timed.group(1))} if timed else {"prompt": text}


def _options(pairs: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        path, sign, text = pair.partition("=")
        if not sign or not path:
            raise ArgumentError(f"--option {pair!r} is not NAME=VALUE")
        *outer, name = path.split(".")
        place = found
        for step in outer:
            place = place.setdefault(step, {})
        place[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
