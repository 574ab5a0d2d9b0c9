"""A process's way to the shared record: one that only orders, or one that also follows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from mcp_server.clock import Clock
from mcp_server.metrics import Metrics
from mcp_server.tasks.store.postgres.connections import Connections
from mcp_server.tasks.store.postgres.following import Following
from mcp_server.tasks.store.postgres.notices import Notices
from mcp_server.tasks.store.postgres.ownership import Orders
from mcp_server.tasks.store.postgres.store import PostgresStore


def opened(
    url: str, clock: Clock, *, channels: Sequence[str] = (), follows: bool, metrics: Metrics | None = None
) -> PostgresStore:
    """The record at this address; nothing is asked of it before its first use."""
    process = secrets.token_hex(8)
    notices = Notices(url, process)
    store = PostgresStore(
        Connections(url),
        clock,
        process=process,
        ownership=Orders(notices),
        metrics=metrics or Metrics(),
        channels=tuple(channels),
    )
    if follows:
        store.limits = Following(store, notices).limits
    return store
