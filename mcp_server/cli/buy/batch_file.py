"""A file of orders, read whole: each line an order under a key of its own, or a refusal that names the line."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mcp_server.cli.parser import published_arguments
from mcp_server.domain.arguments import VideoArguments
from mcp_server.domain.parsing import read
from mcp_server.errors import KlingError, RequestError

LINES_MAX: Final = 1000
TOLD: Final = 20
"""So many refused lines are told; who has more has one mistake many times."""


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One order of the file."""

    number: int
    """As an editor counts."""
    arguments: VideoArguments


def lines_of(path: Path) -> list[BatchLine]:
    """Every order, or one refusal for all lines that are none: a JSON object or a text a line, or CSV under headings.

    The key of an order without one is made from the file's place and the line's words: the same line of the same file
    is the same order, wherever it has moved to; the second of two lines that are alike is another order.
    """
    text = _text(path)
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _json_rows(text)
    found: list[BatchLine] = []
    refused: list[tuple[int, KlingError]] = []
    alike: Counter[str] = Counter()
    for number, said in rows:
        try:
            given = _given(said)
            words = json.dumps(given, sort_keys=True, ensure_ascii=False)
            alike[words] += 1
            found.append(BatchLine(number, read(VideoArguments, _keyed(given, path, words, alike[words]))))
        except KlingError as error:
            refused.append((number, error))
    if refused:
        raise refusal(refused)
    if not found:
        raise RequestError(
            f"{path} holds no orders", next_step='Write one a line: {"request": "kling 5s: a neon city"}'
        )
    if len(found) > LINES_MAX:
        raise RequestError(f"{path} holds {len(found)} orders", next_step=f"Give at most {LINES_MAX} at a time")
    return found


def refusal(refused: list[tuple[int, KlingError]]) -> RequestError:
    """One refusal for every line that cannot be bought; nothing was."""
    told = [f"line {number}: {error.story}" for number, error in refused[:TOLD]]
    if len(refused) > TOLD:
        told.append(f"and {len(refused) - TOLD} lines more")
    count = f"{len(refused)} lines" if len(refused) > 1 else "One line"
    return RequestError(
        f"{count} cannot be bought, so nothing was",
        why=" ".join(told),
        next_step="Correct the file and call again",
        problems=tuple(told),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RequestError(f"{path} cannot be read", why=str(why)) from error


_LINE: Final = '{"request": "kling 4k: a cat"}'


def _json_rows(text: str) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except ValueError as error:
                yield number, RequestError(f"It is no JSON such as {_LINE}", why=str(error))


def _csv_rows(text: str) -> Iterator[tuple[int, Any]]:
    """A row as the arguments its headings name; an empty cell says nothing."""
    reader = csv.DictReader(io.StringIO(text), restkey="")
    kinds = {name: schema["type"] for name, schema in published_arguments().items()}
    for row in reader:
        said = {name.strip(): cell.strip() for name, cell in row.items() if isinstance(cell, str) and cell.strip()}
        if row.get(""):
            yield reader.line_num, RequestError("It has more cells than there are headings")
        elif said:
            yield reader.line_num, {name: _cell(cell, kinds.get(name, "string")) for name, cell in said.items()}


def _cell(cell: str, kind: str) -> Any:
    if kind == "string":
        return cell
    try:
        return json.loads(cell.lower() if kind == "boolean" else cell)
    except ValueError:
        return [cell] if kind == "array" else cell


def _given(said: Any) -> dict[str, Any]:
    if isinstance(said, KlingError):
        raise said
    if isinstance(said, str):
        return {"request": said}
    if not isinstance(said, dict):
        raise RequestError("It is neither an order nor its words", next_step='Write {"request": "…", …} or "…"')
    return said  # type: ignore[reportUnknownVariableType] - `read` checks every name and value


def _keyed(given: Mapping[str, Any], path: Path, words: str, nth: int) -> dict[str, Any]:
    digest = hashlib.sha256("\n".join((str(path.resolve()), words, str(nth))).encode()).hexdigest()
    return {"idempotency_key": f"batch-{digest[:40]}", **given}
