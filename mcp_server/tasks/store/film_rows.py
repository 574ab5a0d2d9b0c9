"""A film's row: read, written, and a line of its history (the caller holds the transaction)."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, fields
from decimal import Decimal
from typing import Any, Final

from mcp_server.domain.film import FILM_STATES, Film, FilmShot
from mcp_server.errors import LocalError
from mcp_server.tasks.store.schema import Row

_log = logging.getLogger("kling_video.tasks")
FILM_COLUMNS: Final = (
    *("id", "state", "created_at", "updated_at", "owner", "title", "digest", "simulated", "reserved_usd"),
    *("finished_at", "board", "shots", "became"),
)
_BECAME: Final = (
    *("draft", "output_dir", "quote", "final_quote", "warnings", "allow_unknown_price", "joined", "progress"),
    *("remaining_s", "error", "note"),
)
"""One JSON column, because nothing looks for it."""


def read_film(db: sqlite3.Connection, film_id: str) -> Film | None:
    """The film as it stands; None when there is none."""
    row = db.execute("SELECT * FROM films WHERE id = ?", [film_id]).fetchone()
    return None if row is None else film_from(row)


def note(db: sqlite3.Connection, film: Film, now: float, what: str) -> None:
    db.execute(
        "INSERT INTO film_events (film_id, at, state, what) VALUES (?, ?, ?, ?)", [film.id, now, film.state, what]
    )


def write(db: sqlite3.Connection, film: Film) -> None:
    """The film's row, made or changed; who drives it is left as it is."""
    names, marks = ", ".join(FILM_COLUMNS), ", ".join(f":{name}" for name in FILM_COLUMNS)
    changing = ", ".join(f"{name} = excluded.{name}" for name in FILM_COLUMNS if name not in ("id", "created_at"))
    db.execute(
        f"INSERT INTO films ({names}, holder, claim) VALUES ({marks}, NULL, 0) "  # noqa: S608
        f"ON CONFLICT (id) DO UPDATE SET {changing}",
        row_of(film),
    )


def row_of(film: Film) -> dict[str, Any]:
    """The film as its row's columns."""
    return {
        "id": film.id,
        "state": film.state,
        "created_at": film.created_at,
        "updated_at": film.updated_at,
        "owner": film.owner,
        "title": film.title,
        "digest": film.digest,
        "simulated": int(film.simulated),
        "reserved_usd": str(film.reserved_usd),
        "finished_at": film.finished_at,
        "board": _json(film.board),
        "shots": _json([_lean(asdict(shot)) for shot in film.shots]),
        "became": _json(_lean({name: getattr(film, name) for name in _BECAME})),
    }


def readable_films(rows: Iterable[Row]) -> Iterator[Film]:
    """The films of these rows; one that cannot be read is told in the log and leaves the others alone."""
    for row in rows:
        try:
            yield film_from(row)
        except LocalError as error:
            _log.warning("%s", error.what)


def film_from(row: Row) -> Film:
    """The film a row stands for; LocalError where it cannot be read."""
    try:
        became: dict[str, Any] = {"draft": False, "output_dir": "", "quote": {}, **json.loads(row["became"])}
        became["warnings"] = tuple(became.get("warnings", ()))
        film = Film(
            id=row["id"],
            state=row["state"],
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            owner=row["owner"],
            board=json.loads(row["board"]),
            digest=row["digest"],
            simulated=bool(row["simulated"]),
            reserved_usd=Decimal(row["reserved_usd"]),
            finished_at=row["finished_at"],
            shots=tuple(_shot_from(shot) for shot in json.loads(row["shots"])),
            **became,
        )
        if film.state not in FILM_STATES:
            raise ValueError(f"the state {film.state!r}")
    except (ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise LocalError(
            f"Film {row['id']} cannot be read from the record: {type(error).__name__}: {error}"[:300],
            why="its row was damaged, or a later version of kling-video wrote it",
            next_step="Update kling-video; its clips are tasks of their own, which list_tasks shows",
            money="unknown",
        ) from error
    return film


_SHOT_FIELDS: Final = frozenset(field.name for field in fields(FilmShot))


def _shot_from(row: dict[str, Any]) -> FilmShot:
    known = {name: value for name, value in row.items() if name in _SHOT_FIELDS}
    most = known.get("most_usd")
    known |= {
        "seconds": row.get("seconds"),
        "warnings": tuple(row.get("warnings", ())),
        "most_usd": None if most is None else Decimal(most),
    }
    return FilmShot(**known)


def _lean(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value not in (None, "", (), {}) and value is not False}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
