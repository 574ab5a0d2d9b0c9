"""Which addresses may be handed to a vendor: public https, with nothing secret in them.

The vendor fetches them, not this program; a private one cannot work and may be meant for something inside its network.
Names are judged as they are written: what they resolve to is the vendor's to guard.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

_UNPRINTED = re.compile(r"[\x00-\x20\x7f\\]")
"""Blanks, line breaks and backslashes: parsers disagree about what they mean in an address."""
_NUMBER = re.compile(r"^(0x[0-9a-f]*|[0-9]+)$")
_INSIDE: Final = ("localhost", "local", "internal", "localdomain", "lan", "intranet", "home.arpa", "corp", "home")
"""Last labels that never lead out of a network (RFC 6761, 6762, 8375; ICANN's reserved `internal`, `corp`, `home`)."""
_GLOBAL_V6 = IPv6Network("2000::/3")


def unfit(address: str, *, simulated: bool = False) -> str:
    """Why this address must not go to a vendor; empty when it may.

    `simulated` also lets plain http on this machine pass: the built-in sandbox fetches nothing.
    """
    if _UNPRINTED.search(address):
        return "it has a blank, a line break or a backslash in it"
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it cannot be read as an address"
    if "@" in parts.netloc:
        return "it carries a user name or a password"
    if not host:
        return "it names no host"
    inside = host_unfit(host)
    if parts.scheme == "http" and simulated and _is_this_machine(host):
        return ""
    if parts.scheme != "https":
        return "it is not https"
    return inside


def host_unfit(host: str) -> str:
    """Why this host is not a public one; empty when it is, or is a name nobody can judge."""
    if "%" in host:
        return "its host is written in a disguise"
    name = _plain(host)
    if name is None:
        return "its host is no name"
    literal = _literal(name)
    if literal is None and (":" in name or _NUMBER.match(name.rpartition(".")[2])):
        return "its host is a number that is no address"
    if literal is not None:
        return "" if _is_public(literal) else "its host is a private or reserved address"
    if any(name == suffix or name.endswith(f".{suffix}") for suffix in _INSIDE):
        return "its host is a name inside a private network"
    return "" if "." in name else "its host is a name without a dot, which only a private network knows"


def _plain(host: str) -> str | None:
    """The host in ASCII small letters without its last dot; wide and invisible letters are what they stand for."""
    name = host.lower()
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    name = name.removesuffix(".")
    return name if name and ".." not in name and not name.startswith(".") else None


def _literal(name: str) -> IPv4Address | IPv6Address | None:
    """The address a host is, in any spelling that connects: 127.1, 2130706433, 0x7f.1, 0177.0.0.1, [::1]."""
    if ":" in name:
        try:
            return ip_address(name)
        except ValueError:
            return None
    parts = name.split(".")
    if len(parts) > 4 or not all(_NUMBER.match(part) for part in parts):
        return None
    try:
        numbers = [_number(part) for part in parts]
    except ValueError:
        return None
    *front, last = numbers
    if any(part > 255 for part in front) or last >= 256 ** (5 - len(parts)):
        return None
    return IPv4Address(sum(part << 8 * (3 - place) for place, part in enumerate(front)) + last)


def _number(part: str) -> int:
    """Decimal, 0x hexadecimal or 0 octal, as the C library reads it."""
    if part.startswith("0x"):
        return int(part[2:] or "0", 16)
    return int(part, 8) if part.startswith("0") and part != "0" else int(part)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    # 6to4 and Teredo carry an IPv4 address inside; NAT64 and IPv4-compatible ones lie outside 2000::/3.
    tunnel = address.sixtofour is not None or address.teredo is not None
    return address in _GLOBAL_V6 and address.is_global and not tunnel and address.scope_id is None


def _is_this_machine(host: str) -> bool:
    name = _plain(host) or ""
    literal = _literal(name)
    return name == "localhost" or (literal is not None and literal.is_loopback)
