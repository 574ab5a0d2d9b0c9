"""Words of prompts, found at once in a long record: an index of SQLite's own, brought up to date by whoever searches.

An order does not pay for it, and a version of this program that does not know it loses nothing by it. It names rows
that may hold a word, and the prompt itself decides; rows it has not come to are looked through. Rows are never deleted,
so that a number stands for one row. Where SQLite has no such index (no FTS5, or older than 3.34) every prompt is.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final, NamedTuple

_MAKE: Final = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS task_prompts "
    "USING fts5 (prompt, content = '', detail = none, tokenize = 'trigram')"
)
_LETTERS: Final = 3
"""The index holds every so many letters in a row; of a shorter word it knows nothing."""
_BEHIND: Final = 200
"""So many prompts are looked through without being noticed."""
_TOGETHER: Final = 1_000
"""Prompts in one transaction: others write between them."""
_FEW: Final = 200
"""A word that is in more prompts is found sooner by going through the newest."""


class Among(NamedTuple):
    """The rows that may hold what is searched for: these, and all after the last that is indexed."""

    rows: list[int]
    upto: int

    @property
    def source(self) -> tuple[str, list[object]]:
        """These rows as a table to select from, and its values."""
        numbers = "SELECT rowid FROM tasks WHERE rowid > ? UNION ALL SELECT value FROM json_each(?)"
        # By itself SQLite might go through all rows in the order that is asked for.
        return f"(SELECT * FROM tasks NOT INDEXED WHERE rowid IN ({numbers}))", [self.upto, json.dumps(self.rows)]  # noqa: S608


def among(db: sqlite3.Connection, words: list[str]) -> tuple[Among | None, bool]:
    """Where these words may stand, None where the index does not help; and whether it is far behind."""
    upto, behind = _reach(db)
    pieces = {
        word[at : at + _LETTERS] for word in words if word.isprintable() for at in range(0, len(word) - 2, _LETTERS)
    }
    if not upto or not pieces:
        return None, behind
    wanted = " AND ".join('"{}"'.format(piece.replace('"', '""')) for piece in sorted(pieces))
    try:
        found = db.execute("SELECT rowid FROM task_prompts WHERE task_prompts MATCH ? LIMIT ?", [wanted, _FEW + 1])
        rows = [row[0] for row in found]
    except sqlite3.Error:
        return None, False
    return (Among(rows, upto) if len(rows) <= _FEW else None), behind


def extend(db: sqlite3.Connection) -> bool:
    """Index the next prompts, in the caller's transaction; whether there are many more."""
    db.execute(_MAKE)
    next_ones = "SELECT rowid, prompt FROM tasks WHERE rowid > ? ORDER BY rowid LIMIT ?"
    db.execute(f"INSERT INTO task_prompts (rowid, prompt) {next_ones}", [_reach(db)[0], _TOGETHER])
    return _reach(db)[1]


def _reach(db: sqlite3.Connection) -> tuple[int, bool]:
    """The last row that is indexed, 0 where none is, and whether many come after it."""
    made = db.execute("SELECT 1 FROM sqlite_master WHERE name = 'task_prompts'").fetchone()
    try:
        row = made and db.execute("SELECT rowid FROM task_prompts ORDER BY rowid DESC LIMIT 1").fetchone()
    except sqlite3.Error:
        # This SQLite cannot read the index.
        return 0, False
    upto = row[0] if row else 0
    return upto, (db.execute("SELECT max(rowid) FROM tasks").fetchone()[0] or 0) - upto > _BEHIND
