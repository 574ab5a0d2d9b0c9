"""What every test stands on: no environment, no keys, a home of its own, no network but loopback."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from mcp_server import catalog

if TYPE_CHECKING:
    from support.mcp_world import Vendors

_CONNECT = socket.socket.connect
VENDORS = tuple(facts.key_variable.partition("_")[0] for facts in catalog.load().providers.values())
"""What the vendors' variables begin with."""
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
    import os

    return 2 * (os.cpu_count() or 1)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable of the developer's machine reaches a test."""
    import os

    for name in list(os.environ):
        if name.startswith(("KLING", *VENDORS)) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("KLING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KLING_OUTPUT_DIR", str(tmp_path / "videos"))


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test that would leave this machine fails."""

    def connect(self: socket.socket, address: object) -> None:
        if isinstance(address, tuple) and not _is_local(str(address[0])):
            raise AssertionError(f"a test tried to reach {address[0]}")
        _CONNECT(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", connect)
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
