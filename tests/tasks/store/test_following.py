"""Who follows what on a database that many machines share: one worker each, its heirs when it falls silent, nobody twice."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest
from support.followers import LIMIT_S, ordered, until

from mcp_server.tasks.store.postgres import engine


async def test_every_order_is_handed_to_one_worker_and_its_job_ends_with_it(process: Any) -> None:
    one, two, replica = process(most=3), process(most=3), process()
    ids = await ordered(replica, 6)
    first, second = await one.holds(3), await two.holds(3)

    assert {*first} | {*second} == {*ids} and not {*first} & {*second}
    assert len(one.following) == len(two.following) == 3
    (gone, *rest) = first
    await one.end(gone)
    (seventh,) = await ordered(replica, 1)
    assert seventh in await one.holds(4), "who ended one has room for another"
    jobs = await one.ask("SELECT args ->> 'task_id' FROM procrastinate_jobs WHERE status = 'doing'")
    assert sorted(jobs) == sorted((task_id,) for task_id in [*rest, *second, seventh])


async def test_who_goes_while_it_takes_many_leaves_none_behind(process: Any) -> None:
    one, replica = process(), process()
    ids = await ordered(replica, 100)
    await one.holds(1)
    await one.following.leave(set())
    assert await one.ask("SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing'") == [(0,)]
    heir = process()

    assert {*await heir.holds(100)} == {*ids}
    await one.following.release()
    doing = await heir.ask("SELECT worker_id, args ->> 'task_id' FROM procrastinate_jobs WHERE status = 'doing'")
    assert sorted(doing) == sorted((heir.following._worker, task_id) for task_id in ids)


async def test_a_silent_worker_s_tasks_are_another_s_and_its_writes_are_worth_nothing(process: Any) -> None:
    victim = await process().listen()
    (task_id,) = await ordered(victim, 1)
    (old,) = (await victim.holds(1)).values()
    heir = process()
    await heir.following.take_over()
    await victim.fall_silent()
    (new,) = (await heir.holds(1)).values()

    assert (new.task.id, new.number > old.number) == (task_id, True)
    assert await victim.store.sending(old, 1.0) is False and len(victim.following) == 0
    assert await victim.store.change(old, state="failed") is None
    assert await heir.store.sending(new, 1.0) is True
    await until(lambda: victim.following.notices._deaf)
    assert await victim.following.moved() is None, "it hears that any of its tasks may be gone"
    assert await victim.following.lost({task_id}) == {task_id}
    assert await heir.ask("SELECT count(*) FROM procrastinate_workers") == [(1,)]


async def test_who_ends_gives_back_at_once_but_not_what_it_is_paying_for(process: Any) -> None:
    one = process()
    paying, *others = await ordered(one, 3)
    await one.holds(3)
    await one.following.leave({paying})
    two = process()

    assert {*await two.holds(2)} == {*others}
    assert await one.store.change(one.leases[paying], state="queued", job_id="j") is not None
    await one.following.release()
    assert {*await two.holds(3)} == {paying, *others}
    assert two.leases[paying].task.job_id == "j"
    assert await two.ask("SELECT count(*) FROM procrastinate_workers") == [(1,)]


async def test_what_is_decided_elsewhere_ends_the_lease_and_goes_to_a_worker(process: Any) -> None:
    worker, replica = await process().listen(), process()
    (task_id,) = await ordered(replica, 1)
    (old,) = (await worker.holds(1)).values()
    await worker.store.change(old, state="queued", job_id="j")
    await worker.following.moved()
    await replica.store.decide(task_id, ("queued",), "moved", output_dir="/elsewhere")
    await until(lambda: task_id in worker.following.notices._moved)

    assert await worker.store.change(old, note="late") is None
    worker.leases.clear()
    (new,) = (await worker.holds(1)).values()
    assert (new.task.output_dir, new.number > old.number, len(worker.following)) == ("/elsewhere", True, 1)
    await replica.store.decide(task_id, ("queued",), "stopped", stopped_following=True)
    assert await worker.following.lost({task_id}) == {task_id} and len(worker.following) == 0
    assert await worker.ask("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


async def test_a_worker_whose_connections_are_cut_goes_on_with_what_it_holds(process: Any, database: str) -> None:
    worker = process()
    ids = await ordered(worker, 2)
    before = dict(await worker.holds(2))
    place = worker.following._worker
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        # It may go on with its connections made anew, or begin again: either way the next order is its.
        await ordered(worker, 1)
    await worker.holds(3)

    for task_id in ids:
        assert await worker.store.change(before[task_id], note="still mine") is not None
    held = "SELECT DISTINCT worker_id FROM procrastinate_jobs WHERE status = 'doing'"
    assert await worker.ask(held) == [(worker.following._worker,)]
    assert await worker.ask("SELECT id FROM procrastinate_workers") == [(worker.following._worker,)]
    assert worker.following._worker is not None and place is not None


async def test_an_engine_that_begins_again_takes_its_place_with_all_it_holds(process: Any) -> None:
    worker = process()
    (task_id,) = await ordered(worker, 1)
    (lease,) = (await worker.holds(1)).values()
    place = worker.following._worker
    await worker.following._engine.stop()
    worker.following._engine.start()
    await until(lambda: worker.following._worker != place)
    async with worker.store.connections.transaction() as connection:
        from mcp_server.tasks.store.postgres import jobs

        assert await jobs.sweep(connection) == set()

    assert (await worker.store.change(lease, note="mine")).note == "mine"
    held = "SELECT worker_id, args ->> 'task_id' FROM procrastinate_jobs WHERE status = 'doing'"
    assert await worker.ask(held) == [(worker.following._worker, task_id)]


async def test_a_task_of_a_later_version_and_one_set_aside_wait_for_another_worker(process: Any) -> None:
    worker = process()
    strange, unknown = await ordered(worker, 2)
    await worker.ask("UPDATE tasks SET became = '[]' WHERE id = %s RETURNING id", strange)
    (lease,) = (await worker.holds(1)).values()
    assert lease.task.id == unknown
    await worker.following.set_aside(lease, "nobody knows its vendor here")

    assert (await worker.store.get(unknown)).note == "nobody knows its vendor here"
    waiting = (
        "SELECT args ->> 'task_id' FROM procrastinate_jobs WHERE status = 'todo' AND scheduled_at > now() ORDER BY id"
    )
    await until(lambda: len(worker.following) == 0)
    assert {*await worker.ask(waiting)} == {(strange,), (unknown,)}


async def quick_worker(process: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An idle worker that beats a hundred times a second."""
    monkeypatch.setattr(engine, "BEAT_S", 0.01)
    worker = process()
    await worker.following.take_over()
    return worker


