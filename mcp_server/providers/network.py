"""Where a host leads: the open internet, this machine, or somewhere inside a network. Looks no name up."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

NUMBER: Final = re.compile(r"^(0x[0-9a-f]*|[0-9]+)$")
"""A label that the C library reads as part of an IPv4 address."""
_GLOBAL_V6: Final = IPv6Network("2000::/3")
"""All that is given out (RFC 4291, 2.4): Python calls the old site-local and IPv4-compatible addresses global, too."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""RFC 6052, 2.1: a network without IPv4 writes every IPv4 machine so."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether it is on the open internet; one that carries an IPv4 address is judged by that one."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address.scope_id is not None:
        return False
    inner = IPv4Address(address.packed[-4:]) if address in _NAT64 else address.ipv4_mapped or address.sixtofour
    if inner is not None:
        return is_public(inner)
    # Teredo (RFC 4380) leads to whatever stands behind somebody's router.
    return address in _GLOBAL_V6 and address.is_global and not address.is_multicast and address.teredo is None


def public(addresses: Iterable[str]) -> bool:
    """Whether every one of them is on the open internet."""
    return all(is_public(ip_address(text)) for text in addresses)


def is_loopback(host: str) -> bool:
    """Whether it can only mean this machine: `localhost`, 127.0.0.0/8, ::1, and those written inside IPv6."""
    name = host.lower().removesuffix(".")
    if name == "localhost":
        return True
    try:
        address = ip_address(name)
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def plain(host: str) -> str | None:
    """The host in ASCII small letters without its last dot; wide and invisible letters are what they stand for."""
    name = host.lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.removesuffix(".")
    return name if name and ".." not in name and not name.startswith(".") else None


def literal(name: str) -> IPv4Address | IPv6Address | None:
    """The address a plain host is, in any spelling that connects: 127.1, 2130706433, 0x7f.1, 0177.0.0.1, ::1."""
    try:
        return ip_address(name) if ":" in name else _dotted(name.split("."))
    except ValueError:
        return None


def _dotted(parts: list[str]) -> IPv4Address | None:
    """One to four numbers as inet_aton reads them: the last one fills what is left."""
    if len(parts) > 4 or not all(NUMBER.match(part) for part in parts):
        return None
    *front, last = (_number(part) for part in parts)
    if any(part > 255 for part in front) or last >= 256 ** (5 - len(parts)):
        return None
    return IPv4Address(sum(part << 8 * (3 - place) for place, part in enumerate(front)) + last)


def _number(part: str) -> int:
    """Decimal, 0x hexadecimal or 0 octal, as the C library reads it."""
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and part != "0" else int(part)
