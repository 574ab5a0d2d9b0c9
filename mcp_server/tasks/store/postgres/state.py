"""The shared record as `doctor` sees it: reachable, of this version, its clock, its workers, and nobody left alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from mcp_server.metrics import Reading
from mcp_server.tasks.store.postgres import jobs
from mcp_server.tasks.store.postgres.connections import Connections, row, rows
from mcp_server.tasks.store.schema import OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordState:
    """What was found in one look."""

    version: str
    """Of the database server."""
    tasks: int
    open: int
    workers: int
    """Whose heartbeat is younger than the silence."""
    alone: int
    """Open tasks that nobody follows and nobody will: any but 0 is a defect."""
    connections: int
    """How many the server allows, whoever opens them."""
    skew_s: float
    """How far this machine's clock is ahead of the database's."""


async def readings(connections: Connections, now: Callable[[], float]) -> list[Reading]:
    """The same as metrics: what is open by state, who lives, what is left alone. Only unfinished rows are counted."""
    async with connections.transaction() as connection:
        states = await rows(connection, f"SELECT state, count(*) AS n FROM tasks WHERE {OPEN} GROUP BY state")  # noqa: S608
        alone = await jobs.without_job(connection)
        living = await jobs.living(connection)
        clock = await row(connection, "SELECT extract(epoch FROM clock_timestamp())::float8 AS at")
    assert clock is not None
    return [
        *(("kling_record_open_tasks", {"state": each["state"]}, each["n"]) for each in states),
        ("kling_record_workers", {}, living),
        ("kling_record_alone", {}, len(alone)),
        ("kling_record_clock_skew_seconds", {}, now() - clock["at"]),
    ]


async def look(url: str, now: Callable[[], float]) -> RecordState:
    """The record as it stands; LocalError where it cannot be used."""
    connections = Connections(url)
    try:
        async with connections.transaction() as connection:
            alone = await jobs.without_job(connection)
            found = await row(
                connection,
                "SELECT current_setting('server_version') AS version, (SELECT count(*) FROM tasks) AS tasks, "  # noqa: S608
                f"(SELECT count(*) FROM tasks WHERE {OPEN}) AS open, (SELECT count(*) FROM procrastinate_workers "
                "WHERE last_heartbeat > now() - make_interval(secs => %s)) AS workers, "
                "current_setting('max_connections')::int AS connections, "
                "extract(epoch FROM clock_timestamp())::float8 AS clock",
                [jobs.SILENCE_S],
            )
        assert found is not None
        return RecordState(skew_s=now() - found.pop("clock"), alone=len(alone), **found)
    finally:
        await connections.close()
