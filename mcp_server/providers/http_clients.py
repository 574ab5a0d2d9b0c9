"""HTTP clients with this program's manners: counted heads, no redirects, no cookies, one answer about proxies."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import httpx

from mcp_server import __version__
from mcp_server.providers.answer_head import counted, counted_async
from mcp_server.providers.network import is_loopback

TIMEOUT: Final = httpx.Timeout(connect=10, read=60, write=60, pool=None)
"""A vendor that has not answered a submit after a minute is treated as lost, not asked again."""
PROXY_KNOWN_S: Final = 30.0
_PROXY_VARIABLES: Final = tuple(
    name for each in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (each, each.upper())
)
# What is not packed cannot unpack into more than was counted.
MANNERS: Final = {"User-Agent": f"kling-video/{__version__}", "Accept-Encoding": "identity"}
KEEP_S: Final = 30.0
"""How long an idle connection is kept."""


def proxy_for(url: str) -> str | None:
    """The proxy of the environment that this address is reached through; None where it is reached directly.

    Never one for this machine: the sandbox plays here, and a stand-in for a vendor may. What is asked here is what the
    clients do: an address that was judged by its name alone cannot be connected to directly after all.
    """
    parts = httpx.URL(url)
    return proxy_of(parts.scheme, parts.host)


def proxy_of(scheme: str, host: str) -> str | None:
    """The same for all addresses of a host."""
    said = tuple(map(os.environ.get, _PROXY_VARIABLES))
    return _proxy(scheme, host, said, int(monotonic() / PROXY_KNOWN_S))


@lru_cache(maxsize=256)
def _proxy(scheme: str, host: str, _said: tuple[str | None, ...], _turn: int) -> str | None:
    """Asked anew when a variable changes, and now and then: a system may say it elsewhere, too."""
    if is_loopback(host) or (host and proxy_bypass(host)):
        return None
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    if not found or "://" not in found:
        return f"http://{found}" if found else None
    # Desktops write socks:// and mean the fifth, the only one that is asked for names.
    return re.sub(r"^socks://", "socks5://", found)


class UnusableProxyError(Exception):
    """The proxy of this environment is none that can be used; its cause says why."""


@dataclass
class Clients:
    """Makes them, all with the same trust."""

    _trust: ssl.SSLContext | None = None

    def trust(self) -> ssl.SSLContext:
        """Whose certificates are believed; read from the disk once."""
        if self._trust is None:
            try:
                self._trust = httpx.create_ssl_context()
            except OSError as error:
                raise OSError(f"SSL_CERT_FILE or SSL_CERT_DIR names no certificates: {error}") from error
            self._trust.set_alpn_protocols(["http/1.1"])
        return self._trust

    def client(self, proxy: str | None, keep_s: float) -> httpx.AsyncClient:
        """One for calls, in the event loop; UnusableProxyError."""
        with _usable():
            transport = counted_async(httpx.AsyncHTTPTransport(**self._options(proxy, keep_s)))
        return httpx.AsyncClient(transport=transport, **_manners())

    def file_client(self, proxy: str | None) -> httpx.Client:
        """One for files, in a thread; UnusableProxyError."""
        with _usable():
            transport = counted(httpx.HTTPTransport(**self._options(proxy, KEEP_S)))
        return httpx.Client(transport=transport, **_manners())

    def _options(self, proxy: str | None, keep_s: float) -> dict[str, Any]:
        # They write whole addresses (httpx) and headers (httpcore): signatures and keys are in them.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        return {
            "verify": self.trust(),
            "limits": httpx.Limits(max_connections=64, max_keepalive_connections=16, keepalive_expiry=keep_s),
            "proxy": proxy,
            "trust_env": False,
        }


@contextmanager
def _usable() -> Generator[None]:
    try:
        yield
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise UnusableProxyError from error


def _manners() -> dict[str, Any]:
    return {
        "timeout": TIMEOUT,
        "headers": dict(MANNERS),
        # A vendor's cookies would be kept without a limit, and go to whoever shares its domain.
        "cookies": CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        "follow_redirects": False,
        "trust_env": False,
    }
