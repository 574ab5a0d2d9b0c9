"""Which address and which key a provider is called with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from urllib.parse import urlsplit

from mcp_server.domain.catalog import Provider
from mcp_server.errors import ArgumentError
from mcp_server.providers.network import is_loopback
from mcp_server.settings import Secret, Settings

SANDBOX_KEY = "sandbox"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A provider as this user reaches it."""

    facts: Provider
    base_urls: Mapping[str, str]
    secret: Secret | None
    simulated: bool = False
    trusted_origins: frozenset[str] = field(default_factory=frozenset[str])
    """Origins results may come from besides the provider's own media hosts: an overridden base URL."""

    @property
    def mark(self) -> str:
        """Tells accounts apart in the record, where no key may stand; nothing can be read from it."""
        said = f"{self.base_urls.get('api', '')} {self.secret.value if self.secret else ''}"
        return sha256(said.encode(errors="surrogatepass")).hexdigest()[:12]

    def url(self, path: str, host: str = "api") -> str:
        """The whole address; a base URL that already ends in `/v1` says no more than one without it."""
        return self.base_urls[host].rstrip("/").removesuffix("/v1") + path


def account(facts: Provider, settings: Settings) -> Account:
    """The provider with the user's key and base URL."""
    secret = settings.secret(facts.key_variable, facts.token_file)
    override = settings.get(facts.base_url_variable)
    if override is None:
        return Account(facts=facts, base_urls=facts.base_urls, secret=secret)
    base = checked_base(override, facts.base_url_variable)
    return Account(
        facts=facts,
        # A stand-in plays all of a vendor's hosts under one address.
        base_urls=dict.fromkeys(facts.base_urls, base),
        secret=secret,
        trusted_origins=frozenset({origin(base)}),
    )


def sandbox_account(facts: Provider, base_url: str) -> Account:
    """The provider as the built-in sandbox plays it."""
    return Account(
        facts=facts,
        base_urls=dict.fromkeys(facts.base_urls, base_url),
        secret=Secret(SANDBOX_KEY, "sandbox"),
        simulated=True,
        trusted_origins=frozenset({origin(base_url)}),
    )


def checked_base(url: str, variable: str) -> str:
    """A base URL that may carry a key: https, or http on this machine."""
    if not _fits(url):
        raise ArgumentError(
            f"{variable} is not a base URL this program will send a key to",
            why="it must be https://…, or http:// on this machine, without a user name, a query or a fragment",
            next_step=f"Correct {variable} or unset it",
        )
    return url.rstrip("/")


def _fits(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def origin(url: str) -> str:
    """Scheme, host and port, with the port always said."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
