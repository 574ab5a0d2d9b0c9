"""Films in the record: a row that holds money back, a lease that says who drives it, and its tasks bought out of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, Unpack

from mcp_server.clock import Clock
from mcp_server.domain.film import Film
from mcp_server.domain.task import Task
from mcp_server.tasks.store.base import Budget, Lease, NewTask, day_of
from mcp_server.tasks.store.budgets import fits
from mcp_server.tasks.store.film_rows import film_from, note, read_film, readable_films
from mcp_server.tasks.store.film_rows import write as write_film
from mcp_server.tasks.store.film_store import (
    STOPPED,
    FilmChanges,
    FilmFilter,
    FilmLease,
    film_changed,
    owned,
    planned,
    started,
    unpaid,
    with_purchase,
)
from mcp_server.tasks.store.rows import readable
from mcp_server.tasks.store.schema import DRIVEN
from mcp_server.tasks.store.search import like
from mcp_server.tasks.store.writer_thread import WriterThread

T = TypeVar("T")


@dataclass
class SqliteFilms:
    """`FilmStore` in the SQLite record, beside its tasks and in the same transactions."""

    writer: WriterThread
    clock: Clock
    process: str
    exists: Callable[[], bool]
    register: Callable[[sqlite3.Connection], None]
    """Notes in a transaction that this process lives and has leases."""
    alive: Callable[[sqlite3.Connection, str | None], bool]
    """Whether the holder of a lease lives."""
    create: Callable[[sqlite3.Connection, Sequence[NewTask], Budget], tuple[list[Lease], bool]]
    """Makes the row of a purchase in the transaction."""

    @property
    def at_once(self) -> bool:
        return True

    async def plan(self, film: Film) -> Film:
        def write(db: sqlite3.Connection) -> Film:
            before = read_film(db, film.id)
            now = self.clock.now()
            made = planned(film, before, now)
            write_film(db, made)
            note(db, made, now, "planned" if before is None else "planned anew")
            return made

        return await self.writer.do(write, "money")

    async def start(self, film: Film, budget: Budget) -> FilmLease:
        """The film under way, leased to this process, with the money of all its shots held back in one transaction.

        BudgetError where the day has not as much left, FilmUnderWayError where another call was first.
        """

        def write(db: sqlite3.Connection) -> FilmLease:
            now = self.clock.now()
            begun = started(film, read_film(db, film.id), now)
            fits(db, film.owner, unpaid(film), budget, day_of(now), allow_unknown=film.allow_unknown_price)
            self.register(db)
            write_film(db, begun)
            note(db, begun, now, f"filming; {begun.reserved_usd} USD are held back")
            db.execute("UPDATE films SET holder = ?, claim = claim + 1 WHERE id = ?", [self.process, film.id])
            number = db.execute("SELECT claim FROM films WHERE id = ?", [film.id]).fetchone()["claim"]
            return FilmLease(begun, number)

        return await self.writer.do(write, "money")

    async def buy(self, lease: FilmLease, shot_id: str, new: NewTask) -> tuple[Film | None, Lease | None]:
        """The shot's purchase written down, with its part of what the film holds back, in one transaction.

        Under a key that is known it is that purchase, and nothing is paid: then there is no new lease. No film where
        this process does not drive it any more.
        """

        def write(db: sqlite3.Connection) -> tuple[Film | None, Lease | None]:
            film = self._leased(db, lease)
            if film is None or film.state != "filming":
                return None, None
            known, made = self._known(db, new), None
            if known is None:
                (made,), _ = self.create(db, [new], Budget())
            task_id = known or (made.task.id if made else "")
            what = f"shot {shot_id} is {task_id}" + ("" if made else ", which was bought before")
            return self._changed(db, film, with_purchase(film, shot_id, task_id), what), made

        return await self.writer.do(write, "money")

    async def change(
        self, lease: FilmLease, what: str = "", *, money: bool = False, **changes: Unpack[FilmChanges]
    ) -> Film | None:
        """What happened, by who drives it; None when that is not this process any more."""

        def write(db: sqlite3.Connection) -> Film | None:
            film = self._leased(db, lease)
            return None if film is None or not film.under_way else self._changed(db, film, changes, what)

        return await self.writer.do(write, "money" if money else "write")

    async def driven(self, lease: FilmLease) -> Film | None:
        """The film as it stands; None when this process does not drive it any more."""
        return await self.writer.do(lambda db: self._leased(db, lease), "read")

    async def cancel(self, film_id: str) -> Film | None:
        """The film stopped, nothing held back and nobody driving it; None where there is nothing to stop."""

        def write(db: sqlite3.Connection) -> Film | None:
            film = read_film(db, film_id)
            if film is None or film.state in ("succeeded", "cancelled"):
                return None
            changed = self._changed(db, film, STOPPED, "cancelled, as asked")
            db.execute("UPDATE films SET holder = NULL, claim = claim + 1 WHERE id = ?", [film_id])
            return changed

        return await self.writer.do(write, "money")

    async def get(self, film_id: str, owner: str | None = None) -> Film:
        """The film as it stands; UnknownTaskError."""
        return owned(await self.many([film_id]), film_id, owner)

    async def many(self, ids: Iterable[str]) -> list[Film]:
        """Those of the films that exist and can be read."""
        wanted = list(dict.fromkeys(ids))
        marks = ",".join("?" * len(wanted))
        return await self._rows(f"SELECT * FROM films WHERE id IN ({marks})", wanted) if wanted else []  # noqa: S608

    async def find(self, wanted: FilmFilter) -> list[Film]:
        """The films that match, newest first."""
        parts, values = ["1"], list[Any]()
        if wanted.states:
            parts.append(f"state IN ({','.join('?' * len(wanted.states))})")
            values += wanted.states
        for column, value in (("owner", wanted.owner), ("digest", wanted.digest), ("simulated", wanted.simulated)):
            if value is not None:
                parts.append(f"{column} = ?")
                values.append(value)
        if wanted.ending is not None:
            # Ids are letters and digits: there is no sign to escape.
            parts.append("id LIKE ?")
            values.append(f"%{wanted.ending}")
        for word in (wanted.text or "").split():
            parts.append("(title LIKE ? ESCAPE '\\' OR shots LIKE ? ESCAPE '\\')")
            values += [like(word)] * 2
        where = " AND ".join(parts)
        return await self._rows(
            f"SELECT * FROM films WHERE {where} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
            [*values, wanted.limit],
        )

    async def keyed(self, owner: str, keys: Iterable[str]) -> dict[str, Task]:
        """The tasks that stand under these keys."""
        wanted = list(keys)
        if not wanted or not self.exists():
            return {}
        marks = ",".join("?" * len(wanted))
        query = f"SELECT * FROM tasks WHERE owner = ? AND idempotency_key IN ({marks})"  # noqa: S608

        def read(db: sqlite3.Connection) -> dict[str, Task]:
            found = readable(db.execute(query, [owner, *wanted]))
            return {task.idempotency_key: task for task in found if task.idempotency_key is not None}

        return await self.writer.do(read, "read")

    async def take_over(self) -> list[FilmLease]:
        """Films under way that no living process drives; from now on it is ours."""
        if not self.exists() or not await self.writer.do(self._orphaned, "read"):
            return []

        def write(db: sqlite3.Connection) -> list[FilmLease]:
            taken: list[FilmLease] = []
            for film_id in self._orphaned(db):
                self.register(db)
                db.execute("UPDATE films SET holder = ?, claim = claim + 1 WHERE id = ?", [self.process, film_id])
                row = db.execute("SELECT * FROM films WHERE id = ?", [film_id]).fetchone()
                taken += [FilmLease(film, row["claim"]) for film in readable_films([row])]
            return taken

        return await self.writer.do(write, "write")

    async def leased(self) -> set[str]:
        """Ids of the films this process drives."""
        query = f"SELECT id FROM films WHERE holder = ? AND {DRIVEN}"  # noqa: S608
        return await self.writer.do(lambda db: {row["id"] for row in db.execute(query, [self.process])}, "read")

    async def release(self, film_ids: Iterable[str]) -> None:
        """Give films to whoever takes them over next."""
        ids = list(film_ids)

        def write(db: sqlite3.Connection) -> None:
            free = "UPDATE films SET holder = NULL WHERE id = ? AND holder = ?"
            db.executemany(free, [(film_id, self.process) for film_id in ids])

        if ids:
            await self.writer.do(write, "write")

    async def _rows(self, query: str, values: list[Any]) -> list[Film]:
        if not self.exists():
            return []
        return await self.writer.do(lambda db: list(readable_films(db.execute(query, values))), "read")

    def _leased(self, db: sqlite3.Connection, lease: FilmLease) -> Film | None:
        row = db.execute(
            "SELECT * FROM films WHERE id = ? AND holder = ? AND claim = ?",
            [lease.film.id, self.process, lease.number],
        ).fetchone()
        return None if row is None else film_from(row)

    def _known(self, db: sqlite3.Connection, new: NewTask) -> str | None:
        """The purchase this key stands for, whichever frame it went on from: another film was a moment ahead."""
        query = "SELECT id FROM tasks WHERE owner = ? AND idempotency_key = ?"
        row = db.execute(query, [new.owner, new.idempotency_key]).fetchone()
        return None if row is None else str(row["id"])

    def _orphaned(self, db: sqlite3.Connection) -> list[str]:
        rows = db.execute(f"SELECT id, holder FROM films WHERE {DRIVEN}")  # noqa: S608
        return [row["id"] for row in rows.fetchall() if not self.alive(db, row["holder"])]

    def _changed(self, db: sqlite3.Connection, film: Film, changes: FilmChanges, what: str) -> Film:
        now = self.clock.now()
        changed = film_changed(film, changes, now)
        write_film(db, changed)
        if what or changed.state != film.state:
            note(db, changed, now, what or changed.state)
        return changed
