"""The tables' versions: numbered SQL and the engine's own migrations, run once, whoever comes first."""

from __future__ import annotations

from importlib.metadata import version as installed
from importlib.resources import files
from typing import Any, Final

import psycopg
from procrastinate.schema import SchemaManager
from psycopg.rows import dict_row

from mcp_server.errors import LocalError
from mcp_server.tasks.store.postgres.connections import Connection, libpq, row, run, unmigrated, unreachable

ENGINE: Final = "3.10"
"""The engine's version whose tables `jobs` touches; its later ones are refused until they were tried."""
LEAST: Final = 1
"""The oldest version of this program that works with the tables as this one makes them; a migration that does more than
add raises it."""
_LOCK: Final = 0x6B6C696E67
"""The advisory lock of whoever migrates."""


def steps() -> list[str]:
    """Our migrations, first to last; never edited, only added to."""
    folder = files("mcp_server.tasks.store.postgres").joinpath("migrations")
    found = sorted((entry for entry in folder.iterdir() if entry.name.endswith(".sql")), key=lambda entry: entry.name)
    return [entry.read_text(encoding="utf-8") for entry in found]


async def check(connection: Connection) -> None:
    """Nothing, or LocalError where the tables are not those this version works with.

    A later version's are, as long as it only added to them: so both run while one takes the other's place.
    """
    if await _present(connection, "kling_schema") is None:
        raise unmigrated()
    now, engine, known = await _version(connection), await _engine(connection), len(steps())
    if now > known and await _least(connection) > known:
        raise newer(now)
    if now < known:
        raise LocalError(
            f"The database of tasks has version {now}, and this program needs {known}",
            next_step="Run `kling-video db migrate` once, with the same KLING_DATABASE_URL",
        )
    _tried(engine)


async def migrate(url: str) -> tuple[int, int]:
    """Bring the database to this version; what it was before and what it is now. LocalError where it is newer."""
    given = libpq(url)
    _tried(_ours())
    try:
        async with await psycopg.AsyncConnection[dict[str, Any]].connect(**given, row_factory=dict_row) as connection:
            await run(connection, "SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            before = 0
            if await _present(connection, "kling_schema") is None:
                await run(connection, "CREATE TABLE kling_schema (version integer NOT NULL, engine text NOT NULL)")
                await run(connection, "INSERT INTO kling_schema VALUES (0, %s)", [_ours()])
            else:
                before = await _version(connection)
                _tried(await _engine(connection))
            known = steps()
            if before > len(known):
                raise newer(before)
            if await _present(connection, "procrastinate_jobs") is None:
                await connection.execute(SchemaManager.get_schema().encode())
            for step in known[before:]:
                await connection.execute(step.encode())
            await run(connection, "ALTER TABLE kling_schema ADD COLUMN IF NOT EXISTS least integer")
            await run(connection, "UPDATE kling_schema SET version = %s, least = %s", [len(known), LEAST])
            return before, len(known)
    except psycopg.Error as error:
        raise unreachable(error, "not_spent") from error


def newer(version: int) -> LocalError:
    """The refusal of a database that a later version of this program migrated."""
    return LocalError(
        f"The database of tasks was brought to version {version} by a later version of kling-video",
        next_step="Update kling-video on this machine",
    )


def _ours() -> str:
    return ".".join(installed("procrastinate").split(".")[:2])


def _tried(engine: str) -> None:
    if engine != ENGINE:
        raise LocalError(
            f"The engine of this database is procrastinate {engine}; this version of kling-video works with {ENGINE}",
            why="it touches the engine's tables, and was not tried with others",
            next_step=f"Install procrastinate {ENGINE}, or update kling-video",
        )


async def _present(connection: Connection, table: str) -> dict[str, object] | None:
    return await row(connection, "SELECT 1 AS there FROM pg_class WHERE oid = to_regclass(%s)", [table])


async def _version(connection: Connection) -> int:
    found = await row(connection, "SELECT version FROM kling_schema")
    return int(found["version"]) if found is not None else 0


async def _least(connection: Connection) -> int:
    """The oldest program the tables are for; where it was never said, the one that made them."""
    found = await row(connection, "SELECT * FROM kling_schema")
    if found is None:
        return 0
    least = found.get("least")
    return int(found["version"] if least is None else least)


async def _engine(connection: Connection) -> str:
    found = await row(connection, "SELECT engine FROM kling_schema")
    return str(found["engine"]) if found is not None else ""
