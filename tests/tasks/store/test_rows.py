"""A row changes under the rules or not at all."""

from __future__ import annotations

import pytest
from support.stub_vendor import House

from mcp_server.errors import RequestError, UnknownTaskError
from mcp_server.tasks.store.moves import IllegalMoveError


async def test_illegal_moves_are_impossible(house: House) -> None:
    runner = house.runner()
    lease, _ = await runner.store.create(house.new(), runner.budget)
    with pytest.raises(IllegalMoveError):
        await runner.store.change(lease, state="succeeded")
    await runner.store.change(lease, state="failed")

    assert await runner.store.change(lease, state="queued") is None
    with pytest.raises(RequestError):
        await runner.control.stop_following(lease.task.id)
    with pytest.raises(UnknownTaskError):
        await runner.store.get("kv-nothing")
