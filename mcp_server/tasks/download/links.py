"""Which addresses a finished clip may be fetched from."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_server.errors import KlingError
from mcp_server.providers.accounts import Account, origin
from mcp_server.providers.network import is_public, literal, plain, public

Resolve = Callable[[str, int], Awaitable[list[str]]]


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
        if (address := literal(plain(host) or "")) is not None and not is_public(address):
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


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine sees them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _belongs(host: str, pattern: str) -> bool:
    """`runcomfy.net` and `*.runcomfy.net` both mean the name and everything below it."""
    name = pattern.lower().removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")


def _refused(why: str, host: str) -> LinkRefusedError:
    return LinkRefusedError(
        f"The clip's link ({host or 'without a host'}) is not followed",
        why=why,
        next_step="The link stands in video_url: open it yourself if you trust it",
        money="charged",
    )
