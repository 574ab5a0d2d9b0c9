"""Every pattern of the package is fed growing bait: its time grows with the text, and no faster."""

from __future__ import annotations

import ast
import importlib
import re
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from re import _parser as parser  # type: ignore[attr-defined] - what a pattern is made of, nobody else tells
from typing import Any

import pytest

import mcp_server
from mcp_server import catalog

ROOT = Path(mcp_server.__file__).parent
LENGTHS = (8, 14, 18, 22, 26, 200, 600, 10_000)
LINEAR = re.compile(".")
LIMIT = 10
"""Times what LINEAR takes for the longest bait, in this thread's own time on the same machine: the slowest linear pattern
here needs 4, a quadratic one 20 and more; one that doubles with each character is caught while it is short."""
CALLS = {"compile", "match", "search", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
MARKERS = sorted({re.escape(offer.reference_marker.split("{n}")[0]) for offer in catalog.load().offers} - {""})
LOCALS = {
    # What functions put into their patterns: a vendor's name for a picture, the manifests' endings, an id.
    "before": MARKERS[0],
    "after": MARKERS[0],
    "elided": "d|l|qu",
    "ending": "s|m|re",
    "request_id": "r-1",
    "wanted": "r-1",
}
SAMPLES = {
    "CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "7", "CATEGORY_WORD": "a",
    "CATEGORY_NOT_SPACE": "a", "CATEGORY_NOT_DIGIT": "a", "CATEGORY_NOT_WORD": "-",
}  # fmt: skip


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Where it is written, and the pattern: compiled ones and those that are written where they are used."""
    for path in sorted(ROOT.rglob("*.py")):
        # Every worker collects this: a file that names none of them need not be parsed.
        if not re.search(r"\bre\s*\.", text := path.read_text(encoding="utf-8")):
            continue
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "re"
                and node.func.attr in CALLS
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", _compiled(path, node)


def _compiled(path: Path, call: ast.Call) -> re.Pattern[str]:
    module = importlib.import_module(".".join(("mcp_server", *path.relative_to(ROOT).with_suffix("").parts)))
    flags = call.args[1:2] if call.func.attr == "compile" else []  # type: ignore[attr-defined]

    def value(node: ast.expr) -> Any:
        return eval(compile(ast.Expression(node), str(path), "eval"), {**vars(module), "re": re}, LOCALS)

    return re.compile(value(call.args[0]), value(flags[0]) if flags else 0)


PATTERNS = dict(patterns())
"""A pattern that cannot be evaluated here ends the collection: it needs its line in LOCALS."""


def baits(pattern: re.Pattern[str]) -> set[tuple[str, str]]:
    """What comes before, and what is repeated: each loop of the pattern alone, from its beginning, and with its beginning."""
    found: set[tuple[str, str]] = {("", letter) for letter in " a7-.\"'{`/"}
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE & ~re.DEBUG)

    def least(nodes: Any, before: str) -> str:
        """The shortest text that these would match, with the bait of every loop on the way."""
        text = ""
        for kind, what in nodes:
            text += one(str(kind), what, before + text)
        return text

    def one(kind: str, what: Any, before: str) -> str:
        match kind:
            case "LITERAL":
                return chr(what)
            case "NOT_LITERAL" | "ANY":
                return "a" if what != ord("a") else "b"
            case "IN":
                return _member(what)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, inner = what
                unit = least(inner, before) or " "
                if high > 10:
                    found.update({(before, unit), ("", before + unit), (before, " "), (before + unit, before + unit)})
                return unit * max(low, 0)
            case "SUBPATTERN":
                return least(what[-1], before)
            case "BRANCH":
                return [least(branch, before) for branch in what[1]][0]
            case _:
                return ""

    whole = least(tree, "")
    return found | {("", whole or " "), (whole, whole or " ")}


def _member(what: Any) -> str:
    outside = str(what[0][0]) == "NEGATE"
    taken: list[str] = []
    for kind, value in what:
        match str(kind):
            case "LITERAL":
                taken.append(chr(value))
            case "RANGE":
                taken.append(chr(value[0]))
            case "CATEGORY":
                taken.append(SAMPLES[str(value)])
    if not outside:
        return taken[0]
    return next((letter for letter in "a 7-é" if letter not in taken), "b")


def slowest(pattern: re.Pattern[str]) -> tuple[float, str]:
    """The longest that any bait takes, as a multiple of the linear pattern's time, and which."""
    worst = (0.0, "")
    for before, unit in baits(pattern):
        for length in LENGTHS:
            text = before + unit * (length // len(unit)) + "\x01"
            took = min(_taken(pattern, text) for _ in range(2)) if length > 600 else _taken(pattern, text)
            worst = max(worst, (took / linear(), f"{before!r} + {unit!r} × {length // len(unit)}"))
            if worst[0] > LIMIT:
                return worst
    return worst


@cache
def linear() -> float:
    return min(_taken(LINEAR, "a" * LENGTHS[-1]) for _ in range(20))


def _taken(pattern: re.Pattern[str], text: str) -> float:
    start = time.thread_time()
    for _ in pattern.finditer(text):
        pass
    pattern.match(text)
    return time.thread_time() - start


@pytest.mark.parametrize("where", PATTERNS)
def test_a_pattern_takes_time_with_the_text_alone(where: str) -> None:
    multiple, bait = slowest(PATTERNS[where])
    assert multiple < LIMIT, f"{where} takes {multiple:.1f} times a linear search for {bait}: {PATTERNS[where].pattern}"


def test_this_finds_a_pattern_that_hangs() -> None:
    for slow in (r"^```\w*\s*(.*?)\s*```$", r"\s+$", r"(a+)+$", r"(?:x|y)*z", r"<[^>]*>\s*,"):
        assert slowest(re.compile(slow, re.DOTALL))[0] > LIMIT, slow
