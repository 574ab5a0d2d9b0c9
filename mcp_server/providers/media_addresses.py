"""Which addresses may be sent to a vendor: public https, with nothing secret in them.

The vendor fetches them, not this program; a private one cannot work and may be meant for something inside its network.
Names are judged as they are written: what they resolve to is the vendor's to guard.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from mcp_server.providers import network

_UNPRINTED = re.compile(r"[\x00-\x20\x7f\\]")
"""Blanks, line breaks and backslashes: parsers disagree about what they mean in an address."""
_LONGEST = 8_192
"""What servers take at most in a first line; signatures need a quarter of it."""
_INSIDE = re.compile(r"(^|\.)(localhost|local|internal|localdomain|lan|intranet|home\.arpa|corp|home)\Z")
"""Last labels that never lead out of a network (RFC 6761, 6762, 8375; ICANN's reserved `internal`, `corp`, `home`)."""

_METADATA = frozenset({"metadata.tencentyun.com", "metadata.packet.net", "metadata.platformequinix.com"})
"""Names of clouds' metadata services that look public; the others' are addresses or end in `internal`."""


def unfit(address: str, *, simulated: bool = False) -> str:
    """Why this address must not go to a vendor; empty when it may.

    `simulated` also lets plain http on this machine pass: the built-in sandbox fetches nothing.
    """
    if len(address) > _LONGEST:
        return f"it has more than {_LONGEST:,} characters"
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
    name = network.plain(host)
    if name is None:
        return "its host is no name"
    if (address := network.literal(name)) is not None:
        return "" if network.is_public(address) else "its host is a private or reserved address"
    if ":" in name or network.NUMBER.match(name.rpartition(".")[2]):
        return "its host is a number that is no address"
    if _INSIDE.search(name) or name in _METADATA:
        return "its host is a name inside a private network"
    return "" if "." in name else "its host is a name without a dot, which only a private network knows"


def _is_this_machine(host: str) -> bool:
    name = network.plain(host) or ""
    return network.is_loopback(str(network.literal(name) or name))
