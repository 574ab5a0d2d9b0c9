"""Connections to the database: a pool that opens at its first use, and errors in words that say what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.rows import dict_row
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from mcp_server.errors import LocalError, Money

Connection = psycopg.AsyncConnection[dict[str, Any]]
Answer = psycopg.AsyncCursor[dict[str, Any]]
PATIENCE_S: Final = 10.0
"""How long one caller waits for a connection; the pool goes on trying."""
MOST: Final = 16
_LOST: Final = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
"""A network that is gone closes no connection: an idle one is asked, in seconds."""
_UNHEARD_MS: Final = 10_000
"""Where something was sent and the other machine's TCP says nothing; Linux alone would try for a quarter of an hour."""
OPTIONS: Final = " ".join(
    (
        "-c statement_timeout=30000 -c idle_in_transaction_session_timeout=60000 -c timezone=UTC",
        # The server's end, too: a machine that is gone in the middle of a transaction holds its locks no longer.
        *(f"-c tcp_{name}={seconds}" for name, seconds in _LOST.items()),
        f"-c tcp_user_timeout={_UNHEARD_MS}",
    )
)
"""A statement that takes too long ends; so does a transaction whose process stands still with locks held."""
_NEXT: Final = "See that the database KLING_DATABASE_URL names is reachable; this goes on by itself once it is"


def unreachable(error: BaseException, money: Money = "unknown") -> LocalError:
    """The error of a database that does not answer."""
    words = str(error).strip().splitlines()
    made = LocalError(
        f"The database of tasks cannot be used: {words[0] if words else type(error).__name__}",
        next_step=_NEXT,
        money=money,
    )
    made.__cause__ = error
    return made


def libpq(url: str) -> dict[str, Any]:
    """What every connection to this database is opened with, ours and the engine's."""
    return {"conninfo": url, "options": OPTIONS, "connect_timeout": 5, **_LOST, "tcp_user_timeout": _UNHEARD_MS}


@dataclass
class Connections:
    """The pool of one process."""

    url: str = field(repr=False)
    _pool: AsyncConnectionPool[Connection] | None = field(default=None, init=False)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _closed: bool = field(default=False, init=False)

    @asynccontextmanager
    async def transaction(self, *, unsent: Money = "unknown") -> AsyncGenerator[Connection]:
        """One transaction, committed at its end; LocalError where the database fails.

        `unsent` is what that says of the money as long as the commit has not been asked for; after it nobody knows.
        """
        money = unsent
        try:
            async with (await self._open()).connection(timeout=PATIENCE_S) as connection:
                yield connection
                money = "unknown"
                await connection.commit()
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, PoolClosed) as error:
            raise unreachable(error, money) from error
        except psycopg.errors.UndefinedTable as error:
            raise unmigrated() from error

    async def pool(self) -> AsyncConnectionPool[Connection]:
        """The pool itself, open, for the engine; LocalError where the database fails."""
        try:
            return await self._open()
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            raise unreachable(error) from error

    async def close(self) -> None:
        """Let go of every connection; nothing can be asked any more."""
        self._closed = True
        if self._pool is not None:
            await self._pool.close()

    async def _open(self) -> AsyncConnectionPool[Connection]:
        if self._closed:
            raise LocalError("The record is closed", money="unknown")
        if self._pool is None:
            async with self._opening:
                if self._pool is None:
                    await self._made()
        assert self._pool is not None
        return self._pool

    async def _made(self) -> None:
        from mcp_server.tasks.store.postgres.migrate import check

        given = libpq(self.url)
        pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            given.pop("conninfo"),
            connection_class=psycopg.AsyncConnection[dict[str, Any]],
            kwargs={**given, "row_factory": dict_row},
            configure=_configure,
            check=_lives,
            min_size=1,
            max_size=MOST,
            # Between two tries the pool waits twice as long each time; given up, the next caller tries at once.
            reconnect_timeout=PATIENCE_S,
            timeout=PATIENCE_S,
            open=False,
        )
        await pool.open()
        try:
            async with pool.connection(timeout=PATIENCE_S) as connection:
                await check(connection)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool


async def ask(connection: Connection, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> Answer:
    """A statement on its way; in a pipeline its answer is waited for when it is fetched."""
    return await connection.execute(query.encode(), values or None)


async def rows(connection: Connection, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> list[dict[str, Any]]:
    """What the query answers."""
    return await (await connection.execute(query.encode(), values or None)).fetchall()


async def row(connection: Connection, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> dict[str, Any] | None:
    """The first row the query answers."""
    return await (await connection.execute(query.encode(), values or None)).fetchone()


async def run(connection: Connection, query: str, values: Sequence[Any] | dict[str, Any] = ()) -> int:
    """How many rows the statement touched."""
    return (await connection.execute(query.encode(), values or None)).rowcount


async def _lives(connection: Connection) -> None:
    await AsyncConnectionPool.check_connection(connection)  # pyright: ignore[reportArgumentType] - of any rows


async def _configure(connection: Connection) -> None:
    # A task's JSON is read by the code that reads the file's.
    connection.adapters.register_loader("json", TextLoader)


def unmigrated() -> LocalError:
    """The error of a database that has no tables of ours."""
    return LocalError(
        "The database KLING_DATABASE_URL names has no record of tasks yet",
        next_step="Run `kling-video db migrate` once, with the same KLING_DATABASE_URL",
    )
