"""Who is calling: tasks are visible only to the one who bought them."""

from __future__ import annotations

from mcp.server.auth.middleware.auth_context import get_access_token


def owner() -> str:
    """The token's subject, unique with its issuer; empty on one person's machine, where no token is asked for."""
    token = get_access_token()
    if token is None:
        return ""
    issuer = (token.claims or {}).get("iss", "")
    return f"{issuer}#{token.subject or token.client_id}" if issuer else token.subject or token.client_id
