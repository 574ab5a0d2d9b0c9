"""A job's id goes back to its vendor as it came, or it is no id."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_server import catalog
from mcp_server.errors import ProviderError
from mcp_server.providers import wire
from mcp_server.providers.base import HttpReply

ACCEPTED: dict[str, Any] = {
    "fal": lambda said: {"request_id": said, "status": "IN_QUEUE"},
    "comfy": lambda said: {"request_id": said, "status": "IN_QUEUE"},
    "replicate": lambda said: {"id": said, "status": "starting"},
    "klingai": lambda said: {"code": 0, "data": {"id": said, "status": "submitted"}},
}


@pytest.mark.parametrize("provider", ACCEPTED)
@pytest.mark.parametrize("said", ["j" * 300, "j-1\x1b[2J", "j 1", ""])
def test_what_cannot_be_sent_back_exactly_is_no_id(provider: str, said: str) -> None:
    reply = HttpReply(status=200, body=ACCEPTED[provider](said), text="")
    with pytest.raises(ProviderError) as refused:
        wire(catalog.load().providers[provider]).read_submit(reply)
    assert refused.value.fault == "unreadable"


@pytest.mark.parametrize("provider", ACCEPTED)
def test_an_id_is_kept_as_it_came(provider: str) -> None:
    reply = HttpReply(status=200, body=ACCEPTED[provider]("j-1"), text="")
    assert wire(catalog.load().providers[provider]).read_submit(reply).id == "j-1"
