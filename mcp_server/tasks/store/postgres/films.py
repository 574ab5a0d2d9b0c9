"""Films in Postgres: driven by one worker, whose place among the engine's workers says that it lives."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Unpack

from mcp_server.clock import Clock
from mcp_server.domain.film import Film
from mcp_server.domain.task import Task
from mcp_server.tasks.store.admission import price_known
from mcp_server.tasks.store.base import Budget, Lease, NewTask, day_of
from mcp_server.tasks.store.film_rows import FILM_COLUMNS, film_from, readable_films, row_of
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
from mcp_server.tasks.store.postgres import budgets
from mcp_server.tasks.store.postgres.connections import Connection, Connections, row, rows, run
from mcp_server.tasks.store.postgres.jobs import SILENCE_S
from mcp_server.tasks.store.postgres.notices import tell
from mcp_server.tasks.store.rows import readable
from mcp_server.tasks.store.schema import COLUMNS, DRIVEN
from mcp_server.tasks.store.search import like

_CHANGED: Final = ", ".join(f"{name} = excluded.{name}" for name in FILM_COLUMNS if name not in ("id", "created_at"))
_ROW: Final = ", ".join((*FILM_COLUMNS, "claim"))
_TASK: Final = ", ".join(COLUMNS)
"""Never `*`, which a later version's column would change under a statement that is prepared."""
WRITE: Final = (
    f"INSERT INTO films ({', '.join(FILM_COLUMNS)}, holder, claim) "  # noqa: S608
    f"VALUES ({', '.join(f'%({name})s' for name in FILM_COLUMNS)}, NULL, 0) ON CONFLICT (id) DO UPDATE SET {_CHANGED}"
)


