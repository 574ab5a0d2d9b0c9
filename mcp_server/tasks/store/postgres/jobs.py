"""The engine's jobs: one for each task that is to be followed, held by one worker until the task ends.

A job is put in beside the change that makes the task one to be followed, and taken out beside the change that ends it,
in the same commit; `tasks.follow_job` names the one that counts. The engine finishes a job by its number alone, so it
is never asked to: the job of a worker that fell silent is not handed on but replaced, and whoever wakes up with the
old number holds nothing. Tasks are locked before their jobs, everywhere. The columns named here are pinned by a test,
for they are the engine's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, Final

from mcp_server.tasks.store.postgres.connections import Connection, row, rows, run
from mcp_server.tasks.store.postgres.notices import EVERYTHING, tell
from mcp_server.tasks.store.schema import OPEN

QUEUE: Final = "follow"
NAME: Final = "kling.follow"
SILENCE_S: Final = 10.0
"""A worker whose beat stood still this long has lost its tasks."""
COLUMNS: Final = {
    "procrastinate_jobs": (
        *("id", "queue_name", "task_name", "args", "status", "scheduled_at", "worker_id"),
        *("priority", "lock", "queueing_lock", "attempts"),
    ),
    "procrastinate_workers": ("id", "last_heartbeat"),
}
"""What this module reads and writes of the engine's tables."""
PUT: Final = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, args, scheduled_at)
    SELECT %(queue)s, %(name)s, jsonb_build_object('task_id', id), now() + make_interval(secs => %(after_s)s)
    FROM unnest(%(ids)s::text[]) AS id
    RETURNING id, args ->> 'task_id' AS task_id
"""
FETCH: Final = """
    UPDATE procrastinate_jobs AS job SET status = 'doing', worker_id = %(worker_id)s
    FROM (
        SELECT id FROM procrastinate_jobs
        WHERE status = 'todo' AND queue_name = ANY(%(queues)s) AND (scheduled_at IS NULL OR scheduled_at <= now())
        ORDER BY priority DESC, id LIMIT %(count)s FOR UPDATE SKIP LOCKED
    ) AS next
    WHERE job.id = next.id
    RETURNING job.id, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts,
        worker_id
"""
"""Several jobs at once, for a worker. The engine gives them one by one, and sorts all that wait for each: 13 ms each of
5,000. Locks between jobs, which it looks at, are in none of ours."""
BEAT: Final = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %(worker_id)s RETURNING id"
"""One row, or none where the place was given up for dead; the engine's own way says nothing of that."""
_GIVE: Final = """
    UPDATE tasks SET follow_job = put.id, holder = NULL, claim = claim + 1 FROM put WHERE tasks.id = put.task_id
    RETURNING tasks.id
"""
WITHOUT_JOB: Final = """NOT EXISTS (
  SELECT FROM procrastinate_jobs AS job WHERE job.id = follow_job AND job.status IN ('todo', 'doing')
)"""


_STRAY: Final = f"NOT EXISTS (SELECT FROM tasks WHERE follow_job = job.id AND {OPEN})"
"""Of a job: no task counts on it."""


def new(task_id: str) -> dict[str, Any]:
    """What `PUT` is given for one task."""
    return {"queue": QUEUE, "name": NAME, "ids": [task_id], "after_s": 0.0}


async def put(connection: Connection, task_id: str) -> int:
    """A new job for a task; its number, for the task's row."""
    found = await row(connection, PUT, new(task_id))
    assert found is not None
    return int(found["id"])


async def end(connection: Connection, numbers: Collection[int]) -> None:
    """Take out jobs that count no more."""
    if numbers:
        await run(connection, "DELETE FROM procrastinate_jobs WHERE id = ANY(%s)", [list(numbers)])


async def end_stray(connection: Connection, numbers: Collection[int]) -> None:
    """Take out those of the jobs that no task counts on."""
    query = f"DELETE FROM procrastinate_jobs AS job WHERE id = ANY(%s) AND {_STRAY}"  # noqa: S608
    await run(connection, query, [list(numbers)])


async def replace(
    connection: Connection, task_ids: Iterable[str], *, holder: str | None = None, after_s: float = 0.0
) -> set[str]:
    """Tasks that are still to be followed, each with a new job and without a holder; whoever had them holds nothing.

    Where a holder is named, only those that are its own.
    """
    found = await rows(
        connection,
        f"SELECT id, follow_job FROM tasks WHERE id = ANY(%s) AND {OPEN} AND (%s::text IS NULL OR holder = %s) "  # noqa: S608
        "ORDER BY id FOR UPDATE",
        [list(task_ids), holder, holder],
    )
    await end(connection, [each["follow_job"] for each in found if each["follow_job"] is not None])
    values = {"queue": QUEUE, "name": NAME, "ids": [each["id"] for each in found], "after_s": after_s}
    return {each["id"] for each in await rows(connection, f"WITH put AS ({PUT}) {_GIVE}", values)}


