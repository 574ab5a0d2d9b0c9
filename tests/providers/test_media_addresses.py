"""Which addresses may be handed to a vendor."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_server.providers.media_addresses import host_unfit, unfit


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/a.png",
        "HTTPS://Example.COM/a.png",
        "https://example.com:8443/a.png?X-Signature=abc%2Fdef#x",
        "https://cdn.example.co.uk./a.png",
        "https://xn--bcher-kva.example/a.png",
        "https://bücher.example/a.png",
        "https://8.8.8.8/a.png",
        "https://[2606:4700::6810:84e5]/a.png",
        "https://[::ffff:8.8.8.8]/a.png",
        "https://localhost.example.com/a.png",
        "https://1.2.3.4.example.com/a.png",
        "https://0xbeef.example/a.png",
    ],
)
def test_a_public_address_may_go(address: str) -> None:
    assert unfit(address) == ""


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("http://example.com/a.png", "not https"),
        ("ftp://example.com/a.png", "not https"),
        ("//example.com/a.png", "not https"),
        ("https://user:pass@example.com/a.png", "user name"),
        ("https://example.com@127.0.0.1/a.png", "user name"),
        ("https://@example.com/a.png", "user name"),
        ("https:///a.png", "no host"),
        ("https://exa mple.com/a.png", "blank"),
        ("https://example.com/a\n.png", "blank"),
        (" https://example.com/a.png", "blank"),
        ("https://example.com\\@127.0.0.1/", "backslash"),
        ("https://[::1/a.png", "cannot be read"),
        ("https://example.com:99999/a.png", "cannot be read"),
        ("https://%6c%6fcalhost/a.png", "disguise"),
        ("https://[fe80::1%25eth0]/a.png", "disguise"),
        ("https://a..b/a.png", "no name"),
        ("https://" + "a" * 64 + "é.example/", "no name"),
        ("https://localhost/a.png", "private network"),
        ("https://LOCALHOST./a.png", "private network"),
        ("https://printer.local/a.png", "private network"),
        ("https://metadata.google.internal/a.png", "private network"),
        ("https://db.corp/a.png", "private network"),
        ("https://nas.home.arpa/a.png", "private network"),
        ("https://intranet/a.png", "private network"),
        ("https://router/a.png", "without a dot"),
        ("https://1.2.3.4.5/a.png", "no address"),
        ("https://256.1.1.1/a.png", "no address"),
        ("https://08.1.1.1/a.png", "no address"),
        ("https://example.123/a.png", "no address"),
        ("https://example.0x1/a.png", "no address"),
        ("https://4294967296/a.png", "no address"),
    ],
)
def test_anything_else_may_not_and_says_why(address: str, why: str) -> None:
    assert why in unfit(address)


PRIVATE = [
    "127.0.0.1", "127.255.0.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
    "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_a_private_address_may_not_go_in_any_spelling(host: str) -> None:
    number = int(IPv4Address(host))
    a, b, c, d = IPv4Address(host).packed
    spellings = [
        host,
        f"{host}.",
        str(number),
        hex(number),
        hex(number).upper(),
        f"0{number:o}",
        f"{a:#x}.{b:#x}.{c:#x}.{d:#x}",
        f"0{a:o}.0{b:o}.0{c:o}.0{d:o}",
        f"00{a:o}.{b}.{c}.{d}",
        f"{a}.{number - (a << 24)}",
        f"{a}.{b}.{(c << 8) + d}",
        "".join(chr(ord(letter) + 0xFEE0) if letter.isdigit() else letter for letter in host),
        host.replace(".", "。"),
        f"[::ffff:{host}]",
        f"[::ffff:{a:02x}{b:02x}:{c:02x}{d:02x}]",
        f"[::{host}]",
        f"[64:ff9b::{host}]",
        f"[{IPv6Address((0x2002 << 112) + (number << 80))}]",
    ]
    for spelling in spellings:
        assert unfit(f"https://{spelling}/a.png"), spelling


@pytest.mark.parametrize(
    "host",
    ["::", "::1", "fe80::1", "fc00::1", "fd12:3456::1", "ff02::1", "fec0::1", "2001:db8::1", "2001::1", "100::1"],
)
def test_a_private_ipv6_address_may_not_go(host: str) -> None:
    assert "private or reserved" in unfit(f"https://[{host}]/a.png")


def test_plain_http_on_this_machine_passes_only_in_a_rehearsal() -> None:
    for address in ("http://127.0.0.1:8000/a.png", "http://localhost:1/a.png", "http://[::1]:9/a.png"):
        assert unfit(address) == "it is not https"
        assert unfit(address, simulated=True) == ""
    assert unfit("http://192.168.1.1/a.png", simulated=True)
    assert unfit("http://example.com/a.png", simulated=True)
    assert unfit("http://u:p@127.0.0.1/a.png", simulated=True)
    assert unfit("https://192.168.1.1/a.png", simulated=True)


@given(st.ip_addresses(v=4))
def test_every_ipv4_address_is_judged_by_where_it_leads(address: IPv4Address) -> None:
    public = address.is_global and not address.is_multicast

    for host in (str(address), str(int(address)), hex(int(address))):
        assert (host_unfit(host) == "") is public


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    for address in (text, f"https://{text}", f"https://{text}/a", f"https://example.com/{text}"):
        assert isinstance(unfit(address), str)
