"""What every test stands on: no environment, no keys, a home of its own, no network but loopback."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from support.drawn_once import drawn_once
from support.slow_first import slow_first

from mcp_server import catalog
from mcp_server.sandbox.video import cache

if TYPE_CHECKING:
    from support.mcp_world import Vendors

_CONNECT = socket.socket.connect
_COUNT = count(1)
VENDORS = tuple(facts.key_variable.partition("_")[0] for facts in catalog.load().providers.values())
OURS = ("KLING", *VENDORS)
"""What the vendors' variables begin with, and ours."""
LOCAL_NAMES = {"localhost", "127.0.0.1", "::1"}

# The same examples in every run, and a busy machine is no failure.
settings.register_profile("suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """A worker that has nothing left takes from the others: the slow tests stand together."""
    if config.getoption("dist", "no") == "load":
        config.option.dist = "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two workers a core: half of what the suite takes is waiting for other processes."""
    return 2 * (os.cpu_count() or 1)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Every worker collects all of it: nothing of that is garbage, and nobody shall look through it for some."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The slow files first, for each worker its share."""
    if (workers := getattr(config, "workerinput", {}).get("workercount", 1)) > 1:
        items[:] = slow_first(items, workers)


@pytest.fixture(autouse=True)
def clean_environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No variable of the developer's machine reaches a test.

    Thousands of tests are over in a millisecond, and most write nothing: who does not ask for `tmp_path` has a home of its
    own whose folder is not there yet.
    """
    asked = "tmp_path" in request.fixturenames
    folder = request.getfixturevalue("tmp_path") if asked else tmp_path_factory.getbasetemp() / f"home-{next(_COUNT)}"
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(OURS) or name.lower().endswith("_proxy")]:
            patch.delenv(name)
        patch.setenv("HOME", str(folder / "user"))
        patch.setenv("KLING_HOME", str(folder / "home"))
        patch.setenv("KLING_OUTPUT_DIR", str(folder / "videos"))
        yield


@pytest.fixture(autouse=True, scope="session")
def loopback_only() -> Iterator[None]:
    """A test that would leave this machine fails."""

    def connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not _is_local(str(address[0])):
            raise AssertionError(f"a test tried to reach {address[0]}")
        _CONNECT(self, address)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        yield


@pytest.fixture(autouse=True, scope="session")
def clips_drawn_once() -> Iterator[None]:
    """Where the sandbox plays in the test's own process; tests of the renderer call it by its name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "render", drawn_once)
        yield


def _is_local(host: str) -> bool:
    if host in LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture
async def shops(tmp_path: Path) -> AsyncIterator[Vendors]:
    """All vendors on loopback, played by the sandbox, with keys and a home of their own for servers that buy there."""
    from support.mcp_world import vendors

    async with vendors(tmp_path) as made:
        yield made
