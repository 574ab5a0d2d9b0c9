"""Which address and which key a provider is called with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from urllib.parse import urlsplit

from mcp_server.domain.catalog import Provider
from mcp_server.errors import ArgumentError
from mcp_server.providers.base import HttpCall
from mcp_server.providers.key_pair import KeyPair, key_pair
from mcp_server.providers.network import is_loopback
from mcp_server.providers.reading import no_key, not_signed_in
from mcp_server.settings import Secret, Settings

SANDBOX_KEY = "sandbox"
SANDBOX_SIGNING_KEY = "sandbox-secret-key-of-the-sandbox"
"""What belongs to the access key of the same name there."""
SANDBOX_CALLBACK_SECRET = "c2FuZGJveCBjYWxsYmFjayBzZWNyZXQ="  # noqa: S105 - of accounts without money
"""What it signs its posts with."""

_ONE_WORD = re.compile(r"^[!-~]+\Z")
"""What a key looks like: printable ASCII without blanks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A provider as this user reaches it."""

    facts: Provider
    base_urls: Mapping[str, str]
    secret: Secret | None
    pair: KeyPair | None = None
    """What signs the calls that ask for it, in the place of the key."""
    simulated: bool = False
    trusted_origins: frozenset[str] = field(default_factory=frozenset[str])
    """Origins results may come from besides the provider's own media hosts: an overridden base URL."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not stand in anything that is written; nothing of a simulation's is secret."""
        held = (self.secret, *((self.pair.access, self.pair.signing) if self.pair else ()))
        return () if self.simulated else tuple(secret.value for secret in held if secret)

    def proof(self, call: HttpCall, now: float) -> str:
        """What shows the vendor who asks: the key, or a token the pair signs for this call; empty where none goes."""
        if call.bare or call.public:
            return ""
        if call.signed and self.pair is not None:
            for half in (self.pair.access, self.pair.signing):
                self._one_word(half)
            return self.pair.token(now)
        if self.secret is None:
            raise not_signed_in(self.facts)
        return self._one_word(self.secret)

    def _one_word(self, held: Secret) -> str:
        if not _ONE_WORD.match(held.value):
            # The client would refuse it as a header, and quote it.
            raise no_key(self.facts, held.origin)
        return held.value

    @property
    def mark(self) -> str:
        """Tells accounts apart in the record, where no key may stand; nothing can be read from it."""
        said = f"{self.base_urls.get('api', '')} {self.secret.value if self.secret else ''}"
        said += f" {self.pair.access.value}" if self.pair else ""
        return sha256(said.encode(errors="surrogatepass")).hexdigest()[:12]

    def url(self, path: str, host: str = "api") -> str:
        """The whole address; a base URL that already ends in `/v1` says no more than one without it."""
        return self.base_urls[host].rstrip("/").removesuffix("/v1") + path


def account(facts: Provider, settings: Settings) -> Account:
    """The provider with the user's key and base URL."""
    secret = settings.secret(facts.key_variable, facts.token_file)
    pair = key_pair(facts, settings)
    override = settings.get(facts.base_url_variable)
    if override is None:
        return Account(facts=facts, base_urls=facts.base_urls, secret=secret, pair=pair)
    base = checked_base(override, facts.base_url_variable)
    return Account(
        facts=facts,
        # A stand-in plays all of a vendor's hosts under one address.
        base_urls=dict.fromkeys(facts.base_urls, base),
        secret=secret,
        pair=pair,
        trusted_origins=frozenset({origin(base)}),
    )


def sandbox_account(facts: Provider, base_url: str) -> Account:
    """The provider as the built-in sandbox plays it."""
    return Account(
        facts=facts,
        base_urls=dict.fromkeys(facts.base_urls, base_url),
        secret=Secret(SANDBOX_KEY, "sandbox"),
        pair=KeyPair(access=Secret(SANDBOX_KEY, "sandbox"), signing=Secret(SANDBOX_SIGNING_KEY, "sandbox"))
        if facts.key_pair
        else None,
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


@lru_cache(maxsize=64)
def _fits(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


@lru_cache(maxsize=64)
def origin(url: str) -> str:
    """Scheme, host and port, with the port always said."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{(parts.hostname or '').lower()}:{port}"
