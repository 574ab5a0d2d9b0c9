"""The runner where there is nothing to run."""

from __future__ import annotations

from support.stub_vendor import House

from mcp_server.tasks.store.base import Filter


async def test_a_runner_of_nothing_makes_no_file(house: House) -> None:
    runner = house.runner()
    await runner.start()
    await house.clock.advance(30)

    assert await runner.store.find(Filter()) == []
    assert await runner.wait(["kv-nothing"], timeout_s=0) == []
    assert await runner.store.spent("2000-01-01") == []
    assert not (house.home / "tasks.db").exists()
