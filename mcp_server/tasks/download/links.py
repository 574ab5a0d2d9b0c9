"""Which addresses a finished clip may be fetched from."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account, origin

Resolve = Callable[[str, int], Awaitable[list[str]]]
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All that is given out (RFC 4291, 2.4): Python calls the old site-local and IPv4-compatible addresses global, too."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1."""


class LinkRefusedError(KlingError):
    """The vendor's link leads somewhere this program does not go."""

    code = "link_refused"
    exit_code = 69


@dataclass(frozen=True, slots=True)
class Place:
    """A checked address and the machines it may mean; none where a proxy looks the name up."""

    url: str
    addresses: tuple[str, ...]


async def check(url: str, account: Account, *, resolve: Resolve, proxied: Callable[[str], bool]) -> Place:
    """The place behind the link, if it is public, encrypted and the provider's; LinkRefusedError otherwise."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    if parts.scheme not in {"https", "http"} or not host or not port or parts.username or parts.password:
        raise _refused("it is no plain web address", host)
    if origin(url) in account.trusted_origins:
        return Place(url, ())
    if parts.scheme != "https":
        raise _refused("it is not encrypted", host)
    hosts = account.facts.media_hosts
    if hosts and not any(_belongs(host, pattern) for pattern in hosts):
        raise _refused(f"{account.facts.name} delivers from {', '.join(hosts)} only", host)
    if proxied(url):
        if _literal(host) and not public([host]):
            raise _refused("it is an address inside a private network", host)
        return Place(url, ())
    try:
        addresses = await resolve(host, port)
    except OSError as error:
        raise LinkUnreachableError(f"The name {host} could not be looked up ({error})") from None
    if not addresses or not public(addresses):
        raise _refused("it is an address inside a private network", host)
    return Place(url, tuple(addresses))


class LinkUnreachableError(KlingError):
    """The link's host cannot be found now."""

    code = "unreachable"
    exit_code = 75


def public(addresses: Iterable[str]) -> bool:
    """Whether every one of them is on the open internet."""
    return all(_open(ip_address(text.partition("%")[0])) for text in addresses)


def _open(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            # A network without IPv4 writes every IPv4 machine so; which one stands in the last four bytes.
            return _open(IPv4Address(address.packed[-4:]))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return _open(inner)
        if address not in _GLOBAL_V6:
            return False
    return address.is_global and not address.is_multicast


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine sees them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _belongs(host: str, pattern: str) -> bool:
    """`runcomfy.net` and `*.runcomfy.net` both mean the name and everything below it."""
    name = pattern.lower().removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _refused(why: str, host: str) -> LinkRefusedError:
    return LinkRefusedError(
        f"The clip's link ({host or 'without a host'}) is not followed",
        why=why,
        next_step="The link stands in video_url: open it yourself if you trust it",
        money="charged",
    )
