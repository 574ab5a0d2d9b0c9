"""Tasks are found by what they are, and by their owner only."""

from __future__ import annotations

from typing import Any

import pytest
from support.stub_vendor import House, bought

from mcp_server.errors import UnknownTaskError
from mcp_server.tasks.store.base import Filter


async def test_tasks_are_found_by_what_they_are(house: House) -> None:
    runner = house.runner()
    await bought(house, runner, prompt="a red kite over 100% blue hills")
    await house.clock.advance(10)
    _, boat = await bought(house, runner, prompt="Ein Boot, 纸船", owner="ann")

    async def found(**wanted: Any) -> list[str]:
        return [task.prompt[:5] for task in await runner.store.find(Filter(**wanted))]

    assert await found() == ["Ein B", "a red"]
    assert await found(limit=1) == ["Ein B"]
    assert await found(text="KITE blue") == ["a red"]
    assert await found(text="100% blue_hills") == []
    assert await found(text="100%") == ["a red"]
    assert await found(text="纸船") == ["Ein B"]
    assert await found(owner="ann") == ["Ein B"]
    assert await found(states=("failed",)) == []
    assert await found(since=house.clock.now() - 5) == ["Ein B"]
    assert await found(provider="stub", simulated=True) == []
    with pytest.raises(UnknownTaskError):
        await runner.store.get(boat.id, "bob")
