"""Where answers and progress appear: standard output carries the answer alone, standard error everything else.

On a terminal, rich draws; piped, it is plain text in columns. NO_COLOR and TERM=dumb are rich's to honour.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_server.cli.formatting import shown

if TYPE_CHECKING:
    from rich.console import Console

Row = Sequence[str]
_GAP_LINE = "\n"
_GAP = 3
"""Between two columns, as rich draws them."""
_PROSE = 20
"""Narrower than this nobody reads a sentence."""


@dataclass(frozen=True, slots=True)
class Screen:
    """One command's way to speak."""

    as_json: bool = False

    @property
    def terminal(self) -> bool:
        """Whether a person looks at the answer."""
        return sys.stdout.isatty()

    @property
    def watched(self) -> bool:
        """Whether a person looks at the progress."""
        return sys.stderr.isatty()

    @property
    def can_ask(self) -> bool:
        """Whether somebody is there to answer a question."""
        return sys.stdin.isatty() and sys.stderr.isatty()

    def facts(self, found: Mapping[str, Any]) -> None:
        """The answer as one JSON object."""
        # Where standard output speaks a code page, JSON has its own way to write what that has no letter for.
        spoken = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        print("".join(map(_in_json, json.dumps(found, ensure_ascii=not spoken))))

    def line(self, text: str, style: str = "", *, gap: bool = False) -> None:
        """A line of the answer; with a gap before it where a part begins."""
        text = f"{_GAP_LINE * gap}{shown(text)}"
        if self.terminal and style:
            console().print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text)

    def note(self, text: str, style: str = "", *, gap: bool = False) -> None:
        """A line beside the answer; with a gap where the terminal has just shown a Ctrl-C."""
        text = f"{_GAP_LINE * gap}{shown(text)}"
        if self.watched and style:
            console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Row],
        *,
        right: Sequence[int] = (),
        dim: int = -1,
        prose: Sequence[int] = (),
    ) -> None:
        """Rows under headings, no cell of which loses a character: on a terminal only prose is broken, at its blanks,
        and where that is too narrow, each row stands by itself.
        """
        rows = [[shown(cell) for cell in row] for row in rows]
        if not self.terminal:
            _plain(columns, rows, right)
            return
        widths = [
            _least([row[index] for row in (columns, *rows)], prose=index in prose) for index in range(len(columns))
        ]
        if sum(widths) + _GAP * len(widths) > console().width:
            self._records(columns, rows)
            return
        from rich.box import SIMPLE_HEAD
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", expand=False)
        for index, column in enumerate(columns):
            justify = "right" if index in right else "left"
            style = "dim" if index == dim else None
            table.add_column(
                column,
                justify=justify,
                style=style,
                no_wrap=index not in prose,
                overflow="fold",
                min_width=widths[index],
            )
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        console().print(table)

    def _records(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Each row by itself, so that ids stay whole for whoever copies them."""
        width = max(map(len, columns))
        for row in rows:
            cells = [(name, cell) for name, cell in zip(columns, row, strict=True) if cell.strip()]
            # A column without a name says something of the whole row.
            named = next(index for index, (name, _) in enumerate(cells) if name)
            self.line(" ".join(cell for _, cell in cells[: named + 1]), "bold")
            for name, cell in cells[named + 1 :]:
                self.line(f"  {name.ljust(width)}  {cell}")

    def pairs(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what they are, one a line."""
        width = max((len(name) for name, _ in rows), default=0)
        for name, value in rows:
            first, *rest = value.splitlines() or [""]
            self.line(f"{name.ljust(width)}  {first}")
            for line in rest:
                self.line(f"{' ' * width}  {line}")

    def ask(self, question: str) -> bool:
        """A yes or no from the person; Ctrl-C is KeyboardInterrupt, an end of input a no."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print(f"{shown(question)} [y/N] ", end="", file=sys.stderr, flush=True)
            return sys.stdin.readline().strip().lower() in {"y", "yes"}
        finally:
            signal.signal(signal.SIGINT, before)


def _in_json(sign: str) -> str:
    """A sign inside JSON; what steers a terminal is written as JSON writes it."""
    return sign if sign.isprintable() else json.dumps(sign)[1:-1]


def _least(cells: Sequence[str], *, prose: bool) -> int:
    """How wide a column is at least: as its longest cell; prose as its longest word, and a few words wide."""
    if not prose:
        return max(map(_width, cells))
    longest = max((_width(word) for cell in cells for word in cell.split()), default=0)
    return max(longest, min(_PROSE, max(map(_width, cells))))


def _width(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)


def console(*, stderr: bool = False) -> Console:
    """Rich, imported at the first line it draws."""
    from rich.console import Console

    return Console(stderr=stderr)


def _plain(columns: Sequence[str], rows: Sequence[Row], right: Sequence[int]) -> None:
    table = [columns, *rows]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    for row in table:
        cells = [
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())
