"""Who may use the HTTP server: one shared token, or tokens of an issuer that were made for this server."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import jwt
from mcp.server.auth.provider import AccessToken

if TYPE_CHECKING:
    from mcp_server.settings import Secret

SIGNATURES = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"]
"""Only with a public key: a shared secret cannot come from a published key set."""
METADATA = ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration")


class SharedToken:
    """Accepts the one token from the settings."""

    def __init__(self, secret: Secret) -> None:
        self._expected = secret.value.encode()
        # A label, so that tasks stay with their token and the record never holds it.
        self._subject = f"token-{hashlib.sha256(self._expected).hexdigest()[:16]}"

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller, or nobody."""
        if not hmac.compare_digest(token.encode(), self._expected):
            return None
        return AccessToken(token=token, client_id="shared", scopes=[], subject=self._subject)


class IssuedToken:
    """Accepts signed tokens of one issuer whose audience is this server."""

    def __init__(self, issuer: str, audience: str) -> None:
        self._issuer = issuer
        self._audience = audience
        self._keys: jwt.PyJWKClient | None = None

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller, or nobody; a token for another server counts as none."""
        try:
            claims = await anyio.to_thread.run_sync(self._claims, token)
        except (jwt.PyJWTError, OSError, ValueError, KeyError):
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

    def _claims(self, token: str) -> dict[str, Any]:
        if self._keys is None:
            self._keys = jwt.PyJWKClient(self._key_set(), cache_keys=True, timeout=10)
        return jwt.decode(
            token,
            self._keys.get_signing_key_from_jwt(token),
            algorithms=SIGNATURES,
            audience=self._audience,
            issuer=self._issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )

    def _key_set(self) -> str:
        """Where the issuer publishes its keys, as its own metadata says (RFC 8414)."""
        for path in METADATA:
            found = _metadata(self._issuer, path)
            if found is not None and found.get("issuer") == self._issuer:
                return str(found["jwks_uri"])
        raise ValueError(f"{self._issuer} publishes no metadata under its own name")


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