@dataclass
class PostgresFilms:
    """`FilmStore` in the database, beside its tasks and in the same transactions."""

    connections: Connections
    clock: Clock
    process: str
    create: Callable[[Connection, Sequence[NewTask], Budget], Awaitable[tuple[list[Lease], bool]]]
    """Makes the row of a purchase in the transaction."""
    worker: Callable[[], int | None] = lambda: None
    """This process's place among the engine's workers; None where it has none, and drives no films."""

    @property
    def at_once(self) -> bool:
        return False

    async def plan(self, film: Film) -> Film:
        async with self.connections.transaction(unsent="not_spent") as connection:
            before, now = await self._locked(connection, film.id), self.clock.now()
            made = planned(film, before, now)
            await self._write(connection, made, before, "planned" if before is None else "planned anew")
        return made

    async def start(self, film: Film, budget: Budget) -> FilmLease:
        async with self.connections.transaction(unsent="not_spent") as connection:
            before, now = await self._locked(connection, film.id), self.clock.now()
            begun = started(film, before, now)
            if None in unpaid(film):
                price_known(budget, film.owner, allow_unknown=film.allow_unknown_price)
            await self._write(
                connection, begun, before, f"filming; {begun.reserved_usd} USD are held back", counting=False
            )
            number = await self._free(connection, film.id)
            await budgets.hold(connection, film.owner, day_of(now), begun.reserved_usd, budget)
            await tell(connection, film.id, self.process)
        return FilmLease(begun, number)

    async def buy(self, lease: FilmLease, shot_id: str, new: NewTask) -> tuple[Film | None, Lease | None]:
        async with self.connections.transaction(unsent="not_spent") as connection:
            film = await self._leased(connection, lease)
            if film is None or film.state != "filming":
                return None, None
            query = "SELECT id FROM tasks WHERE owner = %s AND idempotency_key = %s"
            known = await row(connection, query, [new.owner, new.idempotency_key])
            if known is None:
                await self.create(connection, [new], Budget())
            task_id = new.id if known is None else str(known["id"])
            what = f"shot {shot_id} is {task_id}" + (", which was bought before" if known else "")
            changed = await self._changed(connection, film, with_purchase(film, shot_id, task_id), what)
        # Its job is in the queue: whichever worker has room sends it.
        return changed, None

    async def change(
        self, lease: FilmLease, what: str = "", *, money: bool = False, **changes: Unpack[FilmChanges]
    ) -> Film | None:
        async with self.connections.transaction() as connection:
            if not money:
                await run(connection, "SET LOCAL synchronous_commit TO off")
            film = await self._leased(connection, lease)
            if film is None or not film.under_way:
                return None
            return await self._changed(connection, film, changes, what)

    async def driven(self, lease: FilmLease) -> Film | None:
        async with self.connections.transaction() as connection:
            return await self._leased(connection, lease)

    async def cancel(self, film_id: str) -> Film | None:
        async with self.connections.transaction() as connection:
            film = await self._locked(connection, film_id)
            if film is None or film.state in ("succeeded", "cancelled"):
                return None
            await self._free(connection, film_id)
            return await self._changed(connection, film, STOPPED, "cancelled, as asked")

    async def get(self, film_id: str, owner: str | None = None) -> Film:
        return owned(await self.many([film_id]), film_id, owner)

    async def many(self, ids: Iterable[str]) -> list[Film]:
        wanted = list(dict.fromkeys(ids))
        return await self._read(f"SELECT {_ROW} FROM films WHERE id = ANY(%s)", [wanted]) if wanted else []  # noqa: S608

    async def find(self, wanted: FilmFilter) -> list[Film]:
        parts, values = ["TRUE"], list[Any]()
        if wanted.states:
            parts.append("state = ANY(%s)")
            values.append(list(wanted.states))
        whether = None if wanted.simulated is None else int(wanted.simulated)
        for column, value in (("owner", wanted.owner), ("digest", wanted.digest), ("simulated", whether)):
            if value is not None:
                parts.append(f"{column} = %s")
                values.append(value)
        if wanted.ending is not None:
            parts.append("id LIKE %s")
            values.append(f"%{wanted.ending}")
        for word in (wanted.text or "").split():
            parts.append("(title ILIKE %s OR shots::text ILIKE %s)")
            values += [like(word)] * 2
        where = " AND ".join(parts)
        query = f"SELECT {_ROW} FROM films WHERE {where} ORDER BY created_at DESC, id DESC LIMIT %s"  # noqa: S608
        return await self._read(query, [*values, wanted.limit])

    async def keyed(self, owner: str, keys: Iterable[str]) -> dict[str, Task]:
        wanted = list(keys)
        if not wanted:
            return {}
        query = f"SELECT {_TASK} FROM tasks WHERE owner = %s AND idempotency_key = ANY(%s)"  # noqa: S608
        async with self.connections.transaction() as connection:
            found = await rows(connection, query, [owner, wanted])
        return {task.idempotency_key: task for task in readable(found) if task.idempotency_key is not None}

    async def take_over(self) -> list[FilmLease]:
        worker = self.worker()
        if worker is None:
            return []
        async with self.connections.transaction() as connection:
            found = await rows(
                connection,
                "UPDATE films SET holder = %s, worker = %s, claim = claim + 1 WHERE id IN (SELECT id FROM films "  # noqa: S608
                f"WHERE {DRIVEN} AND (holder IS NULL OR NOT EXISTS (SELECT FROM procrastinate_workers AS w "
                "WHERE w.id = films.worker AND w.last_heartbeat > now() - make_interval(secs => %s))) "
                f"FOR UPDATE SKIP LOCKED) RETURNING {_ROW}",
                [self.process, worker, SILENCE_S],
            )
        claims = {each["id"]: each["claim"] for each in found}
        return [FilmLease(film, claims[film.id]) for film in readable_films(found)]

    async def moved_in(self, connection: Connection, worker: int) -> None:
        """What this process drives it drives from this place now."""
        await run(connection, f"UPDATE films SET worker = %s WHERE holder = %s AND {DRIVEN}", [worker, self.process])  # noqa: S608

    async def leased(self) -> set[str]:
        query = f"SELECT id FROM films WHERE holder = %s AND {DRIVEN}"  # noqa: S608
        async with self.connections.transaction() as connection:
            return {each["id"] for each in await rows(connection, query, [self.process])}

    async def release(self, film_ids: Iterable[str]) -> None:
        if ids := list(film_ids):
            query = "UPDATE films SET holder = NULL, claim = claim + 1 WHERE id = ANY(%s) AND holder = %s"
            async with self.connections.transaction() as connection:
                await run(connection, query, [ids, self.process])

    async def _read(self, query: str, values: list[Any]) -> list[Film]:
        async with self.connections.transaction() as connection:
            return list(readable_films(await rows(connection, query, values)))

    async def _locked(self, connection: Connection, film_id: str) -> Film | None:
        found = await row(connection, f"SELECT {_ROW} FROM films WHERE id = %s FOR UPDATE", [film_id])  # noqa: S608
        return None if found is None else film_from(found)

    async def _leased(self, connection: Connection, lease: FilmLease) -> Film | None:
        query = f"SELECT {_ROW} FROM films WHERE id = %s AND holder = %s AND claim = %s FOR UPDATE"  # noqa: S608
        found = await row(connection, query, [lease.film.id, self.process, lease.number])
        return None if found is None else film_from(found)

    async def _free(self, connection: Connection, film_id: str) -> int:
        """Nobody drives it: the next worker that looks does; the number of the lease that holds nothing."""
        query = "UPDATE films SET holder = NULL, claim = claim + 1 WHERE id = %s RETURNING claim"
        found = await row(connection, query, [film_id])
        assert found is not None
        return int(found["claim"])

    async def _changed(self, connection: Connection, film: Film, changes: FilmChanges, what: str) -> Film:
        changed = film_changed(film, changes, self.clock.now())
        await self._write(connection, changed, film, what or (changed.state if changed.state != film.state else ""))
        await tell(connection, film.id, self.process)
        return changed

    async def _write(
        self, connection: Connection, film: Film, before: Film | None, what: str, *, counting: bool = True
    ) -> None:
        await run(connection, WRITE, row_of(film))
        if what:
            await run(
                connection,
                "INSERT INTO film_events (film_id, at, state, what) VALUES (%s, %s, %s, %s)",
                [film.id, film.updated_at, film.state, what],
            )
        if counting and before is not None:
            await budgets.release(connection, film.owner, before.reserved_usd - film.reserved_usd)
