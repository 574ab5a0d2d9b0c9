"""What is particular about Replicate: a lost order is told from others by what was ordered and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from mcp_server import catalog
from mcp_server.errors import ProviderError
from mcp_server.providers import wire
from mcp_server.providers.base import HttpCall, HttpReply
from mcp_server.providers.replicate.wire import Wire

MADE = "2026-11-28T10:00:00.000Z"
AT = datetime.fromisoformat(MADE).timestamp()
INPUT = {"prompt": "a boat", "mode": "pro", "duration": 5, "generate_audio": False}
ORDER = HttpCall(method="POST", path="/v1/models/kwaivgi/kling-v3-video/predictions", json={"input": INPUT}, paid=True)


def found(order: HttpCall = ORDER, sent_at: float = AT, **row: Any) -> list[str]:
    adapter = wire(catalog.load().providers["replicate"])
    assert isinstance(adapter, Wire)
    listed = {"id": "p1", "model": "kwaivgi/kling-v3-video", "input": INPUT, "created_at": MADE, "status": "starting"}
    reply = HttpReply(status=200, body={"results": [listed | row]})
    return [job.id for job in adapter.read_find(order, sent_at, reply)]


def test_the_same_order_made_just_then_is_it() -> None:
    assert found() == ["p1"]
    assert found(input=INPUT | {"seed": 7}) == ["p1"]
    assert found(sent_at=AT + 500) == ["p1"], "two clocks differ"


@pytest.mark.parametrize(
    "row",
    [
        {"model": "kwaivgi/kling-v3-omni-video"},
        {"input": INPUT | {"prompt": "a ship"}},
        {"input": {}},
        {"created_at": "soon"},
        {"created_at": "2026-11-28T09:00:00.000Z"},
        {"id": ""},
    ],
)
def test_another_order_or_an_older_one_is_not(row: dict[str, Any]) -> None:
    assert found(**row) == []


def test_bytes_that_went_inside_the_order_are_not_compared() -> None:
    order = HttpCall(
        method="POST", path=ORDER.path, json={"input": INPUT | {"start_image": "data:image/png;base64,AAAA"}}, paid=True
    )

    assert found(order, input=INPUT | {"start_image": "https://replicate.delivery/a.png"}) == ["p1"]
    assert found(order, input=INPUT) == [], "a picture was ordered with, and none is there"


def test_a_refusal_says_nothing_about_the_order() -> None:
    adapter = wire(catalog.load().providers["replicate"])
    assert isinstance(adapter, Wire)

    with pytest.raises(ProviderError):
        adapter.read_find(ORDER, AT, HttpReply(status=401, body={"detail": "Unauthenticated"}))
