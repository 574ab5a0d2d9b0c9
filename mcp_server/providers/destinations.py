"""Where this program itself connects on a vendor's word: public machines, and those the user trusts by name.

Judged is the name as it is written, whoever looks it up; then, where nobody stands in between, every machine it means.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from mcp_server.providers.accounts import Account, origin
from mcp_server.providers.downloads import in_a_thread
from mcp_server.providers.media_addresses import host_unfit
from mcp_server.providers.network import public

LOOK_UP_S: Final = 20.0
Resolve = Callable[[str, int], Awaitable[list[str]]]
_HEADERS_AT_MOST: Final = 32
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_VALUE: Final = re.compile(r"[\x20-\x7e]{0,4096}", re.ASCII)
_OURS: Final = re.compile(
    r"authorization|host|cookie|connection|keep-alive|te|trailer|transfer-encoding|content-length|upgrade|expect"
    r"|user-agent|accept-encoding|(proxy|sec)-.*",
    re.IGNORECASE,
)
"""Who is asked, in whose name and how the bytes are framed is not for a vendor to say (RFC 9110, 7; RFC 9112, 6)."""


class UnfitError(Exception):
    """The address is not connected to; says why, and knows the host."""

    def __init__(self, why: str, host: str) -> None:
        super().__init__(why)
        self.why = why
        self.host = host


@dataclass(frozen=True, slots=True)
class Place:
    """A checked address and the machines it may mean; none where a proxy looks the name up."""

    url: str
    addresses: tuple[str, ...]


async def checked(
    url: str, account: Account, *, resolve: Resolve, proxied: Callable[[str], bool], only: Sequence[str] = ()
) -> Place:
    """The place, if it is public and encrypted and one of `only`; UnfitError, or OSError for a name nobody knows."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UnfitError("it is no plain web address", "") from None
    if parts.scheme not in {"https", "http"} or not host or parts.username or parts.password:
        raise UnfitError("it is no plain web address", host)
    if origin(url) in account.trusted_origins:
        return Place(url, ())
    if parts.scheme != "https":
        raise UnfitError("it is not encrypted", host)
    if only and not any(_belongs(host, pattern) for pattern in only):
        raise UnfitError(f"{account.facts.name} delivers from {', '.join(only)} only", host)
    if why := host_unfit(host):
        raise UnfitError(why, host)
    if proxied(url):
        return Place(url, ())
    addresses = await resolve(host, port)
    if not addresses or not public(addresses):
        raise UnfitError("it is an address inside a private network", host)
    return Place(url, tuple(addresses))


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a name, as this machine sees them."""
    # Not among the loop's few threads: a name whose server says nothing would keep everybody's work waiting.
    async with asyncio.timeout(LOOK_UP_S):
        found = await in_a_thread(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def header_unfit(headers: Mapping[str, str]) -> str:
    """Why these headers are not sent on a vendor's word; empty when they are."""
    if len(headers) > _HEADERS_AT_MOST:
        return f"it comes with {len(headers)} headers"
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not _VALUE.fullmatch(value):
            return "it comes with a header that is none"
        if _OURS.fullmatch(name):
            return f"it comes with the header {name}, which is not a vendor's to set"
    return ""


def _belongs(host: str, pattern: str) -> bool:
    """`runcomfy.net` and `*.runcomfy.net` both mean the name and everything below it."""
    name = pattern.lower().removeprefix("*").removeprefix(".")
    return host == name or host.endswith(f".{name}")
