"""Where a host leads: one test for the open internet and one for this machine."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mcp_server.providers.media_addresses import unfit
from mcp_server.providers.network import is_loopback, is_public

OPEN = [
    "93.184.216.34",
    "2a00:1450:4001::1",
    "64:ff9b::5db8:d822",
    "::ffff:93.184.216.34",
    "2002:5db8:d822::1",
]
INSIDE = [
    "10.1.2.3",
    "224.0.0.1",
    "64:ff9b::10.1.2.3",
    "64:ff9b::224.0.0.1",
    "::ffff:10.1.2.3",
    "2002:a01:203::1",
    "2001:0:5db8:d822::1",
    "2a00:1450:4001::1%eth0",
    "ff0e::1",
    "4000::1",
]


@pytest.mark.parametrize("text", OPEN)
def test_a_machine_on_the_open_internet_is_public_for_links_and_for_vendors(text: str) -> None:
    assert is_public(ip_address(text))
    assert unfit(f"https://{f'[{text}]' if ':' in text else text}/a.png") == ""


@pytest.mark.parametrize("text", INSIDE)
def test_whatever_stands_inside_a_network_is_not(text: str) -> None:
    assert not is_public(ip_address(text))
    assert unfit(f"https://{f'[{text}]' if ':' in text else text}/a.png")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost", "localhost.", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"],
)
def test_this_machine_is_known_however_it_is_written(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", ".", "0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "127.0.0.1.example.com", "localhost.example.com"]
)
def test_anything_else_is_another_machine(host: str) -> None:
    assert not is_loopback(host)
