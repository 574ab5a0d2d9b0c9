"""Leases: one process at a time, a dead one replaced within seconds, one that slept too long changes nothing."""

from __future__ import annotations

from typing import Any

from support.stub_vendor import House, bought

from mcp_server.tasks.runner import TaskRunner
from mcp_server.tasks.store.base import Lease
from mcp_server.tasks.store.heartbeat import SILENCE_S


async def replaced(house: House) -> tuple[TaskRunner, Any, TaskRunner]:
    """A process that slept after it bought a task, the task, and the process that follows it since."""
    paused, task = await bought(house)
    for loop in paused.leases.loops:
        loop.cancel()
    heir = house.runner()
    await heir.start()
    await house.clock.advance(SILENCE_S + 5)
    return paused, task, heir


async def test_a_killed_process_is_replaced_within_seconds(house: House) -> None:
    dead, task = await bought(house)
    heir = house.runner()
    await heir.start()
    await house.clock.advance(20)
    for loop in dead.leases.loops:
        loop.cancel()
    dead.dispatcher.scheduler.clear()
    house.vendor.finish("job-1")
    before = house.clock.passed

    task = await house.until(heir, task.id, "succeeded", limit_s=60)

    assert house.clock.passed - before <= SILENCE_S + 4
    assert house.vendor.downloads == ["https://media.test/job-1.mp4"]


async def test_while_its_holder_lives_nobody_else_polls(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    await house.clock.advance(120)

    assert task.id in one.dispatcher.scheduler.ids()
    assert task.id not in two.dispatcher.scheduler.ids()
    assert (await one.store.take_over(), await two.store.take_over()) == ([], [])


async def test_a_process_that_slept_through_its_replacement_changes_nothing(house: House) -> None:
    paused, task, heir = await replaced(house)
    assert task.id in heir.dispatcher.scheduler.ids()

    stale = Lease(task, 1)

    assert await paused.store.change(stale, state="failed") is None
    assert await paused.store.sending(stale, 0.0) is False
    assert await paused.store.heartbeat() is False
    assert (await heir.store.get(task.id)).state == "queued"


async def test_a_process_that_is_told_to_go_hands_over_at_once(house: House) -> None:
    one, task = await bought(house)
    two = house.runner()
    await two.start()
    await house.clock.advance(5)
    await one.close()
    await house.clock.advance(2.5)

    assert task.id in two.dispatcher.scheduler.ids()


async def test_what_is_ordered_after_its_replacement_is_followed_by_the_process_that_slept(house: House) -> None:
    paused, lost, heir = await replaced(house)
    _, kept = await bought(house, paused)
    paused.leases.loops.clear()

    await paused.start()
    await house.clock.advance(5)

    assert paused.dispatcher.scheduler.ids() == {kept.id}
    assert heir.dispatcher.scheduler.ids() == {lost.id}
