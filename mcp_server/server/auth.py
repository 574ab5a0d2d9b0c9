"""Who may use the HTTP server: one shared token, or tokens of an issuer that were made for this server."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import jwt
from mcp.server.auth.provider import AccessToken

if TYPE_CHECKING:
    from collections.abc import Callable

    from mcp_server.settings import Secret

_log = logging.getLogger("kling_video.http")
SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Only with a public key: a shared secret cannot come from a published key set."""
ASK_EVERY_S = 30.0
"""A key nobody knows makes us ask the issuer at most this often: anybody can invent names of keys."""
KEPT_S = 300.0
"""How long keys count without being asked for again: one the issuer took back must stop to open."""
METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


class SharedToken:
    """Accepts the one token from the settings."""

    def __init__(self, secret: Secret) -> None:
        self._expected = secret.value.encode()
        # A label, so that tasks stay with their token and the record never holds it.
        self._subject = f"token-{hashlib.sha256(self._expected).hexdigest()[:16]}"

    async def verify_token(self, token: str) -> AccessToken | None:
        if not hmac.compare_digest(token.encode(), self._expected):
            return None
        return AccessToken(token=token, client_id="shared", scopes=[], subject=self._subject)


class IssuedToken:
    """Accepts signed tokens of one issuer whose audience is this server."""

    def __init__(self, issuer: str, audience: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys = _Keys(issuer, monotonic)

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller, or nobody; a token for another server counts as none."""
        try:
            claims = await self._claims(token)
        except (jwt.PyJWTError, ValueError):
            return None
        if not isinstance(claims["sub"], str) or not claims["sub"].strip():
            # Nobody's tasks are everybody's.
            return None
        scope = claims.get("scope", "")
        return AccessToken(
            token=token,
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=scope.split() if isinstance(scope, str) else [],
            expires_at=int(claims["exp"]),
            resource=self._audience,
            subject=str(claims["sub"]),
            claims={"iss": claims["iss"]},
        )

    async def _claims(self, token: str) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        key = await self._keys.named(str(header.get("kid")))
        if key is None:
            raise jwt.InvalidKeyError("the issuer has no such key")
        return jwt.decode(
            token,
            key,
            algorithms=SIGNATURES,
            audience=self._audience,
            issuer=self._issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )


class _Keys:
    """The keys an issuer publishes: asked for at most once in a while, whatever strangers send and however many."""

    def __init__(self, issuer: str, monotonic: Callable[[], float]) -> None:
        self._issuer = issuer
        self._monotonic = monotonic
        self._known: dict[str, jwt.PyJWK] = {}
        self._read_at = self._asked_at = -math.inf
        self._asking = asyncio.Lock()

    async def named(self, kid: str) -> jwt.PyJWK | None:
        """The key of this name, or None when the issuer had none of it when last asked."""
        if (found := self._fresh(kid)) is None:
            # Those who come while somebody asks wait for that answer.
            async with self._asking:
                found = self._fresh(kid)
                if found is None and self._monotonic() - self._asked_at >= ASK_EVERY_S:
                    await self._ask()
                    found = self._fresh(kid)
        return found

    def _fresh(self, kid: str) -> jwt.PyJWK | None:
        return self._known.get(kid) if self._monotonic() - self._read_at < KEPT_S else None

    async def _ask(self) -> None:
        self._asked_at = self._monotonic()
        try:
            found = await anyio.to_thread.run_sync(_published, self._issuer)
        except (jwt.PyJWTError, HTTPException, OSError, ValueError, KeyError, AttributeError) as error:
            _log.warning("The keys of %s cannot be had: %s", self._issuer, error)
            return
        self._known = found
        self._read_at = self._monotonic()


def _published(issuer: str) -> dict[str, jwt.PyJWK]:
    """The keys for signatures, by name, from where the issuer's own metadata says (RFC 8414)."""
    for path in METADATA:
        found = _metadata(issuer, path)
        if found is not None and found.get("issuer") == issuer:
            keys = jwt.PyJWKClient(str(found["jwks_uri"]), timeout=10).get_signing_keys()
            return {str(key.key_id): key for key in keys}
    raise ValueError("it publishes no metadata under its own name")


def _metadata(issuer: str, path: str) -> dict[str, Any] | None:
    import json
    from urllib.error import HTTPError
    from urllib.parse import urlsplit
    from urllib.request import urlopen

    parts = urlsplit(issuer)
    # RFC 8414 puts the well-known part before the issuer's path, OpenID Connect behind it.
    addresses = [f"{parts.scheme}://{parts.netloc}{path}{parts.path.rstrip('/')}", f"{issuer.rstrip('/')}{path}"]
    for address in dict.fromkeys(addresses):
        try:
            with urlopen(address, timeout=10) as reply:  # noqa: S310 - the scheme was checked when the settings were read
                return json.load(reply)
        except HTTPError:
            continue
    return None
