"""The store in Postgres, for many processes on many machines."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final, Unpack

from psycopg.errors import UniqueViolation

from mcp_server.clock import Clock
from mcp_server.domain.task import State, Task
from mcp_server.errors import BudgetError, UnknownTaskError
from mcp_server.metrics import Metrics, Reading
from mcp_server.tasks.store.admission import TWIN_S, standing, twin_told
from mcp_server.tasks.store.base import Budget, Changes, Filter, Lease, NewTask, Ownership, Spent, day_of
from mcp_server.tasks.store.moves import (
    LEAVES,
    WITHDRAWN,
    changed,
    leaving,
    to_be_followed,
    told,
    withdrawable,
)
from mcp_server.tasks.store.notices import Outbox
from mcp_server.tasks.store.postgres import budgets, jobs, outbox, state
from mcp_server.tasks.store.postgres.connections import Connection, Connections, ask, row, rows, run
from mcp_server.tasks.store.postgres.films import PostgresFilms
from mcp_server.tasks.store.postgres.limits import SharedLimits
from mcp_server.tasks.store.postgres.notices import POSTED, WISHED, tell, visible
from mcp_server.tasks.store.postgres.outbox import PostgresOutbox
from mcp_server.tasks.store.postgres.ownership import Orders
from mcp_server.tasks.store.posts import KEPT_S
from mcp_server.tasks.store.rows import readable
from mcp_server.tasks.store.schema import CHANGING, COLUMNS, OPEN, changing, row_of, task_from, task_of
from mcp_server.tasks.store.search import SAMPLE, alike, kinds, totals, where_of

_log = logging.getLogger("kling_video.tasks")
UNREADABLE_AGAIN_S: Final = 60.0
"""After which another worker, perhaps of a later version, may try a task that cannot be read here."""
_NAMES: Final = (*COLUMNS, "follow_job")
_ROW: Final = ", ".join(_NAMES)
"""Never `*`: a column of a later version would change what a prepared statement answers, and the server refuses it."""
INSERT: Final = f"INSERT INTO tasks ({', '.join(_NAMES)}) VALUES ({', '.join(f'%({name})s' for name in _NAMES)})"  # noqa: S608
_ORDER: Final = f"""
    WITH put AS ({jobs.PUT}), task AS (
      INSERT INTO tasks ({", ".join(_NAMES)})
      VALUES ({", ".join("(SELECT id FROM put)" if name == "follow_job" else f"%({name})s" for name in _NAMES)})
      RETURNING id
    )
    INSERT INTO events (task_id, at, state, what) SELECT id, %(updated_at)s, %(state)s, %(what)s FROM task
