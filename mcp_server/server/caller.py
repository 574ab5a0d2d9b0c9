"""Who is calling: tasks are visible only to the one who bought them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcp.server.auth.middleware.auth_context import get_access_token

if TYPE_CHECKING:
    from mcp.server.auth.provider import AccessToken


def owner() -> str:
    """The token's subject, unique with its issuer; empty on one person's machine, where no token is asked for."""
    token = get_access_token()
    return "" if token is None else owner_of(token)


def owner_of(token: AccessToken) -> str:
    """Whose token it is."""
    issuer = (token.claims or {}).get("iss", "")
    return f"{issuer}#{token.subject or token.client_id}" if issuer else token.subject or token.client_id
