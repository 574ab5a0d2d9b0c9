"""Fixtures: one cluster for each process of the suite, one migrated database for each test that asks."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.postgres import Cluster

_COUNT = itertools.count(1)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A server that does not wait for the disk: what survives a crash is the drill's business."""
    from mcp_server.tasks.store.postgres.migrate import migrate

    made = Cluster(durable=False)
    try:
        # In a thread of its own: whoever asks may stand in a loop.
        with ThreadPoolExecutor(1) as aside:
            aside.submit(lambda: asyncio.run(migrate(made.make("migrated")))).result()
        yield made
    finally:
        made.remove()


@pytest.fixture
def database(cluster: Cluster) -> str:
    """The address of an empty, migrated database."""
    import psycopg

    name = f"test_{next(_COUNT)}"
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE migrated".encode())
    return cluster.url(name)