"""  # noqa: S608
"""A task, its job and the first line of its history, in one way to the server."""
_UPDATE: Final = f"UPDATE tasks SET {', '.join(f'{name} = %({name})s' for name in CHANGING)} WHERE id = %(id)s"  # noqa: S608
_FORGET: Final = (
    "DELETE FROM posts WHERE id IN (SELECT id FROM posts WHERE at < now() - make_interval(secs => %s) "
    "ORDER BY at LIMIT 5 FOR UPDATE SKIP LOCKED)"
)
_OF_TASKS: Final = ", ".join(f"tasks.{name}" for name in _NAMES)
_LEASED: Final = f"SELECT {_ROW} FROM tasks WHERE id = %s AND holder = %s AND claim = %s"  # noqa: S608


@dataclass(frozen=True, slots=True)
class Taken:
    """A task that this process follows from now on."""

    lease: Lease
    wished: bool
    """Whether somebody waits for it to be stopped."""


@dataclass
class PostgresStore:
    """`TaskStore` in a database that many machines share; what is to be followed goes to a worker by a job."""

    connections: Connections
    clock: Clock = field(default_factory=Clock)
    process: str = field(default_factory=lambda: secrets.token_hex(8))
    ownership: Ownership = field(default_factory=Orders)
    refused: Callable[[Lease], None] = field(default=lambda _: None)
    """Hears of a lease that turned out to be worth nothing any more."""
    limits: SharedLimits | None = None
    """Of a worker: what all of them together may ask of a vendor."""
    metrics: Metrics = field(default_factory=Metrics)
    channels: tuple[str, ...] = ()
    """On which an end that is written here shall be told."""
    films: PostgresFilms = field(init=False)
    outbox: Outbox = field(init=False)

    def __post_init__(self) -> None:
        self.films = PostgresFilms(self.connections, self.clock, self.process, self._created)
        self.outbox = PostgresOutbox(self.connections, self.clock)

    async def create(self, new: NewTask, budget: Budget) -> tuple[Lease, bool]:
        (lease,), created = await self.create_all([new], budget)
        return lease, created

    async def create_all(self, order: Sequence[NewTask], budget: Budget) -> tuple[list[Lease], bool]:
        try:
            async with self.connections.transaction(unsent="not_spent") as connection:
                return await self._created(connection, order, budget)
        except (UniqueViolation, BudgetError):
            # Nothing of the order was kept; where its key is known, perhaps since this moment, that one stands.
            keys = [new.idempotency_key for new in order if new.idempotency_key is not None]
            query = f"SELECT {_ROW} FROM tasks WHERE owner = %s AND idempotency_key = ANY(%s)"  # noqa: S608
            async with self.connections.transaction(unsent="not_spent") as connection:
                known = await rows(connection, query, [order[0].owner, keys]) if keys else []
            if not known:
                raise
            return standing([(task_from(each), each["claim"]) for each in known], order), False

    async def get(self, task_id: str, owner: str | None = None) -> Task:
        for task in await self.many([task_id]):
            if owner is None or task.owner == owner:
                return task
        raise UnknownTaskError(
            f"There is no task {task_id!r} in this record",
            why="it was bought elsewhere, in another database, or the id is misspelt",
            next_step="list_tasks shows every task of this record",
        )

    async def many(self, ids: Iterable[str]) -> list[Task]:
        wanted = list(ids)
        if not wanted:
            return []
        async with self.connections.transaction() as connection:
            found = await rows(connection, f"SELECT {_ROW} FROM tasks WHERE id = ANY(%s)", [wanted])  # noqa: S608
        return [task_from(each) for each in found]

    async def find(self, wanted: Filter) -> list[Task]:
        where, values = where_of(wanted, job_id="became ->> 'job_id'", like_word="ILIKE")
        query = f"SELECT {_ROW} FROM tasks {where} ORDER BY created_at DESC, id DESC LIMIT ?".replace("?", "%s")  # noqa: S608
        async with self.connections.transaction() as connection:
            found = await rows(connection, query, [*values, wanted.limit])
        return list(readable(found))

    async def sending(self, lease: Lease, at: float, sent_as: str = "") -> bool:
        async with self.connections.transaction() as connection:
            task, now = await self._leased(connection, lease, lock=True), self.clock.now()
            sent = None if task is None else leaving(task, at, sent_as, now)
            if task is None or sent is None:
                return False
            await self._save(connection, sent, task, LEAVES)
        return True

    async def change(
        self, lease: Lease, what: str = "", *, money: bool = False, **changes: Unpack[Changes]
    ) -> Task | None:
        async with self.connections.transaction() as connection:
            if not money:
                # Past the end of this process, if not past the database's.
                await run(connection, "SET LOCAL synchronous_commit TO off")
            task = await self._leased(connection, lease, lock=True)
            if task is None or task.finished:
                return None
            return await self._apply(connection, task, changes, what)

    async def still_leased(self, lease: Lease) -> bool:
        async with self.connections.transaction() as connection:
            task = await self._leased(connection, lease)
        return task is not None and not task.finished

    async def decide(
        self, task_id: str, expected: Iterable[State], what: str, **changes: Unpack[Changes]
    ) -> Task | None:
        states = frozenset(expected)
        async with self.connections.transaction() as connection:
            task = await self._read(connection, task_id)
            if task is None or task.state not in states:
                return None
            after = changed(task, changes, self.clock.now())
            await self._unfollowed(connection, task_id)
            job = await jobs.put(connection, task_id) if to_be_followed(after) else None
            free = "UPDATE tasks SET holder = NULL, claim = claim + 1, follow_job = %s WHERE id = %s"
            await run(connection, free, [job, task_id])
            await self._save(connection, after, task, what, by_holder=False)
            # Whoever held it learns by this that it does no more, also where it is this process.
            await tell(connection, task_id)
        return after

    async def withdraw(self, task_id: str) -> Task | None:
        async with self.connections.transaction() as connection:
            task = await self._read(connection, task_id)
            if task is None or not withdrawable(task):
                return None
            withdrawn = await self._apply(connection, task, WITHDRAWN, "cancelled before it was sent")
            await tell(connection, task_id)
            return withdrawn

    async def take(self, wanted: Mapping[int, str]) -> dict[int, Taken]:
        """By jobs, of these jobs and their tasks: what is still to be followed by that job, leased to this process."""
        async with self.connections.transaction() as connection:
            # In the order in which everybody locks them.
            found = await rows(
                connection,
                "WITH locked AS (SELECT task.id FROM tasks AS task "  # noqa: S608
                "JOIN unnest(%s::text[], %s::bigint[]) AS wanted (id, job) ON wanted.id = task.id "
                f"WHERE follow_job = wanted.job AND {OPEN} ORDER BY task.id FOR UPDATE OF task) "
                "UPDATE tasks SET holder = %s, claim = claim + 1 FROM locked WHERE tasks.id = locked.id RETURNING "
                f"{_OF_TASKS}, EXISTS (SELECT FROM wishes WHERE task_id = tasks.id AND answered IS NULL) AS wished",
                [list(wanted.values()), list(wanted), self.process],
            )
            if stray := wanted.keys() - {each["follow_job"] for each in found}:
                await jobs.end_stray(connection, stray)
            tasks = {task.id: task for task in readable(found)}
            if unreadable := {each["id"] for each in found} - tasks.keys():
                # Left to a version that can read them; `doctor` names them.
                await jobs.replace(connection, unreadable, holder=self.process, after_s=UNREADABLE_AGAIN_S)
        return {
            each["follow_job"]: Taken(Lease(tasks[each["id"]], each["claim"]), wished=bool(each["wished"]))
            for each in found
            if each["id"] in tasks
        }

    async def wish_stopped(self, task_id: str) -> bool:
        async with self.connections.transaction() as connection:
            await run(
                connection,
                "INSERT INTO wishes (task_id) VALUES (%s) ON CONFLICT (task_id) "
                "DO UPDATE SET at = now(), answered = NULL, done = NULL, words = NULL",
                [task_id],
            )
            await tell(connection, task_id, WISHED)
        return True

    async def wish_answer(self, task_id: str) -> tuple[bool, str] | None:
        async with self.connections.transaction() as connection:
            query = "SELECT done, words FROM wishes WHERE task_id = %s AND answered IS NOT NULL"
            found = await row(connection, query, [task_id])
        return None if found is None else (bool(found["done"]), str(found["words"]))

    async def answer_wish(self, task_id: str, words: str, *, done: bool) -> None:
        async with self.connections.transaction() as connection:
            query = "UPDATE wishes SET answered = now(), done = %s, words = %s WHERE task_id = %s"
            await run(connection, query, [done, words, task_id])
            await tell(connection, task_id)

    async def posted(self, task_id: str, post_id: str) -> bool:
        async with self.connections.transaction() as connection:
            await run(connection, "SET LOCAL synchronous_commit TO off")
            new = await run(connection, "INSERT INTO posts (id) VALUES (%s) ON CONFLICT (id) DO NOTHING", [post_id])
            if new:
                # A few at every post: none stands much longer than it has to, and nobody waits for many.
                await run(connection, _FORGET, [KEPT_S])
                await tell(connection, task_id, POSTED)
        return bool(new)

    async def readings(self) -> list[Reading]:
        return await state.readings(self.connections, self.clock.now)

    async def stopped(self, why: str) -> None:
        async with self.connections.transaction() as connection:
            await run(connection, "INSERT INTO stops VALUES (%s, %s, %s)", [self.clock.now(), self.process, why])

    async def durations(self, offer_id: str, *, simulated: bool, length: int | None = None) -> list[float]:
        query = (
            "SELECT took_s, bought -> 'ordered' ->> 'duration' AS length FROM tasks "
            "WHERE offer_id = %s AND simulated = %s AND took_s IS NOT NULL ORDER BY created_at DESC LIMIT %s"
        )
        async with self.connections.transaction() as connection:
            found = await rows(connection, query, [offer_id, int(simulated), 4 * SAMPLE])
        took = [(each["took_s"], None if each["length"] is None else int(each["length"])) for each in found]
        return alike(took, length)

    async def spent(self, since_day: str, owner: str | None = None) -> list[Spent]:
        query = kinds(
            "day >= %s AND (%s::text IS NULL OR owner = %s)",
            job_id="became ->> 'job_id'",
            money="became -> 'error' ->> 'money'",
            settled="became -> 'settlement' ->> 'usd'",
        )
        async with self.connections.transaction() as connection:
            return totals(await rows(connection, query, [since_day, owner, owner]))

    async def close(self) -> None:
        await self.connections.close()

    async def _created(
        self, connection: Connection, order: Sequence[NewTask], budget: Budget
    ) -> tuple[list[Lease], bool]:
        """Key, job, row and history, and last, for all wait for it, what the day has left: in one commit.

        UniqueViolation where a key is known: it is not looked for first, for that would be a way to the server more.
        """
        owner, now = order[0].owner, self.clock.now()
        reserved = budgets.reservations(order, budget)
        warnings = await self._twins(connection, order[0], now)
        leases: list[Lease] = []
        async with connection.pipeline():
            for new, taken in zip(order, reserved, strict=True):
                task = task_of(new, now, (*new.warnings, *warnings), taken)
                await ask(connection, _ORDER, {**row_of(task, None, 0), **jobs.new(task.id), "what": "ordered"})
                leases.append(Lease(task, 0))
            counting = await budgets.count(connection, owner, day_of(now), sum(reserved, Decimal(0)), budget)
        await counting.within()
        return leases, True

    async def _twins(self, connection: Connection, new: NewTask, now: float) -> tuple[str, ...]:
        if new.idempotency_key is not None or new.simulated:
            return ()
        found = await row(
            connection,
            "SELECT id, created_at FROM tasks WHERE request_digest = %s AND owner = %s AND created_at > %s "
            "AND simulated = 0 AND state NOT IN ('failed', 'cancelled') ORDER BY created_at DESC LIMIT 1",
            [new.request_digest, new.owner, now - TWIN_S],
        )
        return () if found is None else (twin_told(found["id"], found["created_at"], now),)

    async def _leased(self, connection: Connection, lease: Lease, *, lock: bool = False) -> Task | None:
        query = f"{_LEASED}{' FOR UPDATE' if lock else ''}"
        found = await row(connection, query, [lease.task.id, self.process, lease.number])
        if found is None:
            self.refused(lease)
        return None if found is None else task_from(found)

    async def _read(self, connection: Connection, task_id: str) -> Task | None:
        found = await row(connection, f"SELECT {_ROW} FROM tasks WHERE id = %s FOR UPDATE", [task_id])  # noqa: S608
        return None if found is None else task_from(found)

    async def _apply(self, connection: Connection, task: Task, changes: Changes, what: str) -> Task:
        after = changed(task, changes, self.clock.now())
        await self._save(connection, after, task, what)
        return after

    async def _save(
        self, connection: Connection, after: Task, before: Task, what: str, *, by_holder: bool = True
    ) -> None:
        values: dict[str, Any] = changing(after)
        await run(connection, _UPDATE, values)
        if by_holder and not to_be_followed(after):
            await self._unfollowed(connection, after.id)
        if after.output_dir != before.output_dir:
            # Only after its call was answered, so that nothing is sent again whose bytes this could change.
            await run(
                connection,
                "UPDATE tasks SET bought = jsonb_set(bought::jsonb, '{output_dir}', to_jsonb(%s::text))::json "
                "WHERE id = %s",
                [after.output_dir, after.id],
            )
        if line := told(before, after, what):
            await self._note(connection, after, line)
        await outbox.put(connection, self.channels, before, after)
        if visible(before, after):
            await tell(connection, after.id, self.process)
        await budgets.move(
            connection, before.owner, day_of(before.created_at), after.reserved_usd - before.reserved_usd
        )

    async def _unfollowed(self, connection: Connection, task_id: str) -> None:
        """Its job ends in the commit that makes it one nobody follows, or gives it another."""
        await run(
            connection,
            "DELETE FROM procrastinate_jobs AS job USING tasks WHERE tasks.id = %s AND job.id = tasks.follow_job",
            [task_id],
        )

    async def _note(self, connection: Connection, task: Task, what: str) -> None:
        await run(
            connection,
            "INSERT INTO events (task_id, at, state, what) VALUES (%s, %s, %s, %s)",
            [task.id, task.updated_at, task.state, what],
        )