async def sweep(connection: Connection) -> set[str]:
    """Tasks of workers that fell silent, their jobs replaced; by one worker at a time."""
    if not await _alone(connection, "sweep"):
        return set()
    gone = await rows(
        connection,
        "SELECT id FROM procrastinate_workers WHERE last_heartbeat < now() - make_interval(secs => %s)",
        [SILENCE_S],
    )
    dead = [each["id"] for each in gone]
    silent = await rows(
        connection,
        "SELECT id, args ->> 'task_id' AS task_id FROM procrastinate_jobs WHERE queue_name = %s AND status = 'doing' "
        "AND (worker_id IS NULL OR worker_id = ANY(%s))",
        [QUEUE, dead],
    )
    ids = [each["task_id"] for each in silent]
    await rows(connection, f"SELECT id FROM tasks WHERE id = ANY(%s) AND {OPEN} ORDER BY id FOR UPDATE", [ids])  # noqa: S608
    # Asked again, now that nobody can change them: some were ended or replaced meanwhile, or the worker woke up.
    lost = await rows(
        connection,
        "SELECT task.id FROM tasks AS task JOIN procrastinate_jobs AS job ON job.id = task.follow_job "
        "LEFT JOIN procrastinate_workers AS worker ON worker.id = job.worker_id WHERE task.id = ANY(%s) "
        "AND job.status = 'doing' AND (worker.id IS NULL OR last_heartbeat < now() - make_interval(secs => %s))",
        [ids, SILENCE_S],
    )
    swept = await replace(connection, [each["id"] for each in lost]) if lost else set[str]()
    if silent:
        await end_stray(connection, [each["id"] for each in silent])
    # A worker that wakes up finds its place gone, and takes another with nothing in it.
    await run(
        connection,
        "DELETE FROM procrastinate_workers WHERE id = ANY(%s) AND last_heartbeat < now() - make_interval(secs => %s)",
        [dead, SILENCE_S],
    )
    if swept:
        await tell(connection, EVERYTHING)
    return swept


async def mend(connection: Connection) -> set[str]:
    """Open tasks whose job is gone, each with a new one. There is none unless a rule was broken: whoever asks tells."""
    if not await _alone(connection, "mend"):
        return set()
    lost = await without_job(connection)
    # A second time, locked: a task whose job was replaced this moment lacks none.
    locked = f"SELECT id FROM tasks WHERE id = ANY(%s) AND {OPEN} ORDER BY id FOR UPDATE"  # noqa: S608
    lost &= {each["id"] for each in await rows(connection, locked, [list(lost)])}
    lost &= await without_job(connection)
    return await replace(connection, lost) if lost else set()


async def without_job(connection: Connection) -> set[str]:
    """Open tasks that nobody follows and nobody will: there is none unless a rule was broken."""
    return {each["id"] for each in await rows(connection, f"SELECT id FROM tasks WHERE {OPEN} AND {WITHOUT_JOB}")}  # noqa: S608


async def adopt(connection: Connection, worker: int, before: int | None, numbers: Collection[int]) -> None:
    """The jobs this process holds are those of the worker it is now, not of the one it was before."""
    await run(
        connection,
        "UPDATE procrastinate_jobs SET worker_id = %s WHERE id = ANY(%s) AND status = 'doing'",
        [worker, list(numbers)],
    )
    await leave(connection, before)


async def leave(connection: Connection, worker: int | None) -> None:
    """A worker that is none any more; what it still held is swept at once."""
    await run(connection, "DELETE FROM procrastinate_workers WHERE id = %s", [worker])


async def beat(connection: Connection, worker: int) -> None:
    """Say that a worker lives although the engine does not run just now."""
    await run(connection, BEAT, {"worker_id": worker})


async def living(connection: Connection) -> int:
    """How many workers are not silent."""
    query = "SELECT count(*) AS n FROM procrastinate_workers WHERE last_heartbeat >= now() - make_interval(secs => %s)"
    found = await row(connection, query, [SILENCE_S])
    return int(found["n"]) if found else 0


async def _alone(connection: Connection, what: str) -> bool:
    query = "SELECT pg_try_advisory_xact_lock(hashtext('kling-video'), hashtext(%s)) AS got"
    found = await row(connection, query, [what])
    return bool(found and found["got"])