async def test_an_idle_worker_whose_place_was_swept_away_takes_another(
    process: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await quick_worker(process, monkeypatch)
    await until(lambda: worker.following._worker is not None)
    before = worker.following._worker
    await worker.ask("DELETE FROM procrastinate_workers RETURNING id")
    await until(lambda: worker.following._worker != before)

    assert await worker.ask("SELECT id FROM procrastinate_workers") == [(worker.following._worker,)]
    assert "its place was given up" in caplog.text
    (task_id,) = await ordered(worker, 1)
    assert {*await worker.holds(1)} == {task_id}


async def test_a_beat_that_fails_is_not_the_last(
    process: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = await quick_worker(process, monkeypatch)
    with monkeypatch.context() as away:
        away.setattr(engine, "BEAT", "SELECT 1 / (%(worker_id)s - %(worker_id)s)")
        await until(lambda: "The engine cannot beat now: division by zero" in caplog.text)
    place = worker.following._worker
    await worker.ask("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '5 s' RETURNING id")
    late = "SELECT id FROM procrastinate_workers WHERE last_heartbeat > now() - interval '4 s'"
    async with asyncio.timeout(LIMIT_S):
        while not (beating := await worker.ask(late)):
            await asyncio.sleep(0.01)

    assert beating == [(place,)] and worker.following._worker == place


async def test_who_follows_hears_of_a_vendor_s_post_to_whichever_server(process: Any) -> None:
    worker, server, another = await process().listen(), process(), process()
    (task_id,) = await ordered(server, 1)
    await worker.holds(1)
    idle = await process().listen()
    worker.following.woken.clear()
    assert await server.store.posted(task_id, "p") is True
    await until(worker.following.woken.is_set)

    assert [worker.following.posted_about(), worker.following.posted_about()] == [{task_id}, frozenset()]
    assert await another.store.posted(task_id, "p") is False, "the same post to another server"
    assert idle.following.posted_about() == frozenset(), "who does not follow it has nothing to do"
    assert (await server.store.get(task_id)).state == "submitting"
    await server.ask("UPDATE posts SET at = now() - interval '2 hours' RETURNING id")
    await server.store.posted(task_id, "q")
    assert await server.ask("SELECT id FROM posts") == [("q",)], "old ones are forgotten"
